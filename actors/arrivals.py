"""How sessions come to a dispatcher and go, also to one that comes after another and has to learn what is in force."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from . import messages as m
from ._thespian import Address
from .audience import Audience
from .dispatch_counts import DispatchCounts
from .fencing import Fencing
from .target import Target

INCOMPLETE = -1
"""Version of routes that a session has without their credit, which follows."""


class Arrivals:
    """Of one dispatcher. Who comes before the permissions in force are known waits for that."""

    def __init__(
        self,
        send: Callable[[Address, Any], None],
        audience: Audience,
        targets: Mapping[int, Target],
        routes: Mapping[int, m.Route],
        counts: DispatchCounts,
        fencing: Fencing,
        restarted: bool,
    ) -> None:
        self._send = send
        self._audience = audience
        self._targets = targets
        self._routes = routes
        self._counts = counts
        self._fencing = fencing
        self._awaited: dict[int, m.SessionJoined] = {}
        """Sessions that were there before this dispatcher, and have not rejoined."""
        self._early: list[m.SessionJoined] = []
        """Sessions that have come before the permissions in force are known here."""
        self._must_know = restarted
        """Whether the supervisor waits until the permissions in force are known here."""
        self.must_be_told = restarted
        """Whether routes are on their way that an earlier dispatcher has known."""

    @property
    def holders(self) -> Mapping[int, m.SessionJoined] | None:
        """Before the sessions have heard of this dispatcher, they hold what an earlier one has lent them."""
        return self._awaited if self._must_know or self.must_be_told else None

    def expect(self, joined: m.SessionJoined) -> None:
        """This session was there before, and will rejoin."""
        self._awaited[joined.session] = joined

    def begin(self) -> bool:
        """All may be known now; returns whether it is, and was not before."""
        if not self._must_know or self.must_be_told:
            return False
        self._must_know = False
        return True

    def let_in(self) -> None:
        """Let in who has come early."""
        for joined in self._early:
            self.join(joined)
        self._early.clear()

    def join(self, message: m.SessionJoined) -> None:
        """A session has come; nothing happens if it is there, or was before this dispatcher."""
        if message.session in self._audience.sessions or message.session in self._awaited:
            return
        if self._must_know:
            self._early.append(message)
            return
        self._welcome(message)
        audience = self._audience
        audience.tell_routes(message.session, INCOMPLETE, tuple(self._routes.values()), {})
        for target in self._targets.values():
            audience.move_credit(target, target.ledger.attach(message.session, message.sends))
        audience.tell_routes(message.session, audience.version, (), {})

    def _welcome(self, joined: m.SessionJoined) -> None:
        self._audience.welcome(joined)
        self._counts.join(joined.session)

    def rejoin(self, message: m.Rejoin) -> None:
        """A session that was there before says what it has and knows."""
        joined = self._awaited.pop(message.session, None)
        if joined is None:
            return
        self._welcome(joined)
        self._counts.rejoin(message.session, message.dispatched, message.refused, message.sent)
        gone = {id: drained for id, epoch in message.epochs.items() if (drained := self._went(id, epoch)) is not None}
        audience = self._audience
        audience.tell_routes(message.session, INCOMPLETE, tuple(self._routes.values()), gone)
        for plugin_id, target in self._targets.items():
            size = 0 if plugin_id in gone else message.leases.get(plugin_id, 0)
            audience.move_credit(target, target.ledger.rejoin(message.session, size, joined.sends))
            audience.move_credit(target, target.ledger.attach(message.session, joined.sends))
            self._fencing.settle_unknown(target)
        audience.tell_routes(message.session, audience.version, (), {})

    def _went(self, plugin_id: int, epoch: int) -> bool | None:
        """Whether the plugin was drained that a session knows by this epoch of its route; ``None`` if it is there."""
        target, route = self._targets.get(plugin_id), self._routes.get(plugin_id)
        if target is not None and target.first_epoch <= epoch:
            return None if target.actor is not None else False
        if epoch == 0:
            # It was at rest.
            return None if route is not None else True
        return self._counts.was_drained(plugin_id, epoch)

    def leave(self, session: int) -> None:
        """A session has gone; its lease is free again once its frames are finished."""
        self._early = [joined for joined in self._early if joined.session != session]
        was_awaited = self._awaited.pop(session, None) is not None
        if self._audience.leave(session) or was_awaited:
            for target in self._targets.values():
                if target.forget(session):
                    self._send(target.actor, m.SessionLeft(session))
                self._audience.move_credit(target, target.ledger.detach(session))
                self._fencing.settle_unknown(target) if was_awaited else self._fencing.await_end_of(session, target)
        self._counts.leave(session)
