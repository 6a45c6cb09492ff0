"""A worker's way out: gathers results, emitted frames and log lines, and writes them in few, large pieces."""

from __future__ import annotations

import os
from _thread import allocate_lock, get_ident
from time import monotonic

from .protocol import DONE, EMIT, FLUSH_BYTES, LOG, MAX_ITEMS, MAX_LOG_CHARS, clip, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from .protocol import Result

HOLD_S = 0.002
"""A result waits at most this long for others (and for the handler that is running)."""
_ITEM_BYTES = 16
_MAX_CHAR_BYTES = 4


class Outbox:
    """Belongs to the thread that made it; other threads may :meth:`emit` and :meth:`log`, which write at once.

    What a handler emits or logs leaves before its result. When the host is gone, the process ends at once.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._owner = get_ident()
        self._writing = allocate_lock()
        self._first_index = 0
        self._results: list[Result] = []
        self._emits: list[list[Any]] = []
        self._logs: list[list[Any]] = []
        self._held_bytes = 0
        self._due = self._log_due = self._since = 0.0

    def begin(self, first_index: int) -> None:
        """Start a batch: the next result is that of the frame ``first_index``."""
        self._first_index = first_index
        self._since = monotonic()
        self._due = self._since + HOLD_S

    def add(self, result: Result) -> None:
        """Hold the next frame's result, or send all that is held when that is due."""
        self._results.append(result)
        if result is not None:
            self._hold(_size(result))
        if self._held_bytes >= FLUSH_BYTES or monotonic() >= self._due:
            self.flush()

    def emit(self, frame_type: int, flags: int, data: bytes) -> None:
        """Hold a frame that the plugin sends of its own accord."""
        self._post(EMIT, self._emits, [frame_type, flags, data], len(data))

    def log(self, level: int, text: str) -> None:
        """Send a line for the host's log, cut to ``MAX_LOG_CHARS``; hold it if the last one has only just gone.

        The rare line is not held, because it may tell what a handler was at that never returned.
        """
        text = clip(text, MAX_LOG_CHARS)
        self._post(LOG, self._logs, [level, text], len(text) * _MAX_CHAR_BYTES)
        if self._logs and monotonic() >= self._log_due:
            self.flush()

    def flush(self) -> None:
        """Send everything that is held."""
        pieces = []
        now = monotonic()
        self._due = now + HOLD_S
        if self._logs:
            pieces.append(encode([LOG, self._logs]))
            self._logs = []
            self._log_due = self._due
        if self._emits:
            pieces.append(encode([EMIT, self._emits]))
            self._emits = []
        if self._results:
            count = len(self._results)
            results = count if self._results.count(None) == count else self._results
            pieces.append(encode([DONE, self._first_index, results, int((now - self._since) * 1e6)]))
            self._since = now
            self._first_index += count
            self._results = []
        self._held_bytes = 0
        if pieces:
            self._write(b"".join(pieces))

    def send(self, message: Sequence[Any]) -> None:
        """Send one message, after everything that is held."""
        self.flush()
        self._write(encode(message))

    def request(self, message: Sequence[Any]) -> None:
        """Send one message at once, from any thread; the owner's goes after everything that it holds."""
        if get_ident() == self._owner:
            self.flush()
        self._write(encode(message))

    def _post(self, kind: int, held: list[list[Any]], item: list[Any], size: int) -> None:
        if get_ident() != self._owner:
            self._write(encode([kind, [item]]))
            return
        held.append(item)
        self._hold(size)
        if self._held_bytes >= FLUSH_BYTES or len(held) >= MAX_ITEMS:
            self.flush()

    def _hold(self, size: int) -> None:
        self._held_bytes += size + _ITEM_BYTES

    def _write(self, data: bytes) -> None:
        with self._writing, memoryview(data) as rest:
            try:
                sent = os.write(self._fd, rest)
                while sent < len(data):
                    sent += os.write(self._fd, rest[sent:])
            except OSError:
                os._exit(0)


def _size(result: bytes | list[str]) -> int:
    return len(result) if isinstance(result, bytes) else sum(map(len, result)) * _MAX_CHAR_BYTES
