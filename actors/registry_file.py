"""The file of the registry: opened, or if it is damaged set aside for an empty one. Nothing is deleted."""

from __future__ import annotations

import itertools
import sqlite3
import time
from pathlib import Path

import attrs

from .registrations import Damaged, Registrations

_NO_DATABASE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
# SQLite keeps what is not in the file yet, and who reads it, beside it.
_BESIDE = ("", "-wal", "-shm")


@attrs.frozen
class Opened:
    """The table, and what happened to its file: a sentence, or nothing."""

    rows: Registrations
    set_aside: str = ""


def open_file(path: str, restarted: bool, outlives_run: bool = True) -> Opened:
    """Open the registry. Raises :class:`sqlite3.Error` where the file can't be read or written at all."""
    try:
        return Opened(Registrations(path, restarted, outlives_run))
    except sqlite3.DatabaseError as error:
        if not is_damaged(error):
            raise
        aside = _set_aside(Path(path))
        text = f"{path} was damaged ({error}) and is now {aside.name}: registrations and permissions begin anew"
        return Opened(Registrations(path, restarted, outlives_run), text)


def is_damaged(error: sqlite3.Error) -> bool:
    """Whether what is in the file makes no sense, as against a disk that is full or gone."""
    # The lower byte is the cause, the others are details of it.
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, Damaged) or (code is not None and code & 0xFF in _NO_DATABASE)


def _set_aside(path: Path) -> Path:
    """Rename the file and what SQLite keeps beside it; returns the new name."""
    suffix = f"damaged-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    names = (path.with_name(f"{path.name}.{suffix}{f'-{n}' if n else ''}") for n in itertools.count())
    aside = next(name for name in names if not name.exists())
    for end in _BESIDE:
        part = path.with_name(path.name + end)
        if part.exists():
            part.rename(aside.with_name(aside.name + end))
    return aside
