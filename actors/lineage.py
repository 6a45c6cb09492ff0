"""What belongs to one process: a forked one has a copy of it, and none of the threads that made it work.

How many forks lie between a process and the one in which the program began is cheaper to look at than its id.
"""

from __future__ import annotations

import os
import threading

from ..plugins.errors import SystemStopped

_FORKED = "it belongs to the process that this one was forked from"


class Lineage:
    """Counts in each process that is forked."""

    forks = 0

    @classmethod
    def forked(cls) -> None:
        """This process was forked from the one that had counted so far."""
        cls.forks += 1


os.register_at_fork(after_in_child=Lineage.forked)


class Origin:
    """The process in which this is made."""

    def __init__(self) -> None:
        self._forks = Lineage.forks

    @property
    def elsewhere(self) -> SystemStopped | None:
        """Why nothing works in this process, or ``None``."""
        return None if Lineage.forks == self._forks else SystemStopped(_FORKED)

    def check(self) -> None:
        """Raise :class:`SystemStopped` in a process that was forked from it."""
        if Lineage.forks != self._forks:
            raise SystemStopped(_FORKED)


class OwnCondition(threading.Condition):
    """A condition of the process in which it is made: to enter it raises :class:`SystemStopped` in a forked one.

    Nobody would ever notify there, and its lock may be held by a thread that is not there.
    """

    def __init__(self, lock: threading.Lock | None = None) -> None:
        super().__init__(lock)
        self.origin = Origin()

    def __enter__(self) -> bool:
        self.origin.check()
        return super().__enter__()
