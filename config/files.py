"""Files that others name: opened without waiting for anybody."""

from __future__ import annotations

import errno
import os
import stat


def open_at_once(path: str, flags: int) -> int:
    """For ``open(opener=...)``: a file that ends. A pipe would be waited for, and would be empty when it is read again.

    Raises :class:`OSError`, also for what is neither a regular file nor a folder (which can't be read either).
    """
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode) or path == os.devnull:
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EINVAL, "it must be a regular file, not a pipe or a device")
