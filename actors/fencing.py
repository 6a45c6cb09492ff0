"""How a dispatcher answers only when all that was let through before has reached its mailbox, or is finished."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from . import messages as m
from ._thespian import Address
from .audience import Audience
from .dependencies import wants
from .promises import Answer, Promise, Promises
from .target import Target

UNKNOWN = 0
"""In the place of a session: those of which nobody knows any more."""


class Fencing:
    """The fences of one dispatcher, and what follows when they have been passed."""

    def __init__(
        self,
        send: Callable[[Address, Any], None],
        epoch: int,
        audience: Audience,
        targets: Mapping[int, Target],
        routes: Mapping[int, m.Route],
    ) -> None:
        self._send = send
        self._epoch = epoch
        self._audience = audience
        self._targets = targets
        self._routes = routes
        # No fence of an earlier dispatcher comes again.
        self.promises = Promises((epoch - 1) << 32)

    def answer_behind_all(self, plugin_id: int, to: Address, answer: Answer) -> None:
        """Answer once all has reached its mailbox that was let through to this plugin, and from it to others."""
        self._answer_behind((plugin_id, *self._reached_by(plugin_id)), to, answer)

    def _reached_by(self, plugin_id: int) -> list[int]:
        """The plugins to which this one may have frames under way."""
        route = self._routes.get(plugin_id)
        if route is None or plugin_id not in self._audience.plugins.values():
            return []
        return [other for other, target in self._targets.items() if target.route.name in wants(route)]

    def _answer_behind(self, plugin_ids: Sequence[int], to: Address, answer: Answer | None) -> None:
        """Answer once all that was let through to these plugins has reached their mailboxes, one after the other."""
        for place, plugin_id in enumerate(plugin_ids, 1):
            target = self._targets.get(plugin_id)
            if target is not None and target.actor is not None:
                self.raise_fence(target, Promise(plugin_id, to, answer, then=tuple(plugin_ids[place:])))
                return
        self._send(to, answer)

    def raise_fence(self, target: Target, promise: Promise) -> None:
        """Keep a promise when all that was let through to this target has reached its mailbox."""
        token = self.promises.add(promise)
        self._send(target.actor, m.Fence(token, dispatcher_epoch=self._epoch))

    def await_end_of(self, session: int, target: Target) -> None:
        """A session's frames take room until they are finished, and so does its lease."""
        token = self.promises.add(Promise(target.route.plugin_id, detached=session))
        if target.actor is not None:
            self._send(target.actor, m.Fence(token, settled=True, dispatcher_epoch=self._epoch))

    def settle_unknown(self, target: Target) -> None:
        """When all that were there before are back or gone, what is still unknown is in the mailbox, or nowhere."""
        waiting = self.promises.of(target.route.plugin_id).values()
        if target.ledger.must_be_settled and not any(promise.detached == UNKNOWN for promise in waiting):
            self.await_end_of(UNKNOWN, target)

    def passed(self, token: int) -> None:
        """Do what was promised."""
        promise = self.promises.take(token)
        if promise is None:
            return
        if promise.detached is None:
            self._answer_behind(promise.then, promise.to, promise.answer)
        elif (target := self._targets.get(promise.plugin_id)) is not None:
            ledger = target.ledger
            moves = ledger.drained(promise.detached) if promise.detached else ledger.settled()
            self._audience.move_credit(target, moves)

    def release(self, plugin_id: int) -> None:
        """The plugin actor that they were sent to is gone, and what was under way to it with it."""
        target = self._targets.get(plugin_id)
        for token, promise in self.promises.of(plugin_id).items():
            if not promise.settled or target is None or target.actor is None:
                self.passed(token)
            else:
                # The frames themselves are not gone: they are in the mailbox of the next plugin actor.
                self._send(target.actor, m.Fence(token, settled=True, dispatcher_epoch=self._epoch))
