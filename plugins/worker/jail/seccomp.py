"""seccomp: which system calls the worker may make. The host generates the program (:mod:`.filter`)."""

from __future__ import annotations

from . import kernel

_SET_MODE_FILTER, _GET_ACTION_AVAIL = 1, 2
_FLAG_TSYNC = 1
_KILL_PROCESS = 0x8000_0000
_INSTRUCTION_BYTES = 8


def probe() -> str:
    """Why the kernel takes no filter; empty when it does."""
    if kernel.SECCOMP < 0:
        return f"the system calls of {kernel.MACHINE} are not known"
    try:
        kernel.call(kernel.SECCOMP, _GET_ACTION_AVAIL, 0, kernel.word(_KILL_PROCESS))
    except OSError as error:
        return f"the kernel offers no seccomp filters ({error.strerror}): it has to be built with CONFIG_SECCOMP_FILTER"
    return ""


def apply(order: bytes) -> None:
    """Put on a program, on every thread."""
    length = (len(order) // _INSTRUCTION_BYTES).to_bytes(8, "little")
    kernel.call(kernel.SECCOMP, _SET_MODE_FILTER, _FLAG_TSYNC, length + kernel.pointer(order))
