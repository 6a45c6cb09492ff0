"""No new privileges: no program that is executed from here on gets more rights, whatever bits its file has."""

from __future__ import annotations

from . import kernel

_PR_SET_NO_NEW_PRIVS = 38


def probe() -> str:
    """Works wherever the numbers of the system calls are known."""
    return "" if kernel.PRCTL >= 0 else f"the system calls of {kernel.MACHINE} are not known"


def apply(order: None) -> None:
    """Set the flag, which can't be unset."""
    kernel.prctl(_PR_SET_NO_NEW_PRIVS, 1)
