"""What becomes of transports when their process forks: copies of their sockets would hide their ends from the peers."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Abandonable(Protocol):
    """Something whose descriptors a forked process has no use for."""

    def abandon(self) -> None:
        """Close the descriptors, and nothing else."""


_open: weakref.WeakSet[Abandonable] = weakref.WeakSet()


def belongs_to_this_process(transport: Abandonable) -> None:
    """See to it that a process that is forked from this one abandons ``transport``."""
    _open.add(transport)


def is_closed(transport: Abandonable) -> None:
    """There is nothing left to abandon."""
    _open.discard(transport)


def _abandon_all() -> None:
    for transport in list(_open):
        transport.abandon()
    _open.clear()


os.register_at_fork(after_in_child=_abandon_all)
