"""The sessions of a dispatcher, and how each of them is told of routes, credit and refusals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from . import messages as m
from ._thespian import Address
from .credit import Grant, Recall
from .target import Target


class Audience:
    """Those that are there. What they are told has the epoch of the dispatcher; routes have a version that grows."""

    def __init__(self, send: Callable[[Address, Any], None], epoch: int) -> None:
        self._send = send
        self._epoch = epoch
        # No version of an earlier dispatcher comes again.
        self.version = (epoch - 1) << 32
        """Of the routes that all have been told last."""
        self.sessions: dict[int, m.SessionJoined] = {}
        self.plugins: dict[int, int] = {}
        """The sessions of plugins, and the ids of these."""
        self._onlookers: set[int] = set()
        """Sessions that are not going to send, and get credit only when they ask for it."""

    def welcome(self, joined: m.SessionJoined) -> None:
        """A session is there from now on."""
        self.sessions[joined.session] = joined
        if not joined.sends:
            self._onlookers.add(joined.session)
        if joined.plugin_id is not None:
            self.plugins[joined.session] = joined.plugin_id

    def leave(self, session: int) -> bool:
        """A session has gone; returns whether it was there."""
        self._onlookers.discard(session)
        self.plugins.pop(session, None)
        return self.sessions.pop(session, None) is not None

    def tell(self, session: int, message: Any) -> None:
        """Tell one session, if it is there."""
        if (joined := self.sessions.get(session)) is not None:
            self._send(joined.address, message)

    def tell_routes(self, session: int, version: int, routes: tuple[m.Route, ...], gone: Mapping[int, bool]) -> None:
        """Tell one session of routes that are others now, or gone (and whether what they led to was drained)."""
        self.tell(session, m.RoutesChanged(version, routes, gone, self._epoch))

    def publish(self, routes: tuple[m.Route, ...], gone: Mapping[int, bool]) -> None:
        """Tell all of them, with a version of its own."""
        self.version += 1
        for session in self.sessions:
            self.tell_routes(session, self.version, routes, gone)

    def reject(self, session: int, plugin_id: int, frames: tuple[tuple[int, BaseException], ...]) -> None:
        """Tell a session that its frames (sequence number, error) are refused."""
        self.tell(session, m.Rejected(plugin_id, frames, self._epoch))

    def move_credit(self, target: Target, moves: list[Grant | Recall]) -> None:
        """Tell those whose credit changes."""
        for move in moves:
            kind = m.CreditGranted if isinstance(move, Grant) else m.CreditRecalled
            self.tell(move.session, kind(target.route.plugin_id, move.frames, self._epoch))

    def attach_all(self, target: Target) -> None:
        """Give all of them their share of a plugin's room."""
        for session in self.sessions:
            self.move_credit(target, target.ledger.attach(session, session not in self._onlookers))
