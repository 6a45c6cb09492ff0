"""What the dispatcher has counted: exact also when dispatchers are killed, since each number has one truth.

How many frames of a session were dispatched and refused, the session itself knows best; it tells each new dispatcher.
Of a session that is gone, what was counted last stands. Loads and unloads are told apart by their numbers, so that one
that is told again is not counted again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from .count_file import CountFile, Key
from .events import DispatchStats

_DISPATCHED = "dispatched"
_LOADED, _UNLOADED = "loaded", "unloaded"
_REFUSED, _GONE = "refused ", "gone "
# Owners: of sums of what has ended, and (even and odd, so that they differ) of loads and of sessions.
_ENDED = 1
# So many loads that have ended are told apart from each other, should one of them be told again.
_REMEMBERED = 256
# Beyond so many numbers those of what has ended are added up.
_MANY = 4096


class DispatchCounts:
    """Kept in the file ``path``, or if it is ``None`` in memory only."""

    def __init__(self, path: Path | None) -> None:
        self._file = CountFile(path)
        self._seen: dict[int, dict[int, int]] = {}
        """Of each session that is there, per plugin the last number that was counted."""

    def statistics(self) -> DispatchStats:
        """All counts."""
        refused: Counter[str] = Counter()
        for (_, name), count in self._file.items().items():
            if name.startswith(_REFUSED):
                refused[name.removeprefix(_REFUSED)] += count
        file = self._file
        return DispatchStats(
            file.total(_LOADED), file.total(_UNLOADED), file.total(_DISPATCHED), refused.total(), dict(+refused)
        )

    # Sessions, and their frames; those of a session that has gone are counted where its others are.

    def join(self, session: int) -> None:
        """The session is there. Nothing happens when it was."""
        self._seen.setdefault(session, {})

    def rejoin(self, session: int, dispatched: int, refused: Mapping[str, int], sent: Mapping[int, int]) -> None:
        """This is what the session knows; what was counted for it before may be more, or less.

        ``sent`` has the last number of each plugin's frames among the ``dispatched``.
        """
        self._seen[session] = dict(sent)
        owner = self._owner(session)
        values = {key: value for key, value in self._file.items().items() if key[0] != owner}
        values[owner, _DISPATCHED] = dispatched
        values.update({(owner, f"{_REFUSED}{cause}"): count for cause, count in refused.items()})
        self._file.replace(values)

    def leave(self, session: int) -> None:
        """The session has gone: what was counted for it stands."""
        self._seen.pop(session, None)
        self._add_up({_of_session(session)})

    def last_seen(self, session: int, plugin_id: int) -> int:
        """The last number among the frames for this plugin that were counted; 0 if there is none."""
        return self._seen.get(session, {}).get(plugin_id, 0)

    def seen(self, session: int, plugin_id: int, seqs: Sequence[int]) -> None:
        """Frames with these ascending numbers are passed on, or will be; one that comes again is not counted again."""
        known = self._seen.get(session)
        if known is None:
            return
        before = known.get(plugin_id, 0)
        fresh = len(seqs) if seqs[0] > before else sum(1 for seq in seqs if seq > before)
        self.dispatched(session, fresh)
        known[plugin_id] = max(before, seqs[-1])

    def dispatched(self, session: int, frames: int) -> None:
        """So many frames were passed on, or (below 0) were taken for passed on and are refused now."""
        self._file.add(self._owner(session), _DISPATCHED, frames)

    def refused(self, session: int, cause: str, frames: int = 1) -> None:
        """So many frames were refused, because of an error of this class."""
        self._make_room()
        self._file.add(self._owner(session), f"{_REFUSED}{cause}", frames)

    def _owner(self, session: int) -> int:
        return _of_session(session) if session in self._seen else _ENDED

    # Plugins.

    def loaded(self, load_id: int) -> None:
        """The plugin of this load has a route, perhaps since long."""
        self._make_room()
        self._file.put(_of_load(load_id), _LOADED, 1)

    def unloaded(self, load_id: int, plugin_id: int, epochs: range, drained: bool) -> None:
        """Its route is gone, after these epochs; whether all answers of its plugin actor have been sent.

        Nothing happens where it had none.
        """
        owner = _of_load(load_id)
        if not self._file.get(owner, _LOADED):
            return
        self._make_room()
        self._file.put(owner, f"{_GONE}{plugin_id} {epochs.start} {epochs.stop}", 1 + drained)
        self._file.put(owner, _UNLOADED, 1)

    def was_drained(self, plugin_id: int, epoch: int) -> bool:
        """Whether the plugin that had this route in this epoch was drained when it went."""
        for (_, name), count in self._file.items().items():
            if name.startswith(f"{_GONE}{plugin_id} "):
                start, stop = map(int, name.split()[2:])
                if start <= epoch < stop:
                    return count > 1
        return False

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _make_room(self) -> None:
        if len(self._file) > _MANY:
            ended = sorted(owner for (owner, name) in self._file.items() if name == _UNLOADED and owner != _ENDED)
            self._add_up(set(ended[:-_REMEMBERED]))

    def _add_up(self, owners: set[int]) -> None:
        """These have ended: only sums stay."""
        values: Counter[Key] = Counter()
        for (owner, name), count in self._file.items().items():
            if owner not in owners:
                values[owner, name] += count
            elif not name.startswith(_GONE):
                values[_ENDED, name] += count
        self._file.replace(values)


def _of_session(session: int) -> int:
    return 2 * session + 1


def _of_load(load_id: int) -> int:
    return 2 * load_id
