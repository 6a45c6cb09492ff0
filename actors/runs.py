"""Runs of frames: those of one call for one plugin that look like others that passed, whatever plugins it has mixed.

What is decided for a run is decided once for all of its frames. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from ..plugins.wire import PluginHeader
from .gate import Gate
from .messages import Extra
from .receipt import Receipt
from .series import Piece, Sendable, each, results
from .stretch import Stretch
from .waiting import Waiter
from .woven import Woven, in_turns


class Run:
    """Frames for one plugin, in columns, which nothing is against but that there may be no room."""

    __slots__ = ("data_lengths", "extras", "headers", "number", "plugin_id", "types")

    def __init__(self, plugin_id: int, number: int = 0) -> None:
        self.plugin_id = plugin_id
        self.number = number
        """Among the runs that are mixed with each other."""
        self.headers: list[bytes] = []
        self.types: list[int] = []
        self.data_lengths: list[int] = []
        """In bytes, of the data in the headers."""
        self.extras: dict[int, Extra] = {}
        """By place."""

    def frames(self, start: int) -> Iterator[Sendable]:
        """Each frame by itself, from this place on."""
        for place in range(start, len(self.headers)):
            yield self.types[place], self.headers[place], self.extras.get(place)


class Mixed:
    """Runs for several plugins; ``turns`` says for each frame in which of them it is the next."""

    __slots__ = ("_by_plugin", "runs", "turns")

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self.turns: list[int] = []
        self._by_plugin: dict[int, Run] = {}

    def run_of(self, plugin_id: int) -> Run:
        """The run for this plugin."""
        run = self._by_plugin.get(plugin_id)
        if run is None:
            run = self._by_plugin[plugin_id] = Run(plugin_id, len(self.runs))
            self.runs.append(run)
        return run


def runs(frames: Iterable[Sendable], gate: Gate) -> Iterator[Mixed | Sendable]:
    """Sort frames into runs, and those that the gate does not know, each by itself.

    Once such a one has passed, the next that look like it are known. Nothing goes past one, as nobody knows yet for
    which plugin it is.
    """
    mixed, run = Mixed(), None
    kind, size, lead, data_length = 0, -1, b"", 0
    for frame_type, header, extra in frames:
        raw = header.encode() if type(header) is PluginHeader else header
        # Most look like the one before. Not by equality: 82.0 is equal to a frame type, and none.
        if (
            type(raw) is not bytes
            or len(raw) != size
            or frame_type is not kind
            or not raw.startswith(lead)
            or run is None
        ):
            known = gate.known(frame_type, raw)
            if known is None or type(raw) is not bytes:
                if run is not None:
                    yield mixed
                    mixed, run = Mixed(), None
                yield frame_type, raw, extra
                continue
            run = mixed.run_of(known[1].route.plugin_id)
            kind, size, lead, data_length = frame_type, len(raw), known[0], known[1].data_length
        if extra is not None:
            run.extras[len(run.headers)] = extra
        run.headers.append(raw)
        run.types.append(kind)
        run.data_lengths.append(data_length)
        mixed.turns.append(run.number)
    if run is not None:
        yield mixed


def send_in_runs(
    frames: Iterable[Sendable],
    gate: Gate,
    send: Callable[[int, bytes, Extra | None], Receipt | Waiter],
    send_run: Callable[[Run], Stretch | None],
) -> list[Piece]:
    """Let in runs as far as there is room for them; what becomes of others is found out one by one."""
    found: list[Piece] = []
    for part in runs(frames, gate):
        if isinstance(part, Mixed):
            found += _mixed([_sent(run, send, send_run) for run in part.runs], part.turns)
        else:
            found += results(send, [part])
    return found


def _sent(
    run: Run,
    send: Callable[[int, bytes, Extra | None], Receipt | Waiter],
    send_run: Callable[[Run], Stretch | None],
) -> list[Piece]:
    stretch = send_run(run)
    if stretch is None:
        return results(send, run.frames(0))
    return [stretch, *results(send, run.frames(len(stretch)))]


def _mixed(found: list[list[Piece]], turns: list[int]) -> list[Piece]:
    """What came of several runs, in the order of their frames."""
    if len(found) == 1:
        return found[0]
    stretches = [pieces[0] for pieces in found if len(pieces) == 1 and isinstance(pieces[0], Stretch)]
    if len(stretches) == len(found):
        return [Woven(stretches, turns)]
    return list(in_turns(map(each, found), turns))
