"""How much of the jail a machine can enforce, in one word, and why it is no more."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Literal, NamedTuple, get_args

from . import landlock
from .plan import unavailable

Level = Literal["full", "partial", "cooperative"]
LEVELS: tuple[Level, ...] = get_args(Level)
"""From the strongest to the weakest."""
DECISIVE = ("landlock", "seccomp")
"""Both make the level full, one makes it partial. The other layers work on every Linux."""
# What each version of Landlock's interface added, and who stands in for it before.
_LATER = (
    (4, "seccomp alone keeps a plugin from TCP"),
    (5, "seccomp alone keeps a plugin from ioctl on devices"),
    (6, "seccomp alone keeps a plugin from signals and abstract sockets"),
)


class Enforcement(NamedTuple):
    """The level that a machine reaches, and why it can't have the layers that it lacks, by their names."""

    level: Level
    missing: Mapping[str, str]

    def reaches(self, required: Level) -> bool:
        """Whether that is enough."""
        return LEVELS.index(self.level) <= LEVELS.index(required)

    def reasons(self) -> tuple[str, ...]:
        """Return why it is no more, in words."""
        return tuple(f"{name}: {reason}" for name, reason in self.missing.items())


NOTHING = Enforcement("cooperative", {"all": "plugins run in the process of the application"})
"""What is enforced without workers, on transport ``inline``."""


def enforcement() -> Enforcement:
    """Return what this machine can enforce; found out once for each process."""
    missing = unavailable()
    return Enforcement(LEVELS[sum(name in missing for name in DECISIVE)], missing)


class Machine(NamedTuple):
    """What the level depends on."""

    kernel: str
    architecture: str
    landlock_version: int
    """0 when there is none."""
    notes: tuple[str, ...]
    """What one layer has to do alone, because the other could do it on a later kernel only."""


def machine() -> Machine:
    """Look at this machine."""
    try:
        version = landlock.version()
    except OSError:
        version = 0
    notes = tuple(f"{text} (Landlock {since} covers it too)" for since, text in _LATER if 0 < version < since)
    return Machine(os.uname().release, os.uname().machine, version, notes)
