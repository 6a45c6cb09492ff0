"""The dispatcher: validates, authorises and routes frames; leases credit; counts.

It is on the path of every frame: it parses a header once, never blocks, asks nobody, and looks into ``data`` of control
frames only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, assert_never

import attrs

from ..config.errors import NyxPluginError
from ..plugins.errors import PermissionDenied, PluginFailed, PluginNotRegistered, SandboxViolation
from ..plugins.policy import Policy
from . import messages as m
from ._thespian import ActorProcess, Address
from .admission import ACCEPTING, AT_REST, admit
from .credit import CreditLedger, Grant, Recall
from .events import DispatchStats
from .frame_rules import FrameRules

INCOMPLETE = -1
"""Version of routes that a session has without their credit, which follows."""


@attrs.define(eq=False)
class _Target:
    """One plugin as the dispatcher sees it."""

    route: m.Route
    actor: Address
    ledger: CreditLedger
    first_epoch: int
    """Frames sent under an older one were for another plugin of the same id."""
    highest: dict[int, int] = attrs.field(factory=dict)
    """Per session the highest sequence number passed on, so that a frame sent again is not counted again."""


@attrs.frozen
class _Waiting:
    """An answer that is due once everything sent before a fence has arrived."""

    plugin_id: int
    to: Address = None
    answer: m.Reply | m.RouteSet | m.PermissionsInForce | None = None
    detached: int | None = None
    """The session that has gone, whose lease is free again then."""


class Dispatcher(ActorProcess):
    """Between the sessions and the plugin actors."""

    def __init__(self) -> None:
        super().__init__()
        self._rules: FrameRules
        self._parent: Address = None
        self._guard: Address = None
        self._targets: dict[int, _Target] = {}
        self._routes: dict[int, m.Route] = {}
        self._sessions: dict[int, Address] = {}
        self._onlookers: set[int] = set()
        """Sessions that are not going to send, and get credit only when they ask for it."""
        self._version = 0
        self._fences: dict[int, _Waiting] = {}
        self._next_fence = 0
        self._must_know = False
        """Whether the supervisor waits until the permissions in force are known here."""
        self._loaded = 0
        self._unloaded = 0
        self._dispatched = 0
        self._refused: Counter[str] = Counter()

    def receive(self, message: m.DispatcherMessage, sender: Address) -> None:
        """Handle one message, the frequent ones first."""
        match message:
            case m.Submit():
                self._submit(message)
            case m.WantCredit():
                self._with_ledger(message, CreditLedger.want)
            case m.ReturnCredit():
                self._with_ledger(message, CreditLedger.returned)
            case m.Overflowed():
                self._overflowed(message)
            case m.GetPluginStats():
                self._pass_on(message)
            case m.GetDispatchStats():
                self.send(message.reply_to, m.Reply(message.request_id, self._statistics()))
            case m.FencePassed():
                self._fence_passed(message.token)
            case m.SetRoute():
                self._set_route(message, sender)
            case m.DropRoute():
                self._drop_route(message, sender)
            case m.KnownRegistrations():
                self._know(message.registrations)
            case m.RegistrationForgotten():
                self._forget(message)
            case m.PermissionsChanged():
                self._change_permissions(message)
            case m.SessionJoined():
                self._join(message)
            case m.SessionLeft():
                self._leave(message.session)
            case m.StartDispatcher():
                self._start(message, sender)
            case m.Introduce():
                self._guard = message.address if message.role == "guard" else self._guard
            case _:
                assert_never(message)

    def _start(self, message: m.StartDispatcher, sender: Address) -> None:
        self._rules, self._parent = message.rules, sender
        self._must_know = message.restarted
        # No version and no fence of an earlier dispatcher comes again.
        self._version = self._next_fence = (message.epoch - 1) << 32
        self.end_with_host(message.host_pid)
        for joined in message.sessions:
            self._join(joined)
        self.send(sender, m.ChildReady("dispatcher"))

    # Frames.

    def _submit(self, message: m.Submit) -> None:
        for refusal in message.refusals:
            self._note_refusal(refusal)
        for batch in message.batches:
            target = self._targets.get(batch.plugin_id)
            if target is None or batch.epoch < target.first_epoch:
                self._reject_unknown(message.session, batch)
            elif target.route.epoch == batch.epoch:
                self._route_batch(message.session, batch, target)
            # A batch of an older epoch is sent again by its session, which is about to learn of the new one.

    def _route_batch(self, session: int, batch: m.Batch, target: _Target) -> None:
        passed: list[tuple[int, int, bytes, int]] = []
        rejected: list[tuple[int, BaseException]] = []
        counted = target.highest.get(session, 0)
        for seq, frame_type, header in batch.frames:
            try:
                admitted = admit(self._routes, frame_type, header, self._rules, None)
            except NyxPluginError as error:
                rejected.append((seq, error))
                # It was on its way to a plugin actor that ended before it arrived.
                self._dispatched -= seq <= counted
            else:
                passed.append((seq, frame_type, header, admitted.data_length))
        if passed:
            self._count_dispatched(session, target, passed)
            self.send(target.actor, m.Enqueue(session, tuple(passed), batch.extras))
        if rejected:
            self._reject(session, target, rejected)

    def _reject_unknown(self, session: int, batch: m.Batch) -> None:
        error = PluginNotRegistered(batch.plugin_id)
        self._refused[type(error).__name__] += len(batch.frames)
        rejected = tuple((seq, error) for seq, _, _ in batch.frames)
        self._to_session(session, m.Rejected(batch.plugin_id, rejected))

    def _count_dispatched(self, session: int, target: _Target, passed: list[tuple[int, int, bytes, int]]) -> None:
        highest = target.highest.get(session, 0)
        if passed[0][0] > highest:
            self._dispatched += len(passed)
        else:
            self._dispatched += sum(1 for frame in passed if frame[0] > highest)
        target.highest[session] = max(highest, passed[-1][0])

    def _reject(self, session: int, target: _Target, rejected: list[tuple[int, BaseException]]) -> None:
        plugin_id = target.route.plugin_id
        for _, error in rejected:
            self._note_refusal(refusal_of(error, plugin_id))
        self._to_session(session, m.Rejected(plugin_id, tuple(rejected)))

    def _overflowed(self, message: m.Overflowed) -> None:
        self._dispatched -= len(message.frames)
        for _, error in message.frames:
            self._refused[type(error).__name__] += 1
        self._to_session(message.session, m.Rejected(message.plugin_id, message.frames))

    def _note_refusal(self, refusal: m.Refusal) -> None:
        self._refused[refusal.cause] += refusal.count
        if refusal.was_submitted:
            self._dispatched -= refusal.count
        target = self._targets.get(refusal.plugin_id or 0)
        if target is None or not refusal.permission:
            return
        self.send(target.actor, m.NoteViolations(refusal.count))
        if refusal.violation is not None and self._guard is not None:
            self.send(
                self._guard, m.ReportViolation(target.route.plugin_id, refusal.violation, refusal.count, by_sender=True)
            )

    # Credit.

    def _with_ledger(self, message: m.WantCredit | m.ReturnCredit, change: Any) -> None:
        target = self._targets.get(message.plugin_id)
        if target is not None:
            self._move_credit(target, change(target.ledger, message.session, message.frames))

    def _move_credit(self, target: _Target, moves: list[Grant | Recall]) -> None:
        for move in moves:
            kind = m.CreditGranted if isinstance(move, Grant) else m.CreditRecalled
            self._to_session(move.session, kind(target.route.plugin_id, move.frames))

    # Routes.

    def _set_route(self, message: m.SetRoute, sender: Address) -> None:
        route = message.route
        target = self._targets.get(route.plugin_id)
        if target is None:
            target = _Target(route, message.actor, CreditLedger(route.capacity), route.epoch)
            self._targets[route.plugin_id] = target
            self._loaded += 1
            self._publish(target, route)
            for session in self._sessions:
                self._move_credit(target, target.ledger.attach(session, session not in self._onlookers))
            # Who waits for this version has the first credit too: load and dispatch_nowait can follow each other.
            self._tell_sessions((), {})
        else:
            actor_is_gone = target.route.epoch != route.epoch or message.actor is None
            target.actor = message.actor
            if actor_is_gone:
                self._release_fences(route.plugin_id)
            # Permissions are the registry's to change: what it said last stands.
            target.route = attrs.evolve(route, permissions=target.route.permissions)
            self._routes[route.plugin_id] = target.route
            # Where no actor comes after the last one, nobody else will tell of the frames that it had.
            gone = {} if message.actor is not None else {route.plugin_id: False}
            self._tell_sessions((target.route,), gone)
        answer = m.RouteSet(message.load_id, self._version, message.number)
        if route.state in ACCEPTING or message.actor is None:
            self.send(sender, answer)
        else:
            self._raise_fence(target, sender, answer)

    def _drop_route(self, message: m.DropRoute, sender: Address) -> None:
        if self._targets.pop(message.plugin_id, None) is not None:
            self._release_fences(message.plugin_id)
            self._unloaded += 1
        # Sessions may know it from an earlier dispatcher.
        self._routes.pop(message.plugin_id, None)
        self._tell_sessions((), {message.plugin_id: message.drained})
        self.send(sender, m.RouteDropped(message.load_id, self._version))

    def _publish(self, target: _Target, route: m.Route) -> None:
        target.route = self._routes[route.plugin_id] = route
        self._tell_sessions((route,), {})

    def _tell_sessions(self, routes: tuple[m.Route, ...], gone: Mapping[int, bool]) -> None:
        self._version += 1
        for session in self._sessions:
            self._to_session(session, m.RoutesChanged(self._version, routes, gone))

    def _know(self, rows: tuple[m.Registration, ...]) -> None:
        """Take over the registry's rows: permissions that are in force, and what is at rest, complete."""
        at_rest = {row.plugin_id: self._rest(row) for row in rows if row.state == AT_REST}
        gone = {id: True for id, route in self._routes.items() if route.state == AT_REST and id not in at_rest}
        for plugin_id in gone:
            del self._routes[plugin_id]
        for row in rows:
            target = self._targets.get(row.plugin_id)
            if target is not None and target.route.permissions != row.granted:
                self._publish(target, attrs.evolve(target.route, permissions=row.granted))
        self._tell_sessions(tuple(at_rest.values()), gone)
        if self._must_know:
            self._must_know = False
            self.send(self._parent, m.PermissionsKnown())

    def _rest(self, row: m.Registration) -> m.Route:
        """Know of a plugin without an actor, so that its frames are refused with the right reason."""
        route = m.Route(row.plugin_id, row.name, row.version, AT_REST, row.granted, Policy(), 0, 0, 0)
        self._routes[row.plugin_id] = route
        return route

    def _forget(self, message: m.RegistrationForgotten) -> None:
        if message.plugin_id not in self._targets and self._routes.pop(message.plugin_id, None) is not None:
            self._tell_sessions((), {message.plugin_id: True})
        self.send(message.reply_to, m.Reply(message.request_id, version=self._version))

    def _change_permissions(self, message: m.PermissionsChanged) -> None:
        answer: m.Reply | m.PermissionsInForce = m.Reply(message.request_id, version=self._version + 1)
        if message.swap_id:
            answer = m.PermissionsInForce(message.swap_id, self._version + 1)
        target = self._targets.get(message.plugin_id)
        if target is None:
            self.send(message.reply_to, answer if message.swap_id else m.Reply(message.request_id))
            return
        self._publish(target, attrs.evolve(target.route, permissions=message.permissions))
        if target.actor is None:
            self.send(message.reply_to, answer)
        else:
            self._raise_fence(target, message.reply_to, answer)

    # Fences: an answer waits until all that was let through before has reached the mailbox.

    def _raise_fence(self, target: _Target, to: Address, answer: m.Reply | m.RouteSet | m.PermissionsInForce) -> None:
        self._next_fence += 1
        self._fences[self._next_fence] = _Waiting(target.route.plugin_id, to, answer)
        self.send(target.actor, m.Fence(self._next_fence))

    def _fence_passed(self, token: int) -> None:
        waiting = self._fences.pop(token, None)
        if waiting is None:
            return
        if waiting.detached is None:
            self.send(waiting.to, waiting.answer)
        elif (target := self._targets.get(waiting.plugin_id)) is not None:
            self._move_credit(target, target.ledger.drained(waiting.detached))

    def _release_fences(self, plugin_id: int) -> None:
        """The plugin actor that they were sent to is gone, and what was under way to it with it."""
        target = self._targets.get(plugin_id)
        for token, waiting in list(self._fences.items()):
            if waiting.plugin_id != plugin_id:
                continue
            if waiting.detached is None or target is None:
                self._fence_passed(token)
            elif target.actor is not None:
                # The frames themselves are not gone: they are in the mailbox of the next plugin actor.
                self.send(target.actor, m.Fence(token, settled=True))

    # Sessions and statistics.

    def _join(self, message: m.SessionJoined) -> None:
        self._sessions[message.session] = message.address
        if not message.sends:
            self._onlookers.add(message.session)
        self._to_session(message.session, m.RoutesChanged(INCOMPLETE, tuple(self._routes.values()), {}))
        for target in self._targets.values():
            self._move_credit(target, target.ledger.attach(message.session, message.sends))
        self._to_session(message.session, m.RoutesChanged(self._version, (), {}))

    def _leave(self, session: int) -> None:
        self._onlookers.discard(session)
        if self._sessions.pop(session, None) is not None:
            for target in self._targets.values():
                target.highest.pop(session, None)
                self._move_credit(target, target.ledger.detach(session))
                self._await_end_of(session, target)

    def _await_end_of(self, session: int, target: _Target) -> None:
        """A session's frames take room until they are finished, and so does its lease."""
        self._next_fence += 1
        self._fences[self._next_fence] = _Waiting(target.route.plugin_id, detached=session)
        if target.actor is not None:
            self.send(target.actor, m.Fence(self._next_fence, settled=True))

    def _to_session(self, session: int, message: Any) -> None:
        address = self._sessions.get(session)
        if address is not None:
            self.send(address, message)

    def _pass_on(self, message: m.GetPluginStats) -> None:
        target = self._targets.get(message.plugin_id)
        if target is not None and target.actor is not None:
            self.send(target.actor, message)
            return
        error: NyxPluginError = PluginNotRegistered(message.plugin_id)
        if target is not None:
            error = PluginFailed(message.plugin_id, "its counters ended with its plugin actor", "statistics")
        self.send(message.reply_to, m.Reply(message.request_id, error=error))

    def _statistics(self) -> DispatchStats:
        return DispatchStats(
            self._loaded, self._unloaded, self._dispatched, sum(self._refused.values()), dict(self._refused)
        )


def refusal_of(error: BaseException, plugin_id: int | None, count: int = 1, was_submitted: bool = False) -> m.Refusal:
    """Describe a refused frame for the dispatcher's counters."""
    violation = isinstance(error, (SandboxViolation, PermissionDenied))
    return m.Refusal(
        # Only a violation is the plugin's; ids that nobody has must not make as many kinds of refusals.
        plugin_id if violation else None,
        type(error).__name__,
        count,
        violation=error.request if isinstance(error, SandboxViolation) else None,
        permission=violation,
        was_submitted=was_submitted,
    )
