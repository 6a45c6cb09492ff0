"""Answers that are due once a fence has travelled to a plugin actor, behind all that was let through before. Pure."""

from __future__ import annotations

from typing import TypeAlias

import attrs

from . import messages as m
from ._thespian import Address

Answer: TypeAlias = m.Reply | m.RouteSet | m.PermissionsInForce


@attrs.frozen
class Promise:
    """What follows when the fence has passed: an answer, or a change of who holds credit of the plugin."""

    plugin_id: int
    to: Address = None
    answer: Answer | None = None
    detached: int | None = None
    """The session that has gone, whose lease is free again then; 0: those that are not known any more."""
    then: tuple[int, ...] = ()
    """The plugins that fences have to travel to after this one, before the answer is due."""

    @property
    def settled(self) -> bool:
        """Whether the frames before the fence have to be finished, and not only accepted."""
        return self.answer is None


class Promises:
    """All of one dispatcher; ``first`` is below every number of its fences, and above those of earlier dispatchers."""

    def __init__(self, first: int) -> None:
        self._open: dict[int, Promise] = {}
        self._last = first

    def add(self, promise: Promise) -> int:
        """Keep it, and return the number of its fence."""
        self._last += 1
        self._open[self._last] = promise
        return self._last

    def take(self, token: int) -> Promise | None:
        """Return what is due, once; ``None`` for a number that is not known."""
        return self._open.pop(token, None)

    def of(self, plugin_id: int) -> dict[int, Promise]:
        """Those that wait for one plugin."""
        return {token: promise for token, promise in self._open.items() if promise.plugin_id == plugin_id}
