"""The dispatcher: validates, authorises and routes frames; leases credit; counts.

It is on the path of every frame: it parses a header once, never blocks, asks nobody, and looks into ``data`` of control
frames only.

It may end at any moment. The next one gets the routes from the supervisor, the permissions that are in force from the
registry, and only then is introduced to the sessions and the plugin actors; each session says what it has and sends
again what may be lost. Whatever an older dispatcher has said does not count any more, with anybody, once they know of
a newer one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, assert_never

from ..config.errors import NyxPluginError
from ..plugins.errors import PluginFailed, PluginNotRegistered
from . import messages as m
from ._thespian import ActorProcess, Address
from .admission import ACCEPTING, Rejection, admit_all
from .credit import Grant, Recall
from .dead_letters import Bounds, DeadLetters
from .dependencies import wants
from .dispatch_counts import DispatchCounts
from .frame_rules import FrameRules
from .letter_office import answer, find
from .promises import Answer, Promise, Promises
from .refusals import refusal_of
from .route_book import RouteBook
from .target import Target

INCOMPLETE = -1
"""Version of routes that a session has without their credit, which follows."""
UNKNOWN = 0
"""In the place of a session: those of which nobody knows any more."""


class Dispatcher(ActorProcess):
    """Between the sessions and the plugin actors."""

    def __init__(self) -> None:
        super().__init__()
        self._rules: FrameRules
        self._letters: str
        self._parent: Address = None
        self._guard: Address = None
        self._epoch = 1
        self._targets: dict[int, Target] = {}
        self._book = RouteBook()
        self._sessions: dict[int, m.SessionJoined] = {}
        self._onlookers: set[int] = set()
        """Sessions that are not going to send, and get credit only when they ask for it."""
        self._plugins: dict[int, int] = {}
        """The sessions of plugins, and the ids of these."""
        self._awaited: dict[int, m.SessionJoined] = {}
        """Sessions that were there before this dispatcher, and have not rejoined."""
        self._early: list[m.SessionJoined] = []
        """Sessions that have come before the permissions in force are known here."""
        self._must_know = False
        """Whether the supervisor waits until the permissions in force are known here."""
        self._must_be_told = False
        """Whether routes are on their way that an earlier dispatcher has known."""
        self._version = 0
        self._promises = Promises(0)
        self._counts = DispatchCounts(None)

    def receive(self, message: m.DispatcherMessage, sender: Address) -> None:
        """Handle one message, the frequent ones first."""
        match message:
            case m.Submit():
                self._submit(message)
            case m.WantCredit():
                self._want(message)
            case m.ReturnCredit():
                self._take_back(message)
            case m.Overflowed():
                self._overflowed(message, sender)
            case m.GetPluginStats():
                self._pass_on(message)
            case m.ListDeadLetters() | m.GetDeadLetter() | m.DropDeadLetters():
                self._answer_for_letters(message)
            case m.FindDeadLetters():
                self.send(message.reply_to, m.Reply(message.request_id, find(self._letters)))
            case m.GetDispatchStats():
                self.send(message.reply_to, m.Reply(message.request_id, self._counts.statistics()))
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
            case m.Rejoin():
                self._rejoin(message)
            case m.StartDispatcher():
                self._start(message, sender)
            case m.RoutesTold():
                # Before, what a session says of its credit could be about plugins that are not known yet.
                self._must_be_told = False
                self.send(sender, m.ChildReady("dispatcher"))
            case m.Introduce():
                self._guard = message.address if message.role == "guard" else self._guard
            case _:
                assert_never(message)

    def on_exit(self) -> None:
        """Let go of the counters."""
        self._counts.close()

    def _start(self, message: m.StartDispatcher, sender: Address) -> None:
        self._rules, self._parent, self._epoch = message.rules, sender, message.epoch
        self._letters = message.letters
        self._must_know = self._must_be_told = message.restarted
        self.end_with_host(message.host_pid)
        if message.directory is not None:
            self._counts = DispatchCounts(Path(message.directory, "dispatched"))
        # No version and no fence of an earlier dispatcher comes again.
        self._version = (message.epoch - 1) << 32
        self._promises = Promises(self._version)
        for joined in message.sessions:
            if message.restarted:
                self._awaited[joined.session] = joined
            else:
                self._join(joined)
        if not message.restarted:
            self.send(sender, m.ChildReady("dispatcher"))

    # Frames.

    def _submit(self, message: m.Submit) -> None:
        session = message.session
        for refusal in message.refusals:
            self._note_refusal(session, refusal)
        for batch in message.batches:
            target = self._targets.get(batch.plugin_id)
            if target is None or batch.epoch < target.first_epoch:
                self._reject_unknown(session, batch)
            elif target.route.epoch == batch.epoch:
                self._route_batch(session, batch, target)
            else:
                # It is sent again by its session, which is about to learn of the new epoch and then counts it as sent.
                self._counts.seen(session, batch.plugin_id, [seq for seq, _, _ in batch.frames])

    def _route_batch(self, session: int, batch: m.Batch, target: Target) -> None:
        passed, rejected = admit_all(self._book.routes, batch.frames, self._rules, self._plugins.get(session))
        known_until = self._counts.last_seen(session, batch.plugin_id)
        if passed:
            self._introduce(session, target)
            self._counts.seen(session, batch.plugin_id, [frame[0] for frame in passed])
            enqueue = m.Enqueue(session, tuple(passed), batch.extras, batch.settled_until, self._epoch)
            self.send(target.actor, enqueue)
        if rejected:
            self._reject(session, target, rejected, known_until)

    def _introduce(self, session: int, target: Target) -> None:
        """What the supervisor tells a plugin actor of a session may come later than the session's first frames."""
        joined = self._sessions.get(session)
        if joined is not None and target.introduce(session):
            self.send(target.actor, joined)

    def _reject(self, session: int, target: Target, rejected: list[Rejection], known_until: int) -> None:
        """Refuse frames. Those that were sent before may be in the mailbox: then that stands, as it alone can tell."""
        again = tuple(frame for frame in rejected if frame[0] <= known_until and target.actor is not None)
        if again:
            self._introduce(session, target)
            self.send(target.actor, m.Refuse(session, again, self._epoch))
        if new := rejected[len(again) :]:
            self._refuse(session, target.route.plugin_id, new, known_until)

    def _reject_unknown(self, session: int, batch: m.Batch) -> None:
        error = PluginNotRegistered(batch.plugin_id)
        known_until = self._counts.last_seen(session, batch.plugin_id)
        self._refuse(session, batch.plugin_id, [(seq, error) for seq, _, _ in batch.frames], known_until)

    def _overflowed(self, message: m.Overflowed, sender: Address) -> None:
        target = self._targets.get(message.plugin_id)
        if target is None or not target.is_former(sender):
            self._refuse(message.session, message.plugin_id, message.frames, message.frames[-1][0])

    def _refuse(self, session: int, plugin_id: int, frames: Sequence[Rejection], known_until: int) -> None:
        """Refuse frames for good, of which those up to ``known_until`` were counted as dispatched."""
        for _, error in frames:
            self._note_refusal(session, refusal_of(error, plugin_id))
        self._counts.dispatched(session, -sum(1 for seq, _ in frames if seq <= known_until))
        self._to_session(session, m.Rejected(plugin_id, tuple(frames), self._epoch))

    def _note_refusal(self, session: int, refusal: m.Refusal) -> None:
        self._counts.refused(session, refusal.cause, refusal.count)
        if refusal.was_submitted:
            self._counts.dispatched(session, -refusal.count)
        if (target := self._targets.get(refusal.plugin_id or 0)) is None or not refusal.permission:
            return
        self.send(target.actor, m.NoteViolations(refusal.count))
        if refusal.violation is not None and self._guard is not None:
            plugin_id, what = target.route.plugin_id, refusal.violation
            self.send(self._guard, m.ReportViolation(plugin_id, what, refusal.count, by_sender=True))

    # Credit.

    def _want(self, message: m.WantCredit) -> None:
        if (target := self._targets.get(message.plugin_id)) is not None:
            self._move_credit(target, target.ledger.want(message.session, message.frames))

    def _take_back(self, message: m.ReturnCredit) -> None:
        target = self._targets.get(message.plugin_id)
        if target is not None and message.epoch >= target.lends_since:
            self._move_credit(target, target.ledger.returned(message.session, message.frames))

    def _move_credit(self, target: Target, moves: list[Grant | Recall]) -> None:
        for move in moves:
            kind = m.CreditGranted if isinstance(move, Grant) else m.CreditRecalled
            self._to_session(move.session, kind(target.route.plugin_id, move.frames, self._epoch))

    def _await_end_of(self, session: int, target: Target) -> None:
        """A session's frames take room until they are finished, and so does its lease."""
        token = self._promises.add(Promise(target.route.plugin_id, detached=session))
        if target.actor is not None:
            self.send(target.actor, m.Fence(token, settled=True, dispatcher_epoch=self._epoch))

    def _settle_unknown(self, target: Target) -> None:
        """When all that were there before are back or gone, what is still unknown is in the mailbox, or nowhere."""
        waiting = self._promises.of(target.route.plugin_id).values()
        if target.ledger.must_be_settled and not any(promise.detached == UNKNOWN for promise in waiting):
            self._await_end_of(UNKNOWN, target)

    # Routes.

    def _set_route(self, message: m.SetRoute, sender: Address) -> None:
        target = self._targets.get(message.route.plugin_id)
        if target is None:
            target = self._open(message)
        else:
            self._change_route(target, message)
        if message.again:
            return
        answer = m.RouteSet(message.load_id, self._version, message.number)
        if message.route.state in ACCEPTING or message.actor is None:
            self.send(sender, answer)
        else:
            self._raise_fence(target, Promise(message.route.plugin_id, sender, answer))

    def _open(self, message: m.SetRoute) -> Target:
        route = message.route
        # Before the sessions have heard of this dispatcher, they hold what an earlier one has lent them.
        holders = self._awaited if self._must_know or self._must_be_told else None
        target = self._targets[route.plugin_id] = Target.open(message, holders)
        self._counts.loaded(message.load_id)
        self._publish(target, route)
        self._attach_all(target)
        self._settle_unknown(target)
        # Who waits for this version has the first credit too: load and dispatch_nowait can follow each other.
        self._tell_sessions((), {})
        return target

    def _attach_all(self, target: Target) -> None:
        for session in self._sessions:
            self._move_credit(target, target.ledger.attach(session, session not in self._onlookers))

    def _change_route(self, target: Target, message: m.SetRoute) -> None:
        route, had_actor = message.route, target.actor is not None
        actor_is_gone = target.route.epoch != route.epoch or message.actor is None
        target.change_actor(message.actor)
        if actor_is_gone:
            self._release_fences(route.plugin_id)
        # Where no actor comes after the last one, nobody else will tell of the frames that it had.
        self._publish(target, route, {} if message.actor is not None else {route.plugin_id: False})
        if not had_actor and message.actor is not None:
            self._attach_all(target)

    def _drop_route(self, message: m.DropRoute, sender: Address) -> None:
        if (target := self._targets.pop(message.plugin_id, None)) is not None:
            self._release_fences(message.plugin_id)
            self._counts.unloaded(message.load_id, message.plugin_id, target.epochs, message.drained)
        # Sessions may know it from an earlier dispatcher.
        self._book.drop(message.plugin_id)
        self._tell_sessions((), {message.plugin_id: message.drained})
        self.send(sender, m.RouteDropped(message.load_id, self._version))

    def _publish(self, target: Target, route: m.Route, gone: Mapping[int, bool] | None = None) -> None:
        target.route = self._book.put(route)
        self._tell_sessions((target.route,), gone or {})

    def _tell_sessions(self, routes: tuple[m.Route, ...], gone: Mapping[int, bool]) -> None:
        self._version += 1
        for session in self._sessions:
            self._tell(session, self._version, routes, gone)

    def _tell(self, session: int, version: int, routes: tuple[m.Route, ...], gone: Mapping[int, bool]) -> None:
        self._to_session(session, m.RoutesChanged(version, routes, gone, self._epoch))

    def _know(self, rows: tuple[m.Registration, ...]) -> None:
        """Take over the registry's rows: permissions that are in force, and what is at rest, complete."""
        changed, gone = self._book.know(rows)
        for route in changed:
            if (target := self._targets.get(route.plugin_id)) is not None:
                target.route = route
        if changed or gone:
            self._tell_sessions(changed, gone)
        if self._must_know and not self._must_be_told:
            self._begin()

    def _begin(self) -> None:
        """All that is needed is known: take frames."""
        self._must_know = False
        self.send(self._parent, m.PermissionsKnown())
        for joined in self._early:
            self._join(joined)
        self._early.clear()

    def _forget(self, message: m.RegistrationForgotten) -> None:
        if self._book.forget_resting(message.plugin_id):
            self._tell_sessions((), {message.plugin_id: True})
        self.send(self._parent, m.Forgotten(message.number, self._version))

    def _change_permissions(self, message: m.PermissionsChanged) -> None:
        target = self._targets.get(message.plugin_id)
        changed = self._book.grant(message.plugin_id, message.permissions)
        if target is not None and changed is not None:
            self._publish(target, changed)
        if message.reply_to is None:
            return
        answer: Answer = m.Reply(message.request_id, version=self._version)
        if message.swap_id:
            answer = m.PermissionsInForce(message.swap_id, self._version)
        self._answer_behind((message.plugin_id, *self._reached_by(message.plugin_id)), message.reply_to, answer)

    def _reached_by(self, plugin_id: int) -> list[int]:
        """The plugins to which this one may have frames under way."""
        route = self._book.routes.get(plugin_id)
        if route is None or plugin_id not in self._plugins.values():
            return []
        return [other for other, target in self._targets.items() if target.route.name in wants(route)]

    # Fences: an answer waits until all that was let through before has reached the mailbox.

    def _answer_behind(self, plugin_ids: Sequence[int], to: Address, answer: Answer | None) -> None:
        """Answer once all that was let through to these plugins has reached their mailboxes, one after the other."""
        for place, plugin_id in enumerate(plugin_ids, 1):
            target = self._targets.get(plugin_id)
            if target is not None and target.actor is not None:
                self._raise_fence(target, Promise(plugin_id, to, answer, then=tuple(plugin_ids[place:])))
                return
        self.send(to, answer)

    def _raise_fence(self, target: Target, promise: Promise) -> None:
        token = self._promises.add(promise)
        self.send(target.actor, m.Fence(token, dispatcher_epoch=self._epoch))

    def _fence_passed(self, token: int) -> None:
        promise = self._promises.take(token)
        if promise is None:
            return
        if promise.detached is None:
            self._answer_behind(promise.then, promise.to, promise.answer)
        elif (target := self._targets.get(promise.plugin_id)) is not None:
            ledger = target.ledger
            self._move_credit(target, ledger.drained(promise.detached) if promise.detached else ledger.settled())

    def _release_fences(self, plugin_id: int) -> None:
        """The plugin actor that they were sent to is gone, and what was under way to it with it."""
        target = self._targets.get(plugin_id)
        for token, promise in self._promises.of(plugin_id).items():
            if not promise.settled or target is None or target.actor is None:
                self._fence_passed(token)
            else:
                # The frames themselves are not gone: they are in the mailbox of the next plugin actor.
                self.send(target.actor, m.Fence(token, settled=True, dispatcher_epoch=self._epoch))

    # Sessions and statistics.

    def _join(self, message: m.SessionJoined) -> None:
        if message.session in self._sessions or message.session in self._awaited:
            return
        if self._must_know:
            self._early.append(message)
            return
        self._welcome(message)
        self._tell(message.session, INCOMPLETE, tuple(self._book.routes.values()), {})
        for target in self._targets.values():
            self._move_credit(target, target.ledger.attach(message.session, message.sends))
        self._tell(message.session, self._version, (), {})

    def _welcome(self, joined: m.SessionJoined) -> None:
        self._sessions[joined.session] = joined
        self._counts.join(joined.session)
        if not joined.sends:
            self._onlookers.add(joined.session)
        if joined.plugin_id is not None:
            self._plugins[joined.session] = joined.plugin_id

    def _rejoin(self, message: m.Rejoin) -> None:
        joined = self._awaited.pop(message.session, None)
        if joined is None:
            return
        self._welcome(joined)
        self._counts.rejoin(message.session, message.dispatched, message.refused, message.sent)
        gone = {id: drained for id, epoch in message.epochs.items() if (drained := self._went(id, epoch)) is not None}
        self._tell(message.session, INCOMPLETE, tuple(self._book.routes.values()), gone)
        for plugin_id, target in self._targets.items():
            size = 0 if plugin_id in gone else message.leases.get(plugin_id, 0)
            self._move_credit(target, target.ledger.rejoin(message.session, size, joined.sends))
            self._move_credit(target, target.ledger.attach(message.session, joined.sends))
            self._settle_unknown(target)
        self._tell(message.session, self._version, (), {})

    def _went(self, plugin_id: int, epoch: int) -> bool | None:
        """Whether the plugin was drained that a session knows by this epoch of its route; ``None`` if it is there."""
        target, route = self._targets.get(plugin_id), self._book.routes.get(plugin_id)
        if target is not None and target.first_epoch <= epoch:
            return None if target.actor is not None else False
        if epoch == 0:
            # It was at rest.
            return None if route is not None else True
        return self._counts.was_drained(plugin_id, epoch)

    def _leave(self, session: int) -> None:
        self._onlookers.discard(session)
        self._plugins.pop(session, None)
        self._early = [joined for joined in self._early if joined.session != session]
        was_awaited = self._awaited.pop(session, None) is not None
        if self._sessions.pop(session, None) is not None or was_awaited:
            for target in self._targets.values():
                if target.forget(session):
                    self.send(target.actor, m.SessionLeft(session))
                self._move_credit(target, target.ledger.detach(session))
                self._settle_unknown(target) if was_awaited else self._await_end_of(session, target)
        self._counts.leave(session)

    def _to_session(self, session: int, message: Any) -> None:
        if (joined := self._sessions.get(session)) is not None:
            self.send(joined.address, message)

    def _pass_on(self, message: m.GetPluginStats) -> None:
        target = self._targets.get(message.plugin_id)
        if target is not None and target.actor is not None:
            self.send(target.actor, message)
            return
        error: NyxPluginError = PluginNotRegistered(message.plugin_id)
        if target is not None:
            error = PluginFailed(message.plugin_id, "its counters ended with its plugin actor", "statistics")
        self.send(message.reply_to, m.Reply(message.request_id, error=error))

    def _answer_for_letters(self, question: m.ListDeadLetters | m.GetDeadLetter | m.DropDeadLetters) -> None:
        """Where there is a plugin actor, it alone has the file open."""
        target = self._targets.get(question.plugin_id)
        if target is not None and target.actor is not None:
            self.send(target.actor, question)
            return
        with DeadLetters(self._letters, question.plugin_id, Bounds(0, 0), patience_s=0.0) as letters:
            self.send(question.reply_to, answer(letters, question))
