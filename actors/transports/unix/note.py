"""A message on its way, where its sender is told only of what went wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Note:
    """What Thespian's TransmitIntent is to a transport, without its times, retries and chains of callbacks."""

    __slots__ = ("message", "on_error", "result", "targetAddr")

    def __init__(self, target: Any, message: Any, on_error: Callable[[Any, Any], None] | None) -> None:
        self.targetAddr = target  # Thespian's name
        self.message = message
        self.on_error = on_error
        self.result: Any = None
        """Thespian's status of sending, once there is one."""

    def tx_done(self, status: Any) -> None:
        """Take the status, and tell a bad one."""
        self.result = status
        if self.on_error is not None and not status:
            self.on_error(status, self)
