"""How much of the jail a machine can enforce, in one word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, get_args

from .plan import unavailable

Level = Literal["full", "partial", "cooperative"]
LEVELS: tuple[Level, ...] = get_args(Level)
"""From the strongest to the weakest."""
DECISIVE = ("landlock", "seccomp")
"""Both make the level full, one makes it partial. The other layers work on every Linux."""


class Enforcement(NamedTuple):
    """The level that a machine reaches, and why it can't have the layers that it lacks (by their names)."""

    level: Level
    missing: Mapping[str, str]

    def shortfall(self, required: Level) -> str:
        """Why ``required`` is not reached; empty when it is."""
        if LEVELS.index(self.level) <= LEVELS.index(required):
            return ""
        reasons = "; ".join(f"{name}: {reason}" for name, reason in self.missing.items())
        return f"this machine enforces policies at level {self.level}, and {required} is required ({reasons})"


def enforcement() -> Enforcement:
    """Return what this machine can enforce; found out once for each process."""
    missing = unavailable()
    lacking = sum(name in missing for name in DECISIVE)
    return Enforcement(LEVELS[lacking], missing)
