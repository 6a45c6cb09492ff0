"""Pipes among the files that a user names."""

from __future__ import annotations

import os
import stat


def refuse_named_pipe(file: str, instead: str = "") -> None:
    """Raise ValueError for what may wait for a writer for ever. A shell's ``<(command)`` is a pipe without a place."""
    status = os.stat(file)
    if stat.S_ISFIFO(status.st_mode) and status.st_dev != _device_of_pipes():
        raise ValueError(f"it is a named pipe, which may never have a writer{instead}")


def _device_of_pipes() -> int:
    ends = os.pipe()
    try:
        return os.fstat(ends[0]).st_dev
    finally:
        for end in ends:
            os.close(end)
