"""The page in which a worker notes which frame it has started, from the side of its plugin actor."""

from __future__ import annotations

import contextlib
import mmap
import os
import struct
from pathlib import Path

_MARK = struct.Struct("<QQ")


class MarkPage:
    """The small shared page in which a worker notes which frame it has started; it outlives both processes.

    It is read, not mapped: a worker could cut the file short, and touching a mapping of it would then be fatal.
    """

    def __init__(self, path: Path) -> None:
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.ftruncate(self.fd, mmap.PAGESIZE)
        # A worker that writes there when the disk is full would be killed. One that starts then may be.
        with contextlib.suppress(OSError):
            os.posix_fallocate(self.fd, 0, mmap.PAGESIZE)

    def read(self) -> tuple[int, int]:
        """Return (ring index, count) as the worker wrote them: untrusted numbers. (0, 0) if there is nothing."""
        data = os.pread(self.fd, _MARK.size, 0)
        if len(data) < _MARK.size:
            return 0, 0
        index, count = _MARK.unpack(data)
        return index, count

    def clear(self) -> None:
        """Forget the last mark."""
        os.pwrite(self.fd, bytes(_MARK.size), 0)

    def close(self) -> None:
        """Release the descriptor."""
        os.close(self.fd)
