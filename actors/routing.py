"""How the routes of a dispatcher change, and who is told: sessions at once, who asked when it holds for all frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from . import messages as m
from ._thespian import Address
from .admission import ACCEPTING
from .arrivals import Arrivals
from .audience import Audience
from .dispatch_counts import DispatchCounts
from .fencing import Fencing
from .promises import Answer, Promise
from .route_book import RouteBook
from .target import Target


class Routing:
    """Of one dispatcher: what its supervisor and the registry say of plugins."""

    def __init__(
        self,
        send: Callable[[Address, Any], None],
        parent: Address,
        audience: Audience,
        targets: dict[int, Target],
        book: RouteBook,
        counts: DispatchCounts,
        fencing: Fencing,
        arrivals: Arrivals,
    ) -> None:
        self._send = send
        self._parent = parent
        self._audience = audience
        self._targets = targets
        self._book = book
        self._counts = counts
        self._fencing = fencing
        self._arrivals = arrivals

    def set(self, message: m.SetRoute, sender: Address) -> None:
        """Open a route, or change one."""
        target = self._targets.get(message.route.plugin_id)
        if target is None:
            target = self._open(message)
        else:
            self._change(target, message)
        if message.again:
            return
        answer = m.RouteSet(message.load_id, self._audience.version, message.number)
        if message.route.state in ACCEPTING or message.actor is None:
            self._send(sender, answer)
        else:
            self._fencing.raise_fence(target, Promise(message.route.plugin_id, sender, answer))

    def _open(self, message: m.SetRoute) -> Target:
        route = message.route
        target = self._targets[route.plugin_id] = Target.open(message, self._arrivals.holders)
        self._counts.loaded(message.load_id)
        self._publish(target, route)
        self._audience.attach_all(target)
        self._fencing.settle_unknown(target)
        # Who waits for this version has the first credit too: load and dispatch_nowait can follow each other.
        self._audience.publish((), {})
        return target

    def _change(self, target: Target, message: m.SetRoute) -> None:
        route, had_actor = message.route, target.actor is not None
        actor_is_gone = target.route.epoch != route.epoch or message.actor is None
        target.change_actor(message.actor)
        if actor_is_gone:
            self._fencing.release(route.plugin_id)
        # Where no actor comes after the last one, nobody else will tell of the frames that it had.
        self._publish(target, route, {} if message.actor is not None else {route.plugin_id: False})
        if not had_actor and message.actor is not None:
            self._audience.attach_all(target)

    def _publish(self, target: Target, route: m.Route, gone: Mapping[int, bool] | None = None) -> None:
        target.route = self._book.put(route)
        self._audience.publish((target.route,), gone or {})

    def drop(self, message: m.DropRoute, sender: Address) -> None:
        """A plugin is gone."""
        if (target := self._targets.pop(message.plugin_id, None)) is not None:
            self._fencing.release(message.plugin_id)
            self._counts.unloaded(message.load_id, message.plugin_id, target.epochs, message.drained)
        # Sessions may know it from an earlier dispatcher.
        self._book.drop(message.plugin_id)
        self._audience.publish((), {message.plugin_id: message.drained})
        self._send(sender, m.RouteDropped(message.load_id, self._audience.version))

    def know(self, rows: tuple[m.Registration, ...]) -> None:
        """Take over the registry's rows: permissions that are in force, and what is at rest, complete."""
        changed, gone = self._book.know(rows)
        for route in changed:
            if (target := self._targets.get(route.plugin_id)) is not None:
                target.route = route
        if changed or gone:
            self._audience.publish(changed, gone)
        if self._arrivals.begin():
            self._send(self._parent, m.PermissionsKnown())
            self._arrivals.let_in()

    def forget(self, message: m.RegistrationForgotten) -> None:
        """A plugin at rest is registered no more."""
        if self._book.forget_resting(message.plugin_id):
            self._audience.publish((), {message.plugin_id: True})
        self._send(self._parent, m.Forgotten(message.number, self._audience.version))

    def change_permissions(self, message: m.PermissionsChanged) -> None:
        """These are in force for all frames that are not in a mailbox."""
        target = self._targets.get(message.plugin_id)
        changed = self._book.grant(message.plugin_id, message.permissions)
        if target is not None and changed is not None:
            self._publish(target, changed)
        if message.reply_to is None:
            return
        version = self._audience.version
        answer: Answer = m.Reply(message.request_id, version=version)
        if message.swap_id:
            answer = m.PermissionsInForce(message.swap_id, version)
        self._fencing.answer_behind_all(message.plugin_id, message.reply_to, answer)
