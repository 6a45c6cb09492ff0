"""Why a system has ended by itself: its supervisor writes it down, and its host reads it.

The file has its room from the start, so that a full disk does not keep the reason from being known.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from ..config.errors import StartupError

ROOM_BYTES = 4096
_NAME = "reason"


def make_room(runtime: Path) -> None:
    """Make the file; raises :class:`StartupError`."""
    path = runtime / _NAME
    try:
        path.write_bytes(bytes(ROOM_BYTES))
    except OSError as error:
        raise StartupError(f"{path} can't be written: {error.strerror}") from None


def write(runtime: Path, reason: str) -> None:
    """Write the reason into the room that there is for it, and what is longer not; without the file, nothing."""
    with contextlib.suppress(OSError), open(runtime / _NAME, "r+b", buffering=0) as file:
        file.write(reason.encode()[:ROOM_BYTES])


def read(runtime: Path) -> str:
    """The reason, or nothing."""
    with contextlib.suppress(OSError):
        return (runtime / _NAME).read_bytes().rstrip(b"\0").decode("utf-8", "replace")
    return ""
