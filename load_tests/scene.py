"""``Scene``: what a driver is given; it returns the :class:`Round` that it has measured."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Protocol, TypeAlias

import attrs

from .result import Round
from .scenario import Scenario


class Show(Protocol):
    """Shows how far a run is."""

    def phase(self, text: str, seconds: float = 0.0) -> None:
        """Something begins, which takes so long (0: nobody knows)."""

    def note(self, text: str) -> None:
        """Say something that stays."""

    def look(self, per_s: float, depth: int) -> None:
        """So many frames were processed in a second just now, and so many are in mailboxes."""


class Silence:
    """Shows nothing."""

    def phase(self, text: str, seconds: float = 0.0) -> None:
        """Show nothing."""

    def note(self, text: str) -> None:
        """Show nothing."""

    def look(self, per_s: float, depth: int) -> None:
        """Show nothing."""


@attrs.frozen
class Scene:
    """One round of a scenario, or of a variant of it."""

    scenario: Scenario
    number: int
    """Of the round, from 1 on."""
    base: Path
    """The folder of the scenario's file, where relative paths begin."""
    connect: Path | None
    """The runtime directory of the system that is put under load; ``None`` for one of its own."""
    stop: threading.Event
    """Set when the run is to end early: a driver then returns what it has."""
    show: Show
    maxima: dict[Hashable, float] = attrs.field(factory=dict)
    """What was measured for rates that are shares of a maximum, by how: the same for all variants of a round."""


Driver: TypeAlias = Callable[[Scene], Round]
