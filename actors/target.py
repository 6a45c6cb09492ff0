"""One plugin as the dispatcher sees it."""

from __future__ import annotations

from collections.abc import Collection

import attrs

from . import messages as m
from ._thespian import Address, same
from .credit import CreditLedger

FORMER = 8
"""So many plugin actors before the present one are remembered."""


@attrs.define(eq=False)
class Target:
    """Where its frames go, and who has how much room for them."""

    load_id: int
    route: m.Route
    actor: Address
    ledger: CreditLedger
    first_epoch: int
    """Frames sent under an older one were for another plugin of the same id."""
    lends_since: int
    """Credit that was lent under an older epoch is none of the ledger's."""
    _former: list[Address] = attrs.field(factory=list)
    _introduced: set[int] = attrs.field(factory=set)
    """The sessions that the actor has been told of from here."""

    @classmethod
    def open(cls, message: m.SetRoute, holders: Collection[int] | None) -> Target:
        """Begin with this route. ``holders`` may have credit of it already; ``None``: none was lent."""
        route = message.route
        restore = holders is not None and message.actor is not None
        ledger = CreditLedger.restore(route.capacity, holders or ()) if restore else CreditLedger(route.capacity)
        first = message.first_epoch or route.epoch
        return cls(message.load_id, route, message.actor, ledger, first, first)

    @property
    def epochs(self) -> range:
        """All epochs that its route has had."""
        return range(self.first_epoch, self.route.epoch + 1)

    def change_actor(self, actor: Address) -> None:
        """Frames go there from now on; with ``None`` nobody takes any, and nobody has room."""
        if not same(self.actor, actor):
            self._introduced.clear()
            self._former = [*self._former, self.actor][-FORMER:] if self.actor is not None else self._former
        if actor is None:
            # With what they have under way the sessions give up their leases.
            self.ledger, self.lends_since = CreditLedger(self.route.capacity), self.route.epoch
        self.actor = actor

    def introduce(self, session: int) -> bool:
        """Whether the actor has to be told of a session before its first frame; only once for each actor."""
        is_new = session not in self._introduced
        self._introduced.add(session)
        return is_new

    def forget(self, session: int) -> bool:
        """A session has left: whether its actor was told of it from here."""
        was_there = session in self._introduced
        self._introduced.discard(session)
        return was_there

    def is_former(self, actor: Address) -> bool:
        """Whether this was its plugin actor: what that has refused is sent to the present one."""
        return any(same(actor, former) for former in self._former)
