"""The plugin actor: trusted owner of one plugin's mailbox, counters, deadlines and worker. It runs no plugin code.

This is messages in, alarms, and what workers say; what follows from them is in its parts. ``reception`` takes frames,
``ledger`` tells outcomes, ``foreman`` looks after the lanes, ``pausing``, ``closing`` and ``succession`` are what a
supervisor may want of it, ``standing`` is what all of them have to know.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, assert_never

import attrs

from ..config.errors import NyxPluginError
from ..plugins.errors import MailboxFailed, PluginFailed, PluginNotLoaded
from ..plugins.policy import Policy
from ..plugins.worker.answers import Connect, Emit, Log, Open, Send
from ..plugins.worker.protocol import MAX_REQUESTS, ProtocolError
from . import closing, retiring, scaling, swapping
from . import messages as m
from ._thespian import ActorProcess, Address, same
from .accounts import accounts
from .answers import ANSWERS, Answers
from .broker import Broker
from .closing import Closing
from .correspondence import Correspondence
from .deaths import Death
from .dependencies import STARTING
from .durability import OnDisk, Volatile, durability
from .foreman import Foreman
from .inheritance import room_for
from .lanes import Lanes, open_lanes
from .ledger import Ledger
from .letter_office import LetterOffice
from .outcome_keeper import OutcomeKeeper
from .pausing import Pausing
from .processes import become_subreaper, sweep
from .reception import Reception
from .recovery import inherit, recover
from .remarks import Remarks
from .scaling import Scaling
from .standing import Standing
from .succession import Succession
from .worker import Worker
from .worker_process import await_orphans

# How long killing what a plugin left behind may hold up its plugin actor, in seconds.
SWEEP_S = 1.0


class PluginActor(ActorProcess):
    """Accepts frames into the mailbox and tells everybody the outcomes; decides what follows when its worker ends."""

    plan: m.StartPlugin

    def __init__(self) -> None:
        super().__init__()
        self._parent: Address = None
        self._lanes: Lanes | None = None
        self.standing = Standing()
        self.ledger: Ledger
        self.foreman: Foreman
        self._reception: Reception
        self._pausing: Pausing
        self._closing: Closing
        self._succession: Succession
        self._scaling: Scaling
        self._answers: Answers
        self._keeper: OutcomeKeeper
        self._broker: Broker
        self._office: LetterOffice
        self._store: Volatile | OnDisk
        self._has_all = False
        """Whether all is in the mailboxes that was left on the disk."""
        self._correspondence: Correspondence
        self._remarks: Remarks
        self._adopts = False
        self._early: list[tuple[m.PluginMessage, Address]] = []

    def receive(self, message: m.PluginMessage, sender: Address) -> None:
        """Handle one message; what others say before its supervisor tells it who it is waits for that."""
        if self._lanes is not None:
            self._handle(message, sender)
        elif isinstance(message, m.StartPlugin):
            self._start(message, sender)
            early, self._early = self._early, []
            for other in early:
                self.receive(*other)
        else:
            self._early.append((message, sender))

    def _handle(self, message: m.PluginMessage, sender: Address) -> None:
        """Handle one message, the frequent ones first."""
        match message:
            case m.Enqueue():
                if self._is_current(message, sender):
                    self._reception.enqueue(message)
            case m.Refuse():
                if self._is_current(message, sender):
                    self._store.after(lambda: self._reception.refuse(message))
            case m.DeliverySeen():
                self._seen(message)
            case m.Fence():
                if self._is_current(message, sender):
                    self._store.after(lambda: self._fence(message, sender))
            case m.NoteViolations():
                self._all.note_violations(message.count)
            case m.SessionJoined():
                self._join(message)
            case m.SessionLeft():
                self._leave(message.session)
            case m.ViolationSeen():
                self._remarks.violation_seen(message.number)
            case m.Introduce():
                self._introduced(message)
            case (
                m.RoutesChanged()
                | m.CreditGranted()
                | m.CreditRecalled()
                | m.Rejected()
                | m.Accepted()
                | m.Settled()
                | m.LastWords()
                | m.SystemStopping()
            ):
                self._correspondence.note(message)
            case m.GetPluginStats() | m.ListDeadLetters() | m.GetDeadLetter() | m.DropDeadLetters():
                self.send(message.reply_to, self._answer(message))
            case _:
                self._obey(message)

    def _obey(self, order: m.PluginOrder) -> None:
        """Do what the supervisor wants."""
        match order:
            case m.PausePlugin():
                self._pausing.ask(order)
            case m.ScalePlugin():
                self._scaling.ask(order)
                self.foreman.rescale()
            case m.Quarantine():
                self.foreman.quarantine(order.reason)
            case m.SwapPlugin():
                self._succession.begin(order)
            case m.DrainPlugin():
                self._store.after(lambda: self._closing.drain(order))
            case m.StartPlugin():
                raise TypeError("a plugin actor is started once")
            case _:
                assert_never(order)

    def _answer(self, question: m.PluginQuestion) -> m.Reply:
        if isinstance(question, m.GetPluginStats):
            return m.Reply(question.request_id, accounts(self._all, self._office, self._remarks, self.standing))
        return self._office.answer(question)

    @property
    def _all(self) -> Lanes:
        assert self._lanes is not None
        return self._lanes

    # Starting.

    def _start(self, plan: m.StartPlugin, sender: Address) -> None:
        self.plan, self._parent, self.standing.is_paused = plan, sender, plan.paused
        self.end_with_host(plan.host_pid)
        self._adopts = plan.host_pid != os.getpid()
        if self._adopts:
            become_subreaper()
        self._meet(plan)
        try:
            self._store = durability(plan, self._remarks.trouble, self)
            self.plan = room_for(plan, self._store.left)
            self._lanes = open_lanes(self, self._keeper)
        except NyxPluginError as error:
            self.send(sender, m.PluginStartFailed(plan.load_id, error))
            return
        self._appoint(self._lanes)
        if self._lanes.is_recovered:
            self.standing.has_been_ready = True
            await_orphans(plan.nursery)
            recover(plan, self._lanes, self._answers)
        try:
            inherit(plan, self._lanes, self._store)
        except MailboxFailed as error:
            self.send(sender, m.PluginStartFailed(plan.load_id, error))
            return
        self._has_all = True
        if self._lanes.is_recovered:
            # Only now is everything in the mailboxes that was accepted.
            self._office.settle_claims(self._lanes.was_accepted)
        for lane in self._lanes:
            lane.await_disk()
        self._set_to_work(plan, self._lanes)
        self.foreman.rescale()

    def _meet(self, plan: m.StartPlugin) -> None:
        """Make the parts that deal with others: sessions, guard, what a plugin asks for."""
        self._remarks = Remarks(plan, self.myAddress, self.send, self.alarm)
        self._answers = Answers(plan.plugin_id, self.myAddress, self.send)
        self._broker = Broker(self)
        self._office = LetterOffice(plan, self._remarks.trouble)
        self._correspondence = Correspondence(plan.plugin_id, plan.manifest, plan.settings, self, self._parent)
        self._keeper = OutcomeKeeper(Path(plan.directory, "outcomes"))
        for session in plan.sessions:
            self._join(session)
        self._keeper.forget_others()

    def _appoint(self, lanes: Lanes) -> None:
        """Make the parts that deal with frames and lanes, each after those that it needs."""
        parent, answers, store, office = self._parent, self._answers, self._store, self._office
        self.ledger = Ledger(lanes, answers, store, office, self.send)
        self._scaling = Scaling(lanes, self.plan.instances, self._scaled)
        self._reception = Reception(self, lanes, self._scaling, answers, self._keeper, store, office)
        self._pausing = Pausing(self.standing, lanes, self.send)
        self._succession = Succession(self, parent, lanes)
        self._closing = Closing(
            self, parent, lanes, self._reception, self._pausing, self._succession, answers, store, self._remarks
        )
        self.foreman = Foreman(
            self,
            parent,
            lanes,
            self._scaling,
            self._reception,
            self._pausing,
            self._succession,
            self._closing,
            self._remarks,
        )

    def _set_to_work(self, plan: m.StartPlugin, lanes: Lanes) -> None:
        if not plan.given_up:
            for lane in lanes.working:
                lane.start()
            return
        # No worker any more: tell what became of what others have accepted, and take nothing.
        self.standing.given_up, self.standing.is_quarantined = plan.given_up, plan.leftovers == "quarantined"
        for lane in lanes:
            lane.dead_letter_all(plan.leftovers)

    # What the worker does.

    def worker_said(
        self, message: Emit | Log | Connect | Open | Send, worker: Worker, policy: Policy | None = None
    ) -> None:
        """Pass on what the plugin emits and logs, and do what it asks for."""
        if isinstance(message, (Emit, Log)):
            self._remarks.said(message)
            return
        asked = self._correspondence.under_way(worker) + self._broker.under_way(worker)
        if asked + worker.answers_waiting >= MAX_REQUESTS:
            raise ProtocolError(f"more than {MAX_REQUESTS} requests are not answered")
        if isinstance(message, Send) and not self._serves(worker):
            worker.answer(message.request_id, PluginNotLoaded(self.plan.plugin_id, STARTING))
        elif isinstance(message, Send):
            self._correspondence.take(message, worker)
        else:
            self._broker.take(message, worker, policy or self.plan.policy)

    def _serves(self, worker: Worker) -> bool:
        """Whether it is ready, or has been: what does not come to be in place must not have had effects elsewhere."""
        if any(lane.worker is worker and lane.is_ready for lane in self._all):
            return True
        return self._succession.is_leaving(worker)

    def await_answers(self) -> None:
        """Let the other actors of this process run, as nothing goes on by itself while a plugin waits here."""
        self.run_others()
        self._correspondence.give_up()

    def worker_output(self, line: str) -> None:
        """Log what the plugin printed."""
        self._remarks.printed(line)

    def worker_denied(self, what: str) -> None:
        """Count and report what the policy has denied."""
        self._all.note_violations(1)
        self._remarks.denied(what)

    def worker_misbehaved(self, what: str) -> None:
        """Report a breach of the protocol."""
        self._remarks.violated(f"worker protocol: {what}")

    def note_death(self, death: Death) -> None:
        """Keep, report and log why a worker ended."""
        self._remarks.note_death(death)

    def worker_dropped(self, worker: Worker) -> None:
        """Give up what was under way for it, and end what it has left behind."""
        self._broker.forget(worker)
        self._correspondence.forget(worker)
        if self._adopts:
            # What a plugin started has this process for its parent now, whatever session it went to.
            sweep(SWEEP_S, frozenset(worker.pid for worker in self._workers()))
        self._pausing.answer()

    def _workers(self) -> Iterator[Worker]:
        """All that have not ended, of all versions."""
        yield from (lane.worker for lane in self._lanes or () if lane.worker is not None)
        yield from self._succession.workers

    # What the parts say.

    def _scaled(self, question: m.ScalePlugin, error: NyxPluginError | None) -> None:
        if reason := self.standing.given_up:
            error = PluginFailed(self.plan.plugin_id, reason, "scale")
        self.send(question.reply_to, m.Reply(question.request_id, error=error))

    def adopt(self, plan: m.StartPlugin) -> None:
        """Start workers with this plan from now on; the new version has not crashed yet."""
        self.plan = plan
        self.foreman.forget_restarts()
        self._correspondence.change(plan.manifest)

    def swap_over(self) -> None:
        """Change the number of lanes, if that has waited for the end of a swap."""
        self.foreman.rescale()

    # Dispatchers and the guard.

    def _is_current(self, message: m.Enqueue | m.Refuse | m.Fence, sender: Address) -> bool:
        """Whether no newer dispatcher is known: what an older one has let through may not be in force any more."""
        if message.dispatcher_epoch > self.plan.dispatcher_epoch:
            self.plan = attrs.evolve(self.plan, dispatcher=sender, dispatcher_epoch=message.dispatcher_epoch)
        return message.dispatcher_epoch == self.plan.dispatcher_epoch

    def _fence(self, fence: m.Fence, sender: Address) -> None:
        self._reception.let_in()
        self.ledger.fence(fence, sender)

    def _introduced(self, who: m.Introduce) -> None:
        """An essential actor has been started again, and is here from now on."""
        if who.role == "dispatcher":
            self._correspondence.introduce(who.address, who.epoch)
        if who.role == "dispatcher" and who.epoch > self.plan.dispatcher_epoch:
            self.plan = attrs.evolve(self.plan, dispatcher=who.address, dispatcher_epoch=who.epoch)
        elif who.role == "guard":
            self.plan = attrs.evolve(self.plan, guard=who.address)
            self._remarks.guard_changed(who.address)

    # Time.

    def on_alarm(self, name: Any) -> None:
        """Something has not happened in time, or is due now."""
        match name:
            case (str() as kind, int() as number):
                self._all[number].on_alarm(kind)
            case closing.DRAIN_ALARM | closing.CONFIRM_ALARM:
                self._closing.on_alarm(name)
            case scaling.ALARM:
                self.foreman.rescale()
            case swapping.ALARM | retiring.ALARM:
                self._succession.on_alarm(name)
            case "answers":
                self._answers.release()
            case "broker":
                self._broker.expire()
            case "commit":
                self._store.again()
            case "correspondence":
                self._correspondence.expire()
            case "denials" | "log":
                self._remarks.on_alarm(name)

    def on_exit(self) -> None:
        """Leave no worker behind."""
        if self._lanes is not None:
            self._succession.abandon("its plugin actor ends")
            self._succession.end()
            is_empty = self._has_all and self._lanes.depth == 0
            for lane in self._lanes:
                lane.close()
            self._office.close()
            self._store.close(is_empty)
            self._keeper.close()
            self._broker.close()
            self._lanes = None

    # Sessions.

    def _join(self, message: m.SessionJoined) -> None:
        """Both the supervisor and the dispatcher tell of it, since either may come late."""
        if not self._answers.join(message.session, message.address):
            return
        self._keeper.join(message.session)
        if message.plugin_id == self.plan.plugin_id and same(message.address, self.myAddress):
            self._correspondence.join(message.session, self.plan.dispatcher, self.plan.dispatcher_epoch)
        self._remarks.join(message)

    def _leave(self, session: int) -> None:
        self._answers.leave(session)
        self._keeper.leave(session)
        self._remarks.leave(session)
        self._closing.say_last_words()

    def _seen(self, message: m.DeliverySeen) -> None:
        if message.stream == ANSWERS:
            self._answers.acknowledge(message.session)
            self._closing.say_last_words()
        else:
            self._remarks.acknowledge(message.session, message.stream)
