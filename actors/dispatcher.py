"""The dispatcher: validates, authorises and routes frames; leases credit; counts.

It is on the path of every frame: it never blocks, asks nobody, and looks into control frames and handshakes only. What
else there is against a frame its type tells, and its session has read its header.

It may end at any moment. The next one gets the routes from the supervisor, the permissions that are in force from the
registry, and only then is introduced to the sessions and the plugin actors; each session says what it has and sends
again what may be lost. Whatever an older dispatcher has said does not count any more, with anybody, once they know of
a newer one.

This is the way of frames, and what is asked. How sessions come and go is in ``arrivals``, how routes change in
``routing``, and how either is answered in its time in ``fencing``; ``audience`` tells the sessions.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import assert_never

from ..config.errors import NyxPluginError
from ..plugins.errors import PluginFailed, PluginNotRegistered
from . import messages as m
from ._thespian import ActorProcess, Address
from .admission import Rejection, admit_all
from .arrivals import Arrivals
from .audience import Audience
from .dead_letters import Bounds, DeadLetters
from .dispatch_counts import DispatchCounts
from .fencing import Fencing
from .frame_rules import FrameRules
from .letter_office import answer, find
from .refusals import refusal_of
from .route_book import RouteBook
from .routing import Routing
from .target import Target


class Dispatcher(ActorProcess):
    """Between the sessions and the plugin actors."""

    def __init__(self) -> None:
        super().__init__()
        self._rules: FrameRules
        self._letters: str
        self._guard: Address = None
        self._epoch = 1
        self._targets: dict[int, Target] = {}
        self._book = RouteBook()
        self._counts = DispatchCounts(None)
        self._audience: Audience
        self._fencing: Fencing
        self._arrivals: Arrivals
        self._routing: Routing
        # What the registry knows may come before what the supervisor says.
        self._appoint(None, restarted=False)

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
                self._fencing.passed(message.token)
            case m.SetRoute():
                self._routing.set(message, sender)
            case m.DropRoute():
                self._routing.drop(message, sender)
            case m.KnownRegistrations():
                self._routing.know(message.registrations)
            case m.RegistrationForgotten():
                self._routing.forget(message)
            case m.PermissionsChanged():
                self._routing.change_permissions(message)
            case m.SessionJoined():
                self._arrivals.join(message)
            case m.SessionLeft():
                self._arrivals.leave(message.session)
            case m.Rejoin():
                self._arrivals.rejoin(message)
            case m.StartDispatcher():
                self._start(message, sender)
            case m.RoutesTold():
                # Before, what a session says of its credit could be about plugins that are not known yet.
                self._arrivals.must_be_told = False
                self.send(sender, m.ChildReady("dispatcher"))
            case m.Introduce():
                self._guard = message.address if message.role == "guard" else self._guard
            case _:
                assert_never(message)

    def on_exit(self) -> None:
        """Let go of the counters."""
        self._counts.close()

    def _start(self, message: m.StartDispatcher, sender: Address) -> None:
        self._rules, self._epoch, self._letters = message.rules, message.epoch, message.letters
        self.end_with_host(message.host_pid)
        if message.directory is not None:
            self._counts = DispatchCounts(Path(message.directory, "dispatched"))
        self._appoint(sender, message.restarted)
        for joined in message.sessions:
            if message.restarted:
                self._arrivals.expect(joined)
            else:
                self._arrivals.join(joined)
        if not message.restarted:
            self.send(sender, m.ChildReady("dispatcher"))

    def _appoint(self, parent: Address, restarted: bool) -> None:
        """Make the parts, each after those that it needs."""
        targets, book, counts = self._targets, self._book, self._counts
        audience = self._audience = Audience(self.send, self._epoch)
        fencing = self._fencing = Fencing(self.send, self._epoch, audience, targets, book.routes)
        self._arrivals = Arrivals(self.send, audience, targets, book.routes, counts, fencing, restarted)
        self._routing = Routing(self.send, parent, audience, targets, book, counts, fencing, self._arrivals)

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
                self._counts.seen(session, batch.plugin_id, batch.frames.seqs)

    def _route_batch(self, session: int, batch: m.Batch, target: Target) -> None:
        sender = self._audience.plugins.get(session)
        passed, rejected = admit_all(self._book.routes, batch.plugin_id, batch.frames, self._rules, sender)
        known_until = self._counts.last_seen(session, batch.plugin_id)
        if passed:
            self._introduce(session, target)
            self._counts.seen(session, batch.plugin_id, passed.seqs)
            enqueue = m.Enqueue(session, passed, batch.extras, batch.settled_until, self._epoch, batch.is_awaited)
            self.send(target.actor, enqueue)
        if rejected:
            self._reject(session, target, rejected, known_until)

    def _introduce(self, session: int, target: Target) -> None:
        """What the supervisor tells a plugin actor of a session may come later than the session's first frames."""
        joined = self._audience.sessions.get(session)
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
        self._refuse(session, batch.plugin_id, [(seq, error) for seq in batch.frames.seqs], known_until)

    def _overflowed(self, message: m.Overflowed, sender: Address) -> None:
        target = self._targets.get(message.plugin_id)
        if target is None or not target.is_former(sender):
            self._refuse(message.session, message.plugin_id, message.frames, message.frames[-1][0])

    def _refuse(self, session: int, plugin_id: int, frames: Sequence[Rejection], known_until: int) -> None:
        """Refuse frames for good, of which those up to ``known_until`` were counted as dispatched."""
        for _, error in frames:
            self._note_refusal(session, refusal_of(error, plugin_id))
        self._counts.dispatched(session, -sum(1 for seq, _ in frames if seq <= known_until))
        self._audience.reject(session, plugin_id, tuple(frames))

    def _note_refusal(self, session: int, refusal: m.Refusal) -> None:
        self._counts.refused(session, refusal.cause, refusal.count)
        if refusal.was_submitted:
            self._counts.dispatched(session, -refusal.count)
        if refusal.permission and refusal.plugin_id in self._targets:
            self._note_violation(session, refusal.plugin_id, refusal)

    def _note_violation(self, session: int, plugin_id: int, refusal: m.Refusal) -> None:
        # For what a plugin sends to another it is itself to blame; other senders have no counters.
        blamed = self._targets.get(self._audience.plugins.get(session, plugin_id))
        if blamed is not None:
            self.send(blamed.actor, m.NoteViolations(refusal.count))
        if refusal.violation is not None and self._guard is not None:
            self.send(self._guard, m.ReportViolation(plugin_id, refusal.violation, refusal.count, by_sender=True))

    # Credit.

    def _want(self, message: m.WantCredit) -> None:
        if (target := self._targets.get(message.plugin_id)) is not None:
            self._audience.move_credit(target, target.ledger.want(message.session, message.frames))

    def _take_back(self, message: m.ReturnCredit) -> None:
        target = self._targets.get(message.plugin_id)
        if target is not None and message.epoch >= target.lends_since:
            self._audience.move_credit(target, target.ledger.returned(message.session, message.frames))

    # Questions.

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
