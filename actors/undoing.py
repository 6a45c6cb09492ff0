"""Taking back what the loading of a plugin has done, newest first, until all of it is confirmed. Pure."""

from __future__ import annotations

import enum

from .directives import Directive, Do


class Undo(enum.Enum):
    """What has to be confirmed before a plugin is gone."""

    ROUTE = enum.auto()
    ACTOR = enum.auto()
    ROW = enum.auto()


_ORDERS = {Undo.ROUTE: Do.DROP_ROUTE, Undo.ACTOR: Do.STOP_ACTOR, Undo.ROW: Do.UNREGISTER}


class Undoing:
    """Of one plugin, which may have nothing that has to be taken back."""

    def __init__(self) -> None:
        self.pending: set[Undo] = set()
        """What is not confirmed."""

    @property
    def is_done(self) -> bool:
        """Whether all is confirmed."""
        return not self.pending

    def begin(self, *, route: bool, actor: bool, row: bool) -> list[Directive]:
        """Take back those of these that are there."""
        there = {Undo.ROUTE: route, Undo.ACTOR: actor, Undo.ROW: row}
        parts = [part for part in Undo if there[part]]
        self.pending.update(parts)
        return [_ORDERS[part] for part in parts]

    def confirm(self, part: Undo) -> bool:
        """One of them is gone; returns whether all are."""
        self.pending.discard(part)
        return self.is_done
