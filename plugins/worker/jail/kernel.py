"""System calls by number, for those that Python has no function for; loads ``_ctypes``, and not the slower ctypes."""

from __future__ import annotations

import os
import sys
from _ctypes import (
    FUNCFLAG_CDECL,
    FUNCFLAG_USE_ERRNO,
    CFuncPtr,
    _SimpleCData,
    dlopen,
    dlsym,
    get_errno,
)

NUMBERS = {
    # prctl, capset, seccomp
    "x86_64": (157, 126, 317),
    "aarch64": (167, 91, 277),
}
MACHINE = os.uname().machine
PRCTL, CAPSET, SECCOMP = NUMBERS.get(MACHINE, (-1, -1, -1))
OPENAT2 = 437
LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 444, 445, 446


class _Long(_SimpleCData):  # type: ignore[type-arg]
    _type_ = "l"


class _Text(_SimpleCData):  # type: ignore[type-arg]
    _type_ = "z"


class _Call(CFuncPtr):
    _flags_ = FUNCFLAG_CDECL | FUNCFLAG_USE_ERRNO
    _restype_ = _Long


_libc = dlopen(None, 0)  # type: ignore[arg-type]  # None is this program, with the C library
_syscall = _Call(dlsym(_libc, "syscall"))


def call(number: int, *arguments: int | bytes) -> int:
    """Make a system call with ints of 32 bits, and bytes, which are passed by address. Raises :class:`OSError`."""
    result: int = _syscall(number, *arguments)
    if result < 0:
        error = get_errno()
        raise OSError(error, os.strerror(error))
    return result


def prctl(option: int, argument: int = 0, other: int = 0) -> int:
    """Call prctl(2) with up to two arguments; the others are 0. Raises :class:`OSError`."""
    return call(PRCTL, option, argument, other, 0, 0)


def pointer(data: bytes) -> bytes:
    """Write the address of ``data`` as a structure holds it; keep ``data`` as long as that is used."""
    return bytes(_Text(data))


def word(value: int) -> bytes:
    """Write 32 bits as a structure holds them."""
    return (value & 0xFFFF_FFFF).to_bytes(4, sys.byteorder)


def long_word(value: int) -> bytes:
    """Write 64 bits as a structure holds them."""
    return (value & 0xFFFF_FFFF_FFFF_FFFF).to_bytes(8, sys.byteorder)
