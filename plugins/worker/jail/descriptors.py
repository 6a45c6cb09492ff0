"""Descriptors: the standard streams and those that the host names stay open, all others are closed."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_FIRST = 3
_PAST_ALL = 1 << 30


def probe() -> str:
    """Works everywhere."""
    return ""


def apply(order: Sequence[int]) -> None:
    """Keep the given descriptors, and let no program that this one starts inherit them."""
    start = _FIRST
    for fd in sorted(order):
        os.closerange(start, fd)
        os.set_inheritable(fd, False)
        start = fd + 1
    os.closerange(start, _PAST_ALL)
