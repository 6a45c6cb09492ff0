"""What a plugin says of its own accord, on its way to the sessions: emitted frames and log lines, both bounded."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from ..config.settings import LimitSettings
from . import messages as m
from ._thespian import Address
from .events import EMITS, LOG, Emitted
from .outlet import Batch, Outlet

STREAM_BYTES = 1 << 20
"""What waits of one stream for one session, unless a single item is larger."""
MAX_LINE_CHARS = 4096
INFO, ERROR = 20, 40
WARNING = 30


class Streams:
    """Both streams of one plugin, to every session that is there."""

    def __init__(
        self, plugin_id: int, limits: LimitSettings, send: Callable[[Address, Any], None], plugin: str = ""
    ) -> None:
        self._plugin_id = plugin_id
        self._plugin = plugin
        self._quota = limits.log_lines_per_s
        self._most_waiting = limits.event_queue
        self._has_told_lost_emits = False
        self._send = send
        self._outlets = {name: Outlet[int, Any](limits.event_queue, STREAM_BYTES) for name in (EMITS, LOG)}
        self._addresses: dict[int, Address] = {}
        self._second = 0.0
        self._lines = 0

    def join(self, session: int, address: Address, wanted: Iterable[str]) -> None:
        """Send to this session from now on what it wants."""
        self._addresses[session] = address
        for name, outlet in self._outlets.items():
            if name in wanted:
                outlet.subscribe(session)

    def leave(self, session: int) -> None:
        """Send to this session no more."""
        self._addresses.pop(session, None)
        for outlet in self._outlets.values():
            outlet.unsubscribe(session)

    def emit(self, frame_type: int, flags: int, data: bytes) -> None:
        """Queue one frame; the oldest go when the plugin emits faster than a session takes, which is logged once."""
        lost = self._outlets[EMITS].add(Emitted(self._plugin_id, frame_type, flags, data), len(data) + 64)
        if lost and not self._has_told_lost_emits:
            self._has_told_lost_emits = True
            most = (
                f"{self._most_waiting:,} frames (limits.event_queue) and {STREAM_BYTES:,} bytes, or one larger frame,"
            )
            told = "the oldest are dropped, and this is said once"
            self._add_line(WARNING, f"emitted frames come faster than a program takes them: {most} may wait; {told}")

    def log(self, level: int, text: str) -> bool:
        """Queue one line, unless this second's lines are used up.

        Returns whether this line is the first to be lost in this second; then :meth:`tell_losses` is due in a second.
        """
        if time.monotonic() - self._second >= 1.0:
            self.tell_losses()
        self._lines += 1
        if self._lines <= self._quota:
            self._add_line(level, text[:MAX_LINE_CHARS])
        return self._lines == self._quota + 1

    def tell_losses(self) -> None:
        """Begin another second, and say how many lines were lost in the last one."""
        lost = self._lines - self._quota
        self._second, self._lines = time.monotonic(), 0
        if lost > 0:
            self._add_line(WARNING, f"{lost} log lines dropped: more than {self._quota} in a second")

    def flush(self, source: Address) -> None:
        """Send what may go now; ``source`` is where a session is to acknowledge it."""
        for name, outlet in self._outlets.items():
            self._deliver(source, name, outlet.ready())

    def finish(self, source: Address) -> None:
        """Send all that waits, also behind what is not acknowledged yet: nothing follows."""
        self.tell_losses()
        for name, outlet in self._outlets.items():
            self._deliver(source, name, outlet.rest())

    def acknowledge(self, session: int, stream: str) -> None:
        """The session has the last batch of this stream."""
        self._outlets[stream].acknowledge(session)

    def _deliver(self, source: Address, name: str, batches: Iterable[tuple[int, Batch[Any]]]) -> None:
        for session, (items, dropped) in batches:
            delivery = m.Delivery(source, name, self._plugin_id, items, dropped, self._plugin)
            self._send(self._addresses[session], delivery)

    def _add_line(self, level: int, text: str) -> None:
        self._outlets[LOG].add((level, text), len(text) + 16)
