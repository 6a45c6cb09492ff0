"""Capabilities: all of them go, out of every set. A worker of root then has no more rights than the files grant."""

from __future__ import annotations

from errno import EINVAL, EPERM

from . import kernel

_PR_CAPBSET_READ, _PR_CAPBSET_DROP = 23, 24
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
_VERSION_3 = 0x2008_0522
_MOST = 64


def probe() -> str:
    """Works wherever the numbers of the system calls are known."""
    return "" if kernel.CAPSET >= 0 else f"the system calls of {kernel.MACHINE} are not known"


def apply(order: None) -> None:
    """Drop everything that this process has or could get."""
    _empty_bounding_set()
    kernel.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    kernel.call(kernel.CAPSET, kernel.word(_VERSION_3) + kernel.word(0), bytes(24))


def _empty_bounding_set() -> None:
    for number in range(_MOST):
        try:
            kernel.prctl(_PR_CAPBSET_DROP, number)
        except OSError as error:
            # No such capability: these were all. Not permitted: an ordinary user, who can't gain any of them.
            if error.errno in (EINVAL, EPERM):
                return
            raise
