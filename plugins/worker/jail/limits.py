"""Resource limits of the kernel. Hard limits can be lowered, and never be raised again without a capability."""

from __future__ import annotations

import os
import resource

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

MORE_MEMORY = "MORE_AS"
"""Stands for an address space of so many bytes beyond what the process has already."""


def probe() -> str:
    """Works everywhere."""
    return ""


def apply(order: Mapping[str, tuple[int, int]]) -> None:
    """Set each limit, soft and hard, by its name in :mod:`resource`; none above the hard limit in force."""
    for name, (soft, hard) in order.items():
        if name == MORE_MEMORY:
            used = _address_space()
            _limit(resource.RLIMIT_AS, used + soft, used + hard)
        else:
            _limit(getattr(resource, name), soft, hard)


def _limit(which: int, soft: int, hard: int) -> None:
    ceiling = resource.getrlimit(which)[1]
    if ceiling != resource.RLIM_INFINITY:
        soft, hard = min(soft, ceiling), min(hard, ceiling)
    resource.setrlimit(which, (soft, hard))


def _address_space() -> int:
    fd = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return int(os.read(fd, 100).split()[0]) * os.sysconf("SC_PAGE_SIZE")
    finally:
        os.close(fd)
