"""What ends a wait for events from elsewhere."""

from __future__ import annotations

import contextlib
import os
import select


class Bell:
    """Anybody may ring it: other threads, and signal handlers."""

    def __init__(self, epoll: select.epoll) -> None:
        self.fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        epoll.register(self.fd, select.EPOLLIN)

    def ring(self) -> None:
        """End the wait that is under way, or else the next one."""
        with contextlib.suppress(BlockingIOError, OSError):
            os.eventfd_write(self.fd, 1)

    def silence(self) -> None:
        """It was heard."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self.fd)

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self.fd)
