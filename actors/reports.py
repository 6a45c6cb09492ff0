"""Reports of the host to the application: JSON objects, one a line, over a pipe that never holds up the host."""

from __future__ import annotations

import json
import os
import select
import threading
import time
from typing import Any

# How long an important report may wait for an application that does not read, in seconds.
PATIENCE_S = 2.0


class ReportPipe:
    """The host's end of the pipe. Any thread may use it.

    The pipe's buffer is the system's (64 KiB); what is left of a report that did not fit as a whole goes first.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._rest = b""
        self._lock = threading.Lock()
        os.set_blocking(fd, False)

    def offer(self, **fields: Any) -> bool:
        """Send a report if there is room at once; returns whether it is on its way."""
        with self._lock:
            if not self._flush():
                return False
            self._rest = _encoded(fields)
            self._flush()
            return True

    def send(self, **fields: Any) -> None:
        """Send a report, waiting a little for room; it is lost if there is nobody who reads."""
        deadline = time.monotonic() + PATIENCE_S
        with self._lock:
            self._rest += _encoded(fields)
            while not self._flush() and (left := deadline - time.monotonic()) > 0:
                select.select([], [self._fd], [], left)

    def _flush(self) -> bool:
        """Write what is left over; returns whether nothing is any more."""
        try:
            while self._rest:
                self._rest = self._rest[os.write(self._fd, self._rest) :]
        except BlockingIOError:
            return False
        except OSError:
            # Nobody is there to read any more.
            self._rest = b""
        return True


def _encoded(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields).encode() + b"\n"
