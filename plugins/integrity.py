"""The private copy of a bundle, from which a worker runs: its digest, made read-only, and checked before each start."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ..config.checks import MIB
from .errors import BundleChanged

MAX_FILES = 2000
MAX_BYTES = 64 * MIB
_CHUNK = 256 * 1024
# Without O_NONBLOCK, opening a FIFO that has taken a file's place would wait for a writer.
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_FILE_MODE = 0o400
_FOLDER_MODE = 0o500


def content_digest(directory: Path, *, max_files: int = MAX_FILES, max_bytes: int = MAX_BYTES) -> str:
    """SHA-256 (hex) over each file in the order of its UTF-8 name: length (u32) and name, length (u64) and content.

    Nothing is left out: a cache of compiled code counts as much as any other file. Raises OSError for what can't be
    read, is neither file nor folder, or is more than ``max_files`` files and folders or ``max_bytes`` bytes.
    """
    digest = hashlib.sha256()
    for name in sorted(_names(directory, max_files)):
        descriptor = os.open(os.path.join(os.fsencode(directory), name), _FLAGS)
        with open(descriptor, "rb", buffering=0) as file:
            size = os.fstat(descriptor).st_size
            max_bytes -= size
            if max_bytes < 0:
                raise OSError("it holds too many bytes")
            digest.update(len(name).to_bytes(4, "big") + name + size.to_bytes(8, "big"))
            while size > 0 and (chunk := file.read(min(size, _CHUNK))):
                size -= len(chunk)
                digest.update(chunk)
    return digest.hexdigest()


def _names(directory: Path, max_files: int) -> Iterator[bytes]:
    """The names of all files below ``directory``, relative to it."""
    folders = [b""]
    root = os.fsencode(directory)
    while folders:
        prefix = folders.pop()
        with os.scandir(os.path.join(root, prefix)) as found:
            for item in found:
                max_files -= 1
                if max_files < 0:
                    raise OSError("it holds too many files and folders")
                if item.is_dir(follow_symlinks=False):
                    folders.append(prefix + item.name + b"/")
                elif item.is_file(follow_symlinks=False):
                    yield prefix + item.name
                else:
                    raise OSError(f"{os.fsdecode(prefix + item.name)!r} is neither a file nor a folder")


def check_copy(plugin_id: int, directory: Path, digest: str) -> None:
    """Raise :class:`BundleChanged` unless the copy in ``directory`` still has this digest."""
    try:
        found = content_digest(directory)
    except OSError as error:
        raise BundleChanged(plugin_id, str(directory), error.strerror or str(error)) from None
    if found != digest:
        raise BundleChanged(plugin_id, str(directory), f"its digest is {found}, and {digest} was registered")


def seal(directory: Path) -> None:
    """Let nobody write below ``directory``: files become 0400, folders 0500."""
    for folder, _, files in os.walk(directory, topdown=False):
        for name in files:
            os.chmod(os.path.join(folder, name), _FILE_MODE)
        os.chmod(folder, _FOLDER_MODE)


def unseal(directory: Path) -> None:
    """Let the user remove what :func:`seal` has locked. What is not there, or belongs to others, is left alone."""
    folders = [str(directory)]
    while folders:
        folder = folders.pop()
        with suppress(OSError):
            if stat.S_ISDIR(os.lstat(folder).st_mode):
                os.chmod(folder, 0o700)
                with os.scandir(folder) as found:
                    folders += [item.path for item in found if item.is_dir(follow_symlinks=False)]
