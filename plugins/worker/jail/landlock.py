"""Landlock: which files the worker may read and write; where the kernel can, no TCP, signals, abstract sockets either.

The host makes the ruleset, which the worker inherits as a descriptor and puts on.
"""

from __future__ import annotations

import os

from . import kernel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_CREATE_RULESET_VERSION = 1
_RULE_PATH_BENEATH = 1
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, REMOVE_DIR, REMOVE_FILE = (1 << bit for bit in range(6))
MAKE_CHAR, MAKE_DIR, MAKE_REG, MAKE_SOCK, MAKE_FIFO, MAKE_BLOCK, MAKE_SYM = (1 << bit for bit in range(6, 13))
REFER, TRUNCATE, IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
READ = READ_FILE | READ_DIR
WRITE = WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | MAKE_SYM | REFER | TRUNCATE
_FOR_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
_FLAGS = os.O_PATH | os.O_CLOEXEC
_AT_FDCWD, _RESOLVE_NO_SYMLINKS = -100, 0x04
_BIND_TCP, _CONNECT_TCP = 1, 2
_SCOPE_ABSTRACT_UNIX, _SCOPE_SIGNAL = 1, 2
_HANDLED_SINCE = {1: (1 << 13) - 1, 2: REFER, 3: TRUNCATE, 5: IOCTL_DEV}
_NETWORK_SINCE, _SCOPES_SINCE = 4, 6
FULL_SINCE = 3
"""From this version of Landlock's interface on nothing that is written escapes it."""


def version() -> int:
    """Return the version of the kernel's interface. Raises :class:`OSError` when there is none."""
    return kernel.call(kernel.LANDLOCK_CREATE_RULESET, 0, 0, _CREATE_RULESET_VERSION)


def probe() -> str:
    """Why there is no Landlock that covers all writing; empty when there is."""
    try:
        found = version()
    except OSError as error:
        reason = f"the kernel offers no Landlock ({error.strerror})"
        return f"{reason}: it has to be 6.2 or later, with landlock among its security modules (lsm=)"
    if found < FULL_SINCE:
        return f"the kernel's Landlock is of version {found}, and {FULL_SINCE} is needed: Linux 6.2 or later has it"
    return ""


def ruleset(grants: Iterable[tuple[str, int]], literal: Iterable[tuple[str, int]] = ()) -> tuple[int, tuple[str, ...]]:
    """Make a ruleset of (path, rights); returns its descriptor, and the paths that do not exist or can't be opened.

    Those of ``literal`` were resolved before, and lead through no links now: where a plugin can write, it could put one
    in the place of a folder that it was granted. Raises :class:`OSError` when the kernel refuses the ruleset itself.
    """
    known = version()
    files = _files_handled(known)
    network = _BIND_TCP | _CONNECT_TCP if known >= _NETWORK_SINCE else 0
    scopes = _SCOPE_ABSTRACT_UNIX | _SCOPE_SIGNAL if known >= _SCOPES_SINCE else 0
    attributes = b"".join(map(kernel.long_word, (files, network, scopes)))[: _attribute_bytes(known)]
    fd = kernel.call(kernel.LANDLOCK_CREATE_RULESET, attributes, len(attributes), 0)
    try:
        missing = [path for path, rights in grants if not _grant(fd, path, rights & files, _open)]
        missing += [path for path, rights in literal if not _grant(fd, path, rights & files, _open_without_links)]
        return fd, tuple(missing)
    except BaseException:
        os.close(fd)
        raise


def apply(order: int) -> None:
    """Put on the ruleset behind the descriptor ``order``, which is closed. Do it while there is one thread."""
    try:
        kernel.call(kernel.LANDLOCK_RESTRICT_SELF, order, 0)
    finally:
        os.close(order)


def _files_handled(known: int) -> int:
    return sum(rights for since, rights in _HANDLED_SINCE.items() if since <= known)


def _attribute_bytes(known: int) -> int:
    return 24 if known >= _SCOPES_SINCE else 16 if known >= _NETWORK_SINCE else 8


def _open(path: str) -> int:
    return os.open(path, _FLAGS)


def _open_without_links(path: str) -> int:
    how = kernel.long_word(_FLAGS) + kernel.long_word(0) + kernel.long_word(_RESOLVE_NO_SYMLINKS)
    return kernel.call(kernel.OPENAT2, _AT_FDCWD, os.fsencode(path) + b"\0", how, len(how))


def _grant(ruleset_fd: int, path: str, rights: int, open_path: Callable[[str], int]) -> bool:
    try:
        fd = open_path(path)
    except OSError:
        return False
    try:
        if rights & ~_FOR_FILES and not _is_directory(fd):
            rights &= _FOR_FILES
        rule = kernel.long_word(rights) + kernel.word(fd)
        kernel.call(kernel.LANDLOCK_ADD_RULE, ruleset_fd, _RULE_PATH_BENEATH, rule, 0)
    finally:
        os.close(fd)
    return True


def _is_directory(fd: int) -> bool:
    return os.fstat(fd).st_mode & 0o170000 == 0o040000
