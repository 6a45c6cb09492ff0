"""Directories that plugin code has filled, however deep and however many files: measured and removed with bounds."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_BLOCK_BYTES = 512
# Whoever is about to end may still make a file while others are removed.
_ATTEMPTS = 3
_LEAST_BYTES = 4096
"""Every entry counts as this much at least, so that a limit on bytes is one on entries."""
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def make_empty(path: Path) -> Path:
    """Make the directory, or remove all that is in it."""
    path.mkdir(mode=0o700, exist_ok=True)
    clear(path)
    return path


def remove(path: str | Path) -> None:
    """Remove the directory and all that is in it; if that fails, what is left is left."""
    for _ in range(_ATTEMPTS):
        with contextlib.suppress(OSError):
            clear(path)
            os.rmdir(path)
            return


def clear(path: str | Path) -> None:
    """Remove all that is in the directory; no depth is too great, and no link is followed.

    A folder that holds folders hands them to ``path`` itself, one level at a time, so that none is ever deep.
    """
    top = os.open(path, _DIRECTORY)
    try:
        number = 0
        while names := os.listdir(top):
            for name in names:
                # Whoever is about to end may remove something of its own at the same time.
                with contextlib.suppress(FileNotFoundError):
                    number = _remove(top, name, number)
    finally:
        os.close(top)


def _remove(top: int, name: str, number: int) -> int:
    try:
        os.unlink(name, dir_fd=top)
        return number
    except IsADirectoryError:
        pass
    # Whoever may make a folder may make one that nobody can read.
    os.chmod(name, 0o700, dir_fd=top)
    inner = os.open(name, _DIRECTORY, dir_fd=top)
    try:
        for child in os.listdir(inner):
            try:
                os.unlink(child, dir_fd=inner)
            except IsADirectoryError:
                number += 1
                # A folder can't be moved without the right to write into it.
                os.chmod(child, 0o700, dir_fd=inner)
                os.rename(child, f".removed-{number}-{os.urandom(4).hex()}", src_dir_fd=inner, dst_dir_fd=top)
    finally:
        os.close(inner)
    os.rmdir(name, dir_fd=top)
    return number


def size_up_to(path: Path, limit: int) -> int:
    """Return how many bytes the directory's files take, counted until they exceed ``limit``."""
    total, folders = 0, [str(path)]
    while folders and total <= limit:
        with contextlib.suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                total += _entry_bytes(entry)
                if total > limit:
                    break
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
    return total


def _entry_bytes(entry: os.DirEntry[str]) -> int:
    try:
        return max(entry.stat(follow_symlinks=False).st_blocks * _BLOCK_BYTES, _LEAST_BYTES)
    except OSError:
        return _LEAST_BYTES
