"""The folder that a run writes into: one of its own, or the one asked for, without what an earlier run has left."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

import click

from .errors import FolderInUse, ForeignFiles
from .reading import FILE_NAME

FOLDER = "load-test-results"
WRITTEN = (
    FILE_NAME,
    "report.html",
    *(f"{plot}.png" for plot in ("latency", "flow", "memory", "kernel", "processor", "rounds")),
)
"""All that a run writes."""


class FolderPath(click.Path):
    """A folder, there or not; an empty text is none, not the current one."""

    def __init__(self) -> None:
        super().__init__(file_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse an empty one."""
        if value == "":
            self.fail("must name a folder, and is empty", param, ctx)
        return super().convert(value, param, ctx)


@contextmanager
def output_folder(wanted: Path | None, name: str) -> Iterator[Path]:
    """Give a folder in which files can be written, and none of an earlier run is left.

    It is gone afterwards if nothing was written into it and it was not there before. Raises :class:`OSError`,
    :class:`FolderInUse` while another run writes into it, and :class:`ForeignFiles` where it would write over others'.
    """
    is_new = wanted is None or not wanted.exists()
    folder = _of_its_own(name) if wanted is None else _made(wanted)
    try:
        with _held(folder):
            _clear(folder)
            # Not only after minutes of measuring is it to be found out.
            with tempfile.TemporaryFile(dir=folder):
                pass
            yield folder
    finally:
        if is_new:
            with suppress(OSError):
                folder.rmdir()
                if wanted is None:
                    folder.parent.rmdir()


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Keep other runs out of it, which would write over the files of this one."""
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if _is_locked(held):
            raise FolderInUse(folder)
        yield
    finally:
        os.close(held)


def _is_locked(folder: int) -> bool:
    """Lock an open folder, unless somebody else has; where its filesystem has no locks, nobody has."""
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return isinstance(error, BlockingIOError)
    return False


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _of_its_own(name: str) -> Path:
    base = Path(FOLDER) / f"{name}-{datetime.now():%Y%m%d-%H%M%S}"
    for number in count(1):
        folder = base if number == 1 else base.with_name(f"{base.name}-{number}")
        with suppress(FileExistsError):
            folder.mkdir(parents=True)
            return folder
    raise AssertionError("numbers have no end")


def _clear(folder: Path) -> None:
    """Remove what an earlier run has left; without its result nobody knows whose files these are."""
    found = [name for name in WRITTEN if (folder / name).exists()]
    if found and not _is_result(folder / FILE_NAME):
        raise ForeignFiles(folder, found)
    for name in found:
        (folder / name).unlink()


def _is_result(path: Path) -> bool:
    """Return whether a file is a result, of whichever version."""
    try:
        table = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(table, dict) and {"schema", "scenario", "rounds"} <= table.keys()
