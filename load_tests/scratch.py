"""Folders for as long as they are needed; what a run that was killed has left behind, the next one removes.

Whoever has one holds a lock on a file in it, which ends with its processes, however they end: a folder whose lock can
be had belongs to nobody any more.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = ".in-use"
_NEW = ".new"


@contextmanager
def scratch(prefix: str, base: Path | None = None, *, ignore_errors: bool = False) -> Iterator[Path]:
    """Give a folder of ours in ``base``, or where temporary files are; ``ignore_errors`` leaves there what resists."""
    place = base or Path(tempfile.gettempdir())
    sweep(prefix, place)
    made = tempfile.TemporaryDirectory(prefix=prefix, dir=place, ignore_cleanup_errors=ignore_errors)
    with made as name, _held(Path(name)):
        yield Path(name)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    held = os.open(folder / _NEW, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        # Under its name it is locked from the beginning, and nobody takes the folder for one that was left.
        (folder / _NEW).rename(folder / LOCK)
        yield
    finally:
        os.close(held)


def sweep(prefix: str, base: Path) -> list[Path]:
    """Remove the folders in ``base`` that killed runs of this user have left, and return them."""
    return [folder for folder in sorted(base.glob(f"{prefix}*")) if _is_ours(folder) and _removed(folder)]


def _is_ours(folder: Path) -> bool:
    with contextlib.suppress(OSError):
        found = folder.lstat()
        return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
    return False


def _removed(folder: Path) -> bool:
    """Remove it, unless it is in use, or none of ours at all."""
    try:
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder, ignore_errors=True)
    except OSError:
        return False
    finally:
        os.close(lock)
    return True
