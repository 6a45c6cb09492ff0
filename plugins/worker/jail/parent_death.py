"""The parent's death is the worker's: SIGKILL, sent by the kernel."""

from __future__ import annotations

import os
from _signal import SIGKILL  # type: ignore[import-not-found]  # signal itself imports enum
from errno import ESRCH

from . import kernel

_PR_SET_PDEATHSIG = 1


def probe() -> str:
    """Works wherever the numbers of the system calls are known."""
    return "" if kernel.PRCTL >= 0 else f"the system calls of {kernel.MACHINE} are not known"


def apply(order: int) -> None:
    """Die with the parent ``order``. Raises :class:`OSError` when it is dead already."""
    kernel.prctl(_PR_SET_PDEATHSIG, SIGKILL)
    if os.getppid() != order:
        raise OSError(ESRCH, f"parent {order} has ended")
