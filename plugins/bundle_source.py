"""What is in a bundle: the entries of a directory or of a zip, checked one by one before anybody uses them."""

from __future__ import annotations

import io
import os
import stat
import unicodedata
import zipfile
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from ..config.checks import MIB
from .errors import BundleError
from .manifest import MANIFEST_NAME

CHUNK = 64 * 1024
MAX_NAME_BYTES = 1024
MAX_PART_BYTES = 255
MAX_DEPTH = 32
MAX_ZIP_DIRECTORY_BYTES = 4 * MIB

_SKIPPED = frozenset({"__pycache__", ".git", ".hg", ".svn", ".bzr", "__MACOSX", ".DS_Store"}) | {
    # What the tools of authors leave behind.
    *(".venv", ".tox", ".nox", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis", ".coverage"),
}
_ENCRYPTED = 0x1
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# Without O_NONBLOCK, opening a FIFO waits for a writer.
_FILE_FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)
_FOLDER_FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_DIRECTORY", 0)


class Entry(NamedTuple):
    """One file of a bundle: its relative POSIX name, and its content in chunks (while the source is open)."""

    name: str
    chunks: Callable[[], Iterator[bytes]]


class Budget:
    """What one bundle may hold: ``max_files`` files and folders, ``max_bytes`` real bytes, and each name once."""

    def __init__(self, source: str, max_files: int, max_bytes: int) -> None:
        self.source = source
        self._max_files = max_files
        self._max_bytes = max_bytes
        self._files = 0
        self._bytes = 0
        self._claimed: dict[str, tuple[str, bool]] = {}

    def refused(self, reason: str) -> BundleError:
        """The error for ``reason``, named after the bundle."""
        return BundleError(self.source, reason)

    def admit(self, name: str) -> bool:
        """Count one file or folder and check its name. ``False`` when it is to be left out."""
        self._files += 1
        if self._files > self._max_files:
            raise self.refused(f"holds more than {self._max_files:,} files and folders")
        if fault := _name_fault(name):
            raise self.refused(f"name {name[:200]!r} {fault}")
        return not (name.endswith(".pyc") or _SKIPPED.intersection(name.split("/")))

    def spend(self, size: int) -> None:
        """Count ``size`` bytes of content."""
        self._bytes += size
        if self._bytes > self._max_bytes:
            raise self.refused(f"holds more than {self._max_bytes:,} bytes in all")

    def claim(self, name: str, is_file: bool = True) -> None:
        """Take ``name`` and the folders above it, on any file system: no two may be the same in another case."""
        parts = name.split("/")
        for depth in range(1, len(parts)):
            self._claim_one("/".join(parts[:depth]), is_file=False)
        if self._claim_one(name, is_file) and is_file:
            raise self.refused(f"file {name!r} is there twice")

    def _claim_one(self, name: str, is_file: bool) -> bool:
        """Whether ``name`` was taken already, as the same thing."""
        folded = unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())
        size = len(self._claimed)
        other, other_is_file = self._claimed.setdefault(folded, (name, is_file))
        if other != name:
            raise self.refused(f"names {other!r} and {name!r} differ only in case or in Unicode form")
        if other_is_file is not is_file:
            raise self.refused(f"name {name!r} is both a file and a folder")
        return size == len(self._claimed)


def _name_fault(name: str) -> str | None:
    parts = name.split("/")
    if name.startswith("/") or name[1:2] == ":":
        return "is absolute"
    if ".." in parts:
        return "leads outside the bundle"
    if "" in parts or "." in parts:
        return "has an empty part"
    if "\\" in name or not name.isprintable():
        return "holds a backslash or an unprintable character"
    if len(parts) > MAX_DEPTH:
        return f"is {len(parts)} levels deep, more than {MAX_DEPTH}"
    size, longest = len(name.encode()), max(len(part.encode()) for part in parts)
    if size > MAX_NAME_BYTES or longest > MAX_PART_BYTES:
        limits = f"{MAX_PART_BYTES} in one part and {MAX_NAME_BYTES:,} in all"
        return f"is too long: {longest:,} bytes in one part and {size:,} in all, more than {limits}"
    return None


@contextmanager
def _reported(budget: Budget, culprit: str) -> Iterator[None]:
    """Turn what goes wrong while ``culprit`` is read into a BundleError."""
    try:
        yield
    except BundleError:
        raise
    except OSError as error:
        raise budget.refused(f"{culprit} can't be read: {error.strerror or error}") from error
    except Exception as error:  # zipfile raises a dozen kinds for a corrupt zip, undocumented ones among them
        raise budget.refused(f"{culprit} is corrupt: {error or type(error).__name__}") from error


def directory_entries(path: Path, budget: Budget) -> Generator[Entry]:
    """The files of a directory, in order. Links and special files are refused, not followed.

    Everything is opened relative to its folder's descriptor: swapping a folder for a link meanwhile leads nowhere.
    """
    with _reported(budget, "the directory"):
        root = os.open(path, _FOLDER_FLAGS)
    try:
        yield from _walk(root, "", budget)
    finally:
        os.close(root)


def _walk(folder: int, prefix: str, budget: Budget) -> Iterator[Entry]:
    with _reported(budget, f"folder {prefix or '.'!r}"):
        files, folders = _listing(folder, prefix, budget)
    for name in files:
        budget.claim(prefix + name)
        yield Entry(prefix + name, partial(_file_chunks, folder, name, prefix + name, budget))
    for name in folders:
        with _reported(budget, f"folder {prefix + name!r}"):
            below = os.open(name, _FOLDER_FLAGS | _NO_LINKS, dir_fd=folder)
        try:
            yield from _walk(below, f"{prefix}{name}/", budget)
        finally:
            os.close(below)


def _listing(folder: int, prefix: str, budget: Budget) -> tuple[list[str], list[str]]:
    """The names of the files and of the folders in ``folder``, sorted."""
    files: list[str] = []
    folders: list[str] = []
    owner = os.fstat(folder).st_uid
    with os.scandir(folder) as found:
        for item in found:
            name = prefix + item.name
            if not budget.admit(name):
                continue
            found_item = item.stat(follow_symlinks=False)
            mode = found_item.st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise budget.refused(f"{name!r} is {_kind(mode)}, not a file or a folder")
            if stat.S_ISREG(mode) and found_item.st_nlink > 1 and found_item.st_uid != owner:
                # Installers link files of their own; who links another's wants to have read what is not theirs.
                raise budget.refused(f"{name!r} is a hard link to a file of another user")
            (files if stat.S_ISREG(mode) else folders).append(item.name)
    return sorted(files), sorted(folders)


def _kind(mode: int) -> str:
    return "a symbolic link" if stat.S_ISLNK(mode) else "a device, a socket or a pipe"


def _file_chunks(folder: int, name: str, shown: str, budget: Budget) -> Iterator[bytes]:
    with _reported(budget, f"file {shown!r}"), _opened(name, folder) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise budget.refused(f"file {shown!r} has been replaced while it was read")
        while chunk := file.read(CHUNK):
            budget.spend(len(chunk))
            yield chunk


def _opened(name: str, folder: int) -> io.FileIO:
    return io.FileIO(os.open(name, _FILE_FLAGS | _NO_LINKS, dir_fd=folder))


class _ZipFileBytes(io.FileIO):
    """A zip's bytes. zipfile reads the whole table of contents at once, so the size of one read is what bounds it."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Read ``size`` bytes; ``zipfile.BadZipFile`` when that are too many at once."""
        if size is None or size < 0:
            size = max(0, os.fstat(self.fileno()).st_size - self.tell())
        if size > MAX_ZIP_DIRECTORY_BYTES:
            limit = f"{MAX_ZIP_DIRECTORY_BYTES:,}"
            raise zipfile.BadZipFile(f"its table of contents has {size:,} bytes, more than {limit}")
        return super().read(size) or b""


def zip_entries(path: Path, budget: Budget) -> Generator[Entry]:
    """The files of a zip, in its order; those inside its only top-level folder if that holds the manifest."""
    with _reported(budget, "it"):
        file = _ZipFileBytes(os.open(path, _FILE_FLAGS))
    with file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise budget.refused("is neither a directory nor a zip file")
        with _reported(budget, "it is no directory, and as a zip file it"):
            archive = zipfile.ZipFile(file)
        with _reported(budget, "the zip file"):
            wanted = [info for info in archive.infolist() if _is_wanted(info, budget)]
        root = _root([info.filename for info in wanted])
        for info in wanted:
            yield Entry(info.filename.removeprefix(root), partial(_member_chunks, archive, info, budget))


def _is_wanted(info: zipfile.ZipInfo, budget: Budget) -> bool:
    if info.filename != info.orig_filename:
        raise budget.refused(f"name {info.orig_filename[:200]!r} can also be read as {info.filename[:200]!r}")
    name, is_file = info.filename.removesuffix("/"), not info.is_dir()
    if not budget.admit(name):
        return False
    mode = info.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise budget.refused(f"{name!r} is {_kind(mode)}, not a file or a folder")
    if info.flag_bits & _ENCRYPTED:
        raise budget.refused(f"file {name!r} is encrypted")
    if info.compress_type not in _METHODS:
        raise budget.refused(f"file {name!r} is compressed by method {info.compress_type}, not by 8 (deflate) or 0")
    budget.claim(name, is_file)
    return is_file


def _root(names: list[str]) -> str:
    tops = {name.partition("/")[0] for name in names}
    if MANIFEST_NAME in names or len(tops) != 1:
        return ""
    root = f"{tops.pop()}/"
    return root if root + MANIFEST_NAME in names else ""


def _member_chunks(archive: zipfile.ZipFile, info: zipfile.ZipInfo, budget: Budget) -> Iterator[bytes]:
    size = 0
    with _reported(budget, f"file {info.filename!r}"), archive.open(info) as member:
        while chunk := member.read(CHUNK):
            size += len(chunk)
            budget.spend(len(chunk))
            yield chunk
        if size != info.file_size:
            raise budget.refused(f"file {info.filename!r} has {size:,} bytes, and the zip says {info.file_size:,}")
