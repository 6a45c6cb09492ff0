"""The last words of plugin actors for sessions that did not read them in time, kept by the supervisor until they ask.

The supervisor outlives everybody, so that whoever asks is answered, whatever else has ended meanwhile. A session knows
nothing of the frames that it is told of here, so it still holds credit for each: that bounds how many there are.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping

import attrs

from .results import ReplyLost, Result


@attrs.frozen
class Words:
    """What became of frames of one session, by sequence number; what is in neither was not accepted."""

    finished: tuple[tuple[int, Result], ...] = ()
    unfinished: tuple[int, ...] = ()
    """Accepted, and without an outcome as long as the system runs."""

    @classmethod
    def of(cls, finished: Iterable[tuple[int, Result]], unfinished: Iterable[int], known_until: int) -> Words:
        """Say it of frames beyond this number. Replies would be too much to keep: they are lost."""
        outcomes = ((seq, _without_reply(result)) for seq, result in finished if seq > known_until)
        return cls(tuple(outcomes), tuple(seq for seq in unfinished if seq > known_until))

    def __bool__(self) -> bool:
        return bool(self.finished or self.unfinished)

    def __add__(self, other: Words) -> Words:
        return Words(self.finished + other.finished, self.unfinished + other.unfinished)

    def between(self, first: int, last: int) -> Words:
        """Return what concerns these frames, both included."""
        outcomes = (outcome for outcome in self.finished if first <= outcome[0] <= last)
        return Words(tuple(outcomes), tuple(seq for seq in self.unfinished if first <= seq <= last))


def _without_reply(result: Result) -> Result:
    return ReplyLost() if isinstance(result, bytes) else result


NOTHING = Words()
_END = 1 << 64


class WordBook:
    """By session and plugin id. Sequence numbers never repeat there, so that several loads of a plugin get on."""

    def __init__(self) -> None:
        self._words: dict[int, dict[int, Words]] = {}

    def __len__(self) -> int:
        return len(self._words)

    def note(self, plugin_id: int, words: Mapping[int, Words], sessions: Container[int]) -> None:
        """Keep what a plugin actor has said last, for those of the sessions that are there."""
        for session, said in words.items():
            if said and session in sessions:
                known = self._words.setdefault(session, {})
                known[plugin_id] = known.get(plugin_id, NOTHING) + said

    def take(self, session: int, plugin_id: int, until: int) -> Words:
        """Return, and forget, what there is to say of frames up to this number."""
        known = self._words.get(session, {})
        words = known.pop(plugin_id, NOTHING)
        if later := words.between(until + 1, _END):
            known[plugin_id] = later
        elif not known:
            self.leave(session)
        return words.between(0, until)

    def leave(self, session: int) -> None:
        """Nobody will ask any more."""
        self._words.pop(session, None)
