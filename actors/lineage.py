"""How many forks lie between this process and the one in which the program began: cheaper to look at than its id."""

from __future__ import annotations

import os


class Lineage:
    """Counts in each process that is forked."""

    forks = 0

    @classmethod
    def forked(cls) -> None:
        """This process was forked from the one that had counted so far."""
        cls.forks += 1


os.register_at_fork(after_in_child=Lineage.forked)
