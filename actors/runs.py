"""Runs of frames: those for one plugin that come one after the other in one call, and look like others that passed.

What is decided for a run is decided once for all of its frames. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from ..plugins.wire import PluginHeader
from .gate import Gate
from .messages import Extra
from .receipt import Receipt
from .series import Piece, Sendable, results
from .stretch import Stretch
from .waiting import Waiter


class Run:
    """Frames for one plugin, in columns, which nothing is against but that there may be no room."""

    __slots__ = ("data_lengths", "extras", "headers", "plugin_id", "types")

    def __init__(self, plugin_id: int) -> None:
        self.plugin_id = plugin_id
        self.headers: list[bytes] = []
        self.types: list[int] = []
        self.data_lengths: list[int] = []
        """In bytes, of the data in the headers."""
        self.extras: dict[int, Extra] = {}
        """By place."""

    def are_alike(self, frame_type: int, data_length: int) -> None:
        """What was added to the headers since the last time has this type, and so many bytes of data each."""
        count = len(self.headers) - len(self.types)
        self.types += [frame_type] * count
        self.data_lengths += [data_length] * count

    def frames(self, start: int) -> Iterator[Sendable]:
        """Each frame by itself, from this place on."""
        for place in range(start, len(self.headers)):
            yield self.types[place], self.headers[place], self.extras.get(place)


def runs(frames: Iterable[Sendable], gate: Gate) -> Iterator[Run | Sendable]:
    """Cut frames into runs, and those that the gate does not know, each by itself.

    Once such a one has passed, the next that look like it are known.
    """
    run: Run | None = None
    kind, size, lead, data_length = 0, -1, b"", 0
    for frame_type, header, extra in frames:
        raw = header.encode() if type(header) is PluginHeader else header
        # Most look like the one before.
        if type(raw) is not bytes or len(raw) != size or frame_type != kind or not raw.startswith(lead) or run is None:
            if run is not None:
                run.are_alike(kind, data_length)
            known = gate.known(frame_type, raw)
            if run is not None and (known is None or known[1].route.plugin_id != run.plugin_id):
                yield run
                run = None
            if known is None or type(raw) is not bytes:
                yield frame_type, raw, extra
                continue
            run = run or Run(known[1].route.plugin_id)
            kind, size, lead, data_length = frame_type, len(raw), known[0], known[1].data_length
        if extra is not None:
            run.extras[len(run.headers)] = extra
        run.headers.append(raw)
    if run is not None:
        run.are_alike(kind, data_length)
        yield run


def send_in_runs(
    frames: Iterable[Sendable],
    gate: Gate,
    send: Callable[[int, bytes, Extra | None], Receipt | Waiter],
    send_run: Callable[[Run], Sequence[Receipt]],
) -> list[Piece]:
    """Let in runs as far as there is room for them; what becomes of others is found out one by one."""
    found: list[Piece] = []
    for part in runs(frames, gate):
        if isinstance(part, Run):
            receipts = send_run(part)
            found += [receipts] if isinstance(receipts, Stretch) else receipts
            found += results(send, part.frames(len(receipts)))
        else:
            found += results(send, [part])
    return found
