"""Directories that plugin code has filled, however deep and however many files: measured and removed with bounds."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Generator
from pathlib import Path

MOST_LEVELS = 128
"""How deep folders may be nested in what is measured: one descriptor is open for each."""
MOST_ENTRIES = 250_000
"""How many entries are counted in one look, which takes about a second then."""

_BLOCK_BYTES = 512
# Whoever is about to end may still make a file while others are removed.
_ATTEMPTS = 3
# The kernel gives back space piece by piece.
_STEP_BYTES = 16384
_LEAST_BYTES = 4096
"""Every entry counts as this much at least, so that a limit on bytes is one on entries."""
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_TO_LOOK, _TO_CHANGE = 0o500, 0o700
# That this process, or the machine, has no room is no fault of who filled the directory.
_SCARCE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


class Uncountable(Exception):
    """What is in a directory can't be counted, and so is more than it may be; the text says why."""


def make_empty(path: Path) -> Path:
    """Make the directory, or remove all that is in it."""
    path.mkdir(mode=0o700, exist_ok=True)
    clear(path)
    return path


def remove(path: str | Path) -> None:
    """Remove the directory and all that is in it; if that fails, what is left is left."""
    for _ in range(_ATTEMPTS):
        with contextlib.suppress(OSError):
            for _ in removing(path):
                pass
            return


def remove_within(path: str | Path, steps: int) -> bool:
    """Remove the directory if it takes no more than so many steps; returns whether it is gone."""
    try:
        with contextlib.closing(removing(path)) as removal:
            return all((steps := steps - taken) >= 0 for taken in removal)
    except FileNotFoundError:
        return True
    except OSError:
        return False


def set_aside(path: Path, target: Path) -> None:
    """Give the directory another name, on the same file system. Raises OSError."""
    # A folder can't be moved without the right to write into it.
    os.close(_open_folder(str(path), None, _TO_CHANGE))
    path.rename(target)


def clear(path: str | Path) -> None:
    """Remove all that is in the directory; no depth is too great, and no link is followed."""
    for _ in _clearing(path):
        pass


def removing(path: str | Path) -> Generator[int]:
    """Remove the directory as it is iterated over: before each entry goes, yields how many steps that may take.

    Large files take several. Raises OSError for what can't be removed.
    """
    yield from _clearing(path)
    os.rmdir(path)


def _clearing(path: str | Path) -> Generator[int]:
    """A folder that holds folders hands them to ``path`` itself, one level at a time, so that none is ever deep."""
    top = _open_folder(str(path), None, _TO_CHANGE)
    try:
        while names := os.listdir(top):
            for name in names:
                # Whoever is about to end may remove something of its own at the same time.
                with contextlib.suppress(FileNotFoundError):
                    yield _steps(name, top)
                    yield from _removing_entry(name, top)
    finally:
        os.close(top)


def _removing_entry(name: str, top: int) -> Generator[int]:
    try:
        os.unlink(name, dir_fd=top)
        return
    except IsADirectoryError:
        pass
    # Whoever may make a folder may make one that nobody can read.
    inner = _open_folder(name, top, _TO_CHANGE)
    try:
        for child in os.listdir(inner):
            yield _steps(child, inner)
            _unlink_or_lift(child, inner, top)
    finally:
        os.close(inner)
    os.rmdir(name, dir_fd=top)


def _unlink_or_lift(child: str, inner: int, top: int) -> None:
    try:
        os.unlink(child, dir_fd=inner)
    except IsADirectoryError:
        # A folder can't be moved without the right to write into it.
        os.close(_open_folder(child, inner, _TO_CHANGE))
        os.rename(child, f".removed-{os.urandom(8).hex()}", src_dir_fd=inner, dst_dir_fd=top)


def _steps(name: str, folder: int) -> int:
    size = os.stat(name, dir_fd=folder, follow_symlinks=False).st_blocks * _BLOCK_BYTES
    return 1 + size // _STEP_BYTES


def size_up_to(path: Path, limit: int) -> int:
    """Return how many bytes the directory's files take, counted until they exceed ``limit``.

    Raises :class:`Uncountable` for what can't be looked into, and OSError where this process has no descriptors left.
    """
    look = _Look(limit)
    try:
        look.at(path)
    except OSError as error:
        if error.errno in _SCARCE:
            raise
        raise Uncountable(f"a folder in it can't be looked into ({error.strerror})") from None
    finally:
        look.end()
    return look.total


class _Look:
    """One look at a tree: a descriptor is open for each folder on the way down to the present one, no path is made."""

    def __init__(self, limit: int) -> None:
        self.total = 0
        self._limit = limit
        self._entries = 0
        self._way: list[tuple[int, list[str]]] = []
        """Of each of these folders the descriptor, and which of its folders are still to be looked into."""

    def at(self, path: Path) -> None:
        """Look at all that is below ``path``, until it is over the limit."""
        self._enter(str(path), None)
        while self._way and self.total <= self._limit:
            folder, left = self._way[-1]
            if left:
                self._enter(left.pop(), folder)
            else:
                self._leave()

    def end(self) -> None:
        """Close what is open."""
        while self._way:
            self._leave()

    def _leave(self) -> None:
        os.close(self._way.pop()[0])

    def _enter(self, name: str, parent: int | None) -> None:
        if len(self._way) > MOST_LEVELS:
            raise Uncountable(f"folders in it are nested more than {MOST_LEVELS} deep, the limit")
        try:
            folder = _open_folder(name, parent, _TO_LOOK)
        except (FileNotFoundError, NotADirectoryError):
            # It was removed since it was listed, or something else is there now.
            return
        self._way.append((folder, inner := []))
        with os.scandir(folder) as entries:
            for entry in entries:
                self._count(entry)
                if self.total > self._limit:
                    return
                if entry.is_dir(follow_symlinks=False):
                    inner.append(entry.name)

    def _count(self, entry: os.DirEntry[str]) -> None:
        self._entries += 1
        if self._entries > MOST_ENTRIES:
            raise Uncountable(f"more than {MOST_ENTRIES:,} files and folders are in it, the limit")
        self.total += _entry_bytes(entry)


def _entry_bytes(entry: os.DirEntry[str]) -> int:
    try:
        return max(entry.stat(follow_symlinks=False).st_blocks * _BLOCK_BYTES, _LEAST_BYTES)
    except FileNotFoundError:
        return _LEAST_BYTES


def _open_folder(name: str, parent: int | None, rights: int) -> int:
    """Open a folder of this user's, which gets these ``rights`` if it has to. No link is followed, to nowhere.

    Where plugin code is at work, a name may lead to something else at any time: rights are given to what is open.
    """
    try:
        folder = os.open(name, _DIRECTORY, dir_fd=parent)
    except PermissionError:
        folder = _open_closed(name, parent)
    try:
        if os.fstat(folder).st_mode & rights != rights:
            os.fchmod(folder, 0o700)
    except OSError:
        os.close(folder)
        raise
    return folder


def _open_closed(name: str, parent: int | None) -> int:
    place = os.open(name, _DIRECTORY | os.O_PATH, dir_fd=parent)
    try:
        # A descriptor that may not be read from can't be given to fchmod.
        path = f"/proc/self/fd/{place}"
        os.chmod(path, 0o700)
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    finally:
        os.close(place)
