"""The plugin actor: trusted owner of one plugin's mailbox, counters, deadlines and worker. It runs no plugin code.

What concerns a worker and the frames on their way to it is in `lane`; this is messages in and out.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, assert_never

import attrs

from ..config.errors import NyxPluginError
from ..plugins.errors import MailboxFull, PluginFailed, PluginNotLoaded, PluginQuarantined, RefusalLost, SwapFailed
from ..plugins.policy import Policy
from ..plugins.worker.answers import Connect, Emit, Log, Open, Send
from ..plugins.worker.protocol import MAX_REQUESTS, ProtocolError
from . import messages as m
from . import retiring, scaling, swapping
from ._thespian import ActorProcess, Address, same
from .answers import ANSWERS, Answers
from .broker import Broker
from .correspondence import Correspondence
from .deaths import Death
from .dependencies import STARTING
from .durability import OnDisk, Volatile, durability
from .events import PluginStats
from .fences import Fences
from .inheritance import by_session, enqueued, kept, room_for
from .lane import Lane
from .lane_files import CONTROL
from .lanes import Lanes
from .letter_book import DeadFrame
from .letter_office import LetterOffice
from .outcome_keeper import OutcomeKeeper
from .plans import child_spec
from .processes import become_subreaper, sweep
from .remarks import Remarks
from .retiring import Retiring
from .scaling import Scaling
from .supervision import GiveUp, Restart, Stay, Verdict, decide
from .swapping import Swapping, Switch
from .tray import HandOut, Settled
from .worker_link import Worker

# How long killing what a plugin left behind may hold up its plugin actor, in seconds.
SWEEP_S = 1.0
# How long an unload waits for sessions that do not read what became of their frames, in seconds.
CONFIRM_S = 1.0


class PluginActor(ActorProcess):
    """Accepts frames into the mailbox and tells everybody the outcomes; decides what follows when its worker ends."""

    plan: m.StartPlugin

    def __init__(self) -> None:
        super().__init__()
        self._parent: Address = None
        self._lanes: Lanes | None = None
        self.has_been_ready = False
        self._is_down = True
        self._given_up = ""
        self._quarantined = False
        self._restarts: tuple[float, ...] = ()
        self._fences = Fences()
        self._fenced_for: dict[int, Address] = {}
        self.is_paused = False
        self._pausing: list[m.PausePlugin] = []
        self._draining: m.DrainPlugin | None = None
        self._lost_before = 0
        self._stop_error: str | None = None
        self._last_words: m.PluginDrained | None = None
        self._answers: Answers
        self._scaling: Scaling
        self._keeper: OutcomeKeeper
        self._swapping: Swapping | None = None
        self._retiring: Retiring | None = None
        self._swap_id = 0
        self._broker: Broker
        self._office: LetterOffice
        self._store: Volatile | OnDisk
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
                self._handle(*other)
        else:
            self._early.append((message, sender))

    def _handle(self, message: m.PluginMessage, sender: Address) -> None:
        """Handle one message, the frequent ones first."""
        match message:
            case m.Enqueue():
                if self._is_current(message, sender):
                    self._enqueue(message)
            case m.Refuse():
                if self._is_current(message, sender):
                    self._store.after(lambda: self._refuse(message))
            case m.DeliverySeen():
                self._seen(message)
            case m.Fence():
                if self._is_current(message, sender):
                    self._store.after(lambda: self._fence(message, sender))
            case m.NoteViolations():
                self._all.note_violations(message.count)
            case m.GetPluginStats():
                self.send(message.reply_to, m.Reply(message.request_id, self._statistics()))
            case m.ListDeadLetters() | m.GetDeadLetter() | m.DropDeadLetters():
                self.send(message.reply_to, self._office.answer(message))
            case m.PausePlugin():
                self._pause(message)
            case m.ScalePlugin():
                self._scaling.ask(message)
                self._rescale()
            case m.SessionJoined():
                self._join(message)
            case m.SessionLeft():
                self._leave(message.session)
            case (
                m.RoutesChanged()
                | m.CreditGranted()
                | m.CreditRecalled()
                | m.Rejected()
                | m.Accepted()
                | m.Settled()
                | m.SystemStopping()
            ):
                self._correspondence.note(message)
            case m.StartPlugin():
                raise TypeError("a plugin actor is started once")
            case m.Quarantine():
                self._quarantine(message.reason)
            case m.SwapPlugin():
                self._swap(message)
            case m.DrainPlugin():
                self._store.after(lambda: self._drain(message))
            case m.ViolationSeen():
                self._remarks.violation_seen(message.number)
            case m.Introduce():
                self._introduced(message)
            case _:
                assert_never(message)

    @property
    def _all(self) -> Lanes:
        assert self._lanes is not None
        return self._lanes

    # Starting.

    def _start(self, plan: m.StartPlugin, sender: Address) -> None:
        self.plan, self._parent, self.is_paused = plan, sender, plan.paused
        self._restarts = plan.restarts
        self.end_with_host(plan.host_pid)
        self._adopts = plan.host_pid != os.getpid()
        if self._adopts:
            become_subreaper()
        self._remarks = Remarks(plan, self.myAddress, self.send, self.alarm)
        self._answers = Answers(plan.plugin_id, self.myAddress, self.send)
        self._broker = Broker(self)
        self._office = LetterOffice(plan, self._remarks.trouble)
        self._correspondence = Correspondence(plan.plugin_id, plan.manifest, plan.settings, self)
        self._keeper = OutcomeKeeper(Path(plan.directory, "outcomes"))
        for session in plan.sessions:
            self._join(session)
        self._keeper.forget_others()
        try:
            self._store = durability(plan, self._remarks.trouble, self)
        except NyxPluginError as error:
            self.send(sender, m.PluginStartFailed(plan.load_id, error))
            return
        self.plan = room_for(plan, self._store.left)
        self._lanes = Lanes(self, self._keeper)
        self._scaling = Scaling(self._lanes, plan.instances, self._scaled)
        if self._lanes.is_recovered:
            self._recover()
        self._inherit()
        if plan.given_up:
            self._wind_up()
        else:
            for lane in self._lanes.working:
                lane.start()
        self._rescale()

    def _wind_up(self) -> None:
        """No worker any more: tell what became of what others have accepted, and take nothing."""
        self._given_up, self._quarantined = self.plan.given_up, self.plan.leftovers == "quarantined"
        for lane in self._all:
            lane.dead_letter_all(self.plan.leftovers)

    def _inherit(self) -> None:
        """Accept what is on the disk, and not in a mailbox."""
        for session, frames in by_session(self._store.left).items():
            message = enqueued(frames)
            unknown = set(self._all.check(message).refused)
            waiting = unknown.union(self._all.recall(session).unfinished)
            if done := [frame.seq for frame in frames if frame.seq not in waiting]:
                self._store.forget(session, done, lambda: None)
            if unknown:
                news = tuple(frame for frame in message.frames if frame[0] in unknown)
                self._all.accept(attrs.evolve(message, frames=news))
                self._all.note_deliveries(session, {frame.seq: frame.deliveries for frame in frames})

    def _recover(self) -> None:
        """Answer again what the actor that was here before may not have answered."""
        self.has_been_ready = True
        for joined in self.plan.sessions:
            known = self._all.recall(joined.session)
            self._answers.accepted(joined.session, [seq for seq, _ in known.finished] + known.unfinished)
            self._answers.settled(joined.session, known.finished)
        for lane in self._all:
            lane.settle_earlier()
            if self.plan.leftovers:
                lane.dead_letter_all(self.plan.leftovers)
        self._office.settle_claims(self._was_accepted)

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
        return self._retiring is not None and worker in self._retiring.workers

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
        self._answer_pauses()

    def _workers(self) -> Iterator[Worker]:
        """All that have not ended, of all versions."""
        yield from (lane.worker for lane in self._lanes or () if lane.worker is not None)
        if self._swapping is not None:
            yield from self._swapping.workers
        if self._retiring is not None:
            yield from self._retiring.workers

    # What becomes of the lane.

    def lane_ready(self, lane: Lane) -> None:
        """Report that the plugin is ready, once all its lanes are."""
        if self._all.is_ready and self._is_down:
            self._is_down, self.has_been_ready = False, True
            self.send(self._parent, m.PluginStarted(self.plan.load_id))
        self._rescale()

    def lane_failed(self, reason: str, error: NyxPluginError | None) -> None:
        """Report that the plugin can't be loaded."""
        for lane in self._all:
            lane.drop_worker()
        self._remarks.finish()
        self._given_up = reason
        failed = error or PluginFailed(self.plan.plugin_id, reason, "start")
        self.send(self._parent, m.PluginStartFailed(self.plan.load_id, failed))

    def give_up(self, reason: str) -> None:
        """Start no worker any more."""
        self._given_up = reason

    def lane_crashed(self, lane: Lane, death: Death) -> None:
        """Start the worker again if its policy allows; else no frame will be processed any more."""
        if not self._given_up and not self._all.is_needed(lane):
            self._rescale()
            return
        reason, self._is_down = f"worker {death}", True
        verdict = Stay() if self._given_up else self._verdict(death.normal)
        after_s = verdict.after_s if isinstance(verdict, Restart) else None
        why = verdict.reason if isinstance(verdict, GiveUp) else ""
        self.send(self._parent, m.WorkerCrashed(self.plan.load_id, reason, after_s, self._restarts, why))
        if after_s is None:
            self._given_up = self._given_up or reason
            for each in self._all:
                each.condemn("failed plugin")
            self._abandon_swap("the plugin has failed")
            self._continue_drain()
            self._rescale()
        else:
            lane.restart(after_s)
            if self._swapping is not None:
                self._swapping.lane_crashed(lane, death)

    def _verdict(self, normal: bool) -> Verdict:
        spec = child_spec("worker", self.plan.settings, self.plan.manifest.restart)
        self._restarts, verdict = decide(spec, self._restarts, time.monotonic(), normal, random.random())
        return verdict

    def lane_went_on(self, lane: Lane) -> None:
        """Answer who has waited for the end of what was in hand."""
        self._answer_pauses()
        self._continue_drain()
        if self._swapping is not None:
            self._swapping.advance()
        self._rescale()

    def lane_stopped(self, lane: Lane, error: str | None) -> None:
        """Report that the plugin needs nothing more, once no lane does."""
        self._stop_error = self._stop_error or error
        if self._draining is None:
            self._rescale()
        elif not any(each.worker for each in self._all):
            self._drained(self._stop_error)

    def _rescale(self) -> None:
        """Go on with a change of the number of lanes, if there is one."""
        if self._draining is not None or self._swapping is not None or not self._scaling.is_at_work:
            return
        if self._given_up:
            self._let_in()
            self._scaling.end()
            return
        for lane in self._scaling.spread(self.plan.balance == "by_key"):
            lane.start()
        if self._scaling.is_pending and self._scaling.due_in_s:
            self.alarm(scaling.ALARM, self._scaling.due_in_s)
        for message in self._scaling.released():
            self._take(message)
        for lane in self._scaling.surplus():
            lane.stop()
        self._scaling.tell()

    def _scaled(self, question: m.ScalePlugin) -> None:
        error = PluginFailed(self.plan.plugin_id, self._given_up, "scale") if self._given_up else None
        self.send(question.reply_to, m.Reply(question.request_id, error=error))

    def _quarantine(self, reason: str) -> None:
        """Nothing more goes to the worker or comes from it."""
        self._given_up, self._quarantined = reason, True
        self._abandon_swap("it was quarantined")
        if self._lanes is not None:
            for lane in self._lanes:
                lane.condemn("quarantined")
            self._continue_drain()

    # Another version.

    def _swap(self, order: m.SwapPlugin) -> None:
        self._swap_id = order.swap_id
        if self._given_up or self._draining is not None:
            self.swap_failed(SwapFailed(self.plan.plugin_id, "start", self._given_up or "it is being unloaded"))
            return
        self._swapping = Swapping(self, self, self._all.working, order)
        self._swapping.begin()

    def adopt(self, plan: m.StartPlugin) -> None:
        """Start workers with this plan from now on; the new version has not crashed yet."""
        self._retiring = Retiring(self, self.plan.policy, self._old_version_stopped)
        self.plan, self._restarts = plan, ()
        self._correspondence.change(plan.manifest)

    def swapped(self, switch: Switch) -> None:
        """Report that the new version works, and let the old one's workers unload."""
        self._swapping = None
        self.send(self._parent, m.PluginSwapped(self._swap_id, switch.pause_s, switch.state_carried))
        assert self._retiring is not None
        self._retiring.begin(switch.retired)
        self._rescale()

    def swap_failed(self, error: NyxPluginError) -> None:
        """Report that the old version goes on."""
        self._swapping = None
        self.send(self._parent, m.SwapAbandoned(self._swap_id, error))
        self._rescale()

    def _abandon_swap(self, reason: str) -> None:
        if self._swapping is not None:
            self._swapping.abandon(reason)

    def _old_version_stopped(self) -> None:
        self._retiring = None
        self.send(self._parent, m.OldVersionStopped(self._swap_id))

    # Accepting frames, and their outcomes.

    def _is_current(self, message: m.Enqueue | m.Refuse | m.Fence, sender: Address) -> bool:
        """Whether no newer dispatcher is known: what an older one has let through may not be in force any more."""
        if message.dispatcher_epoch > self.plan.dispatcher_epoch:
            self.plan = attrs.evolve(self.plan, dispatcher=sender, dispatcher_epoch=message.dispatcher_epoch)
        return message.dispatcher_epoch == self.plan.dispatcher_epoch

    def _enqueue(self, message: m.Enqueue) -> None:
        if not self._scaling.hold(message, self.plan.balance == "by_key"):
            self._take(message)

    def _let_in(self) -> None:
        """Take what is held back, and spread it as before: what came behind it must not overtake it."""
        for message in self._scaling.released(at_once=True):
            self._take(message)

    def _take(self, message: m.Enqueue) -> None:
        """Accept what arrives, once it would survive what it has to."""
        if message.extras:
            message = self._claim(message)
            if not message.frames:
                return
        fresh = self._all.check(message).refused if self._store.is_on_disk and not self._given_up else ()
        if fresh:
            self._store.accept(kept(message, set(fresh)), lambda error: self._accept(message, error))
        else:
            self._accept(message)

    def _accept(self, message: m.Enqueue, unkept: NyxPluginError | None = None) -> None:
        self._keeper.knows(message.session, message.settled_until)
        takes = unkept is None and not self._given_up
        intake = self._all.accept(message) if takes else self._all.check(message)
        self._answers.accepted(message.session, intake.known)
        if intake.again:
            lost = RefusalLost(self.plan.plugin_id)
            self._answer_again(message.session, dict.fromkeys(intake.again, lost))
        if unkept is not None:
            self._overflow(message.session, intake.refused, unkept)
        elif intake.refused:
            self._store.forget(message.session, intake.refused, lambda: self._overflow(message.session, intake.refused))
        self._settle_claims(message)
        self._all.pump()

    def _answer_again(self, session: int, errors: Mapping[int, BaseException]) -> None:
        """Say what became of frames that were sent before, once that is kept; refuse, for these errors, the others."""
        self._store.after(lambda: self._answer_now(session, errors))

    def _answer_now(self, session: int, errors: Mapping[int, BaseException]) -> None:
        known = self._all.recall(session)
        results, unfinished, told = dict(known.finished), {*known.unfinished}, self._keeper.known_until(session)
        self._answers.accepted(session, [seq for seq in errors if seq in results or seq in unfinished])
        self._answers.settled(session, [(seq, results[seq]) for seq in errors if seq in results])
        lost = [seq for seq in errors if seq not in results and seq not in unfinished and seq > told]
        if lost:
            frames = tuple((seq, errors[seq]) for seq in lost)
            self.send(self.plan.dispatcher, m.Overflowed(session, self.plan.plugin_id, frames))

    def _overflow(self, session: int, seqs: Iterable[int], unkept: NyxPluginError | None = None) -> None:
        plugin_id, held = self.plan.plugin_id, self._all.held()
        error: BaseException = MailboxFull(plugin_id, held.frames, self.plan.capacity)
        if unkept is not None:
            error = unkept
        elif self._quarantined:
            error = PluginQuarantined(plugin_id, self._given_up)
        elif self._given_up:
            error = PluginFailed(plugin_id, self._given_up, "dispatch")
        elif held.frames < self.plan.capacity:
            error = MailboxFull(plugin_id, held.bytes, self.plan.capacity_bytes, "bytes")
        frames = tuple((seq, error) for seq in seqs)
        self.send(self.plan.dispatcher, m.Overflowed(session, plugin_id, frames))

    def _refuse(self, message: m.Refuse) -> None:
        """Refuse what is not in the mailbox; what is stays accepted, whatever has changed since."""
        self._let_in()
        self._answer_again(message.session, dict(message.frames))

    # Dead letters.

    def bury(self, reason: str, frames: Sequence[DeadFrame]) -> None:
        """Keep frames that are about to be dead-lettered."""
        self._office.keep(reason, frames)

    def _claim(self, message: m.Enqueue) -> m.Enqueue:
        """Note which dead letters are delivered again by new frames; what is left without those that can't be."""
        if not any(extra.letter for extra in message.extras.values()):
            return message
        fresh = {seq: message.extras[seq] for seq in self._all.check(message).refused if seq in message.extras}
        refused = self._office.claim(message.session, fresh)
        if refused:
            self.send(self.plan.dispatcher, m.Overflowed(message.session, self.plan.plugin_id, tuple(refused.items())))
        return attrs.evolve(message, frames=tuple(frame for frame in message.frames if frame[0] not in refused))

    def _settle_claims(self, message: m.Enqueue) -> None:
        if any(extra.letter for extra in message.extras.values()):
            self._office.settle_claims(self._was_accepted)

    def _was_accepted(self, session: int, seq: int) -> bool:
        known = self._all.recall(session)
        return seq in known.unfinished or any(seq == finished for finished, _ in known.finished)

    def hand_out(self, lane: Lane, batch: HandOut, then: Callable[[], None]) -> None:
        """Give a batch to a worker, once it is known after another start of the machine that it had it."""
        if not self._store.is_on_disk:
            then()
            return
        tray, first = lane.tray(batch.first & CONTROL), batch.first & ~CONTROL
        self._store.hand_out(tray.ring(lane.number), first, tray.box.origins(first, len(batch.frames)), then)

    def settled(self, outcomes: Settled) -> None:
        """Tell the sessions the outcomes of their frames."""
        self._store.settle(outcomes, lambda: self._tell(outcomes))

    def _tell(self, outcomes: Settled) -> None:
        for session, settled in outcomes.items():
            self._answers.settled(session, settled)
        self._pass_fences()

    def _fence(self, fence: m.Fence, sender: Address) -> None:
        self._let_in()
        self._fences.add(fence.token, self._all.accepted() if fence.settled else {})
        self._fenced_for[fence.token] = sender
        self._pass_fences()

    def _pass_fences(self) -> None:
        for token in self._fences.pass_by(self._all.finished):
            self.send(self._fenced_for.pop(token), m.FencePassed(token))

    # Time.

    def on_alarm(self, name: Any) -> None:
        """Something has not happened in time, or is due now."""
        match name:
            case (str() as kind, int() as number):
                self._all[number].on_alarm(kind)
            case "drain":
                self._give_up_draining()
            case scaling.ALARM:
                self._rescale()
            case "confirmed":
                self._say_last_words(in_time=False)
            case "broker":
                self._broker.expire()
            case swapping.ALARM if self._swapping is not None:
                self._swapping.on_alarm()
            case retiring.ALARM if self._retiring is not None:
                self._retiring.end()
            case "commit":
                self._store.again()
            case "correspondence":
                self._correspondence.expire()
            case "denials" | "log":
                self._remarks.on_alarm(name)

    # Pausing and draining.

    def _pause(self, question: m.PausePlugin) -> None:
        self.is_paused = question.paused
        self._pausing.append(question)
        self._answer_pauses()
        self._all.pump()

    def _answer_pauses(self) -> None:
        """Pausing is answered once the worker has nothing in hand any more."""
        if self.is_paused and self._all.is_under_way:
            return
        for question in self._pausing:
            self.send(question.reply_to, m.Reply(question.request_id))
        self._pausing.clear()

    def _drain(self, message: m.DrainPlugin) -> None:
        self._let_in()
        self._abandon_swap("it was unloaded")
        self._draining = message
        self._lost_before = self._all.statistics().dead_lettered
        self.is_paused = False
        self._answer_pauses()
        self.alarm("drain", message.drain_s)
        self._all.pump()
        self._continue_drain()

    def _continue_drain(self) -> None:
        if self._draining is None or self._all.depth > 0:
            return
        self.cancel_alarm("drain")
        for lane in self._all:
            lane.stop()

    def _give_up_draining(self) -> None:
        assert self._draining is not None
        for lane in self._all:
            if self._draining.keep and self._store.is_on_disk:
                # Only what was begun has to have an outcome now; the next system goes on with the rest.
                lane.settle_suspects(self._draining.reason)
                lane.drop_worker()
            else:
                lane.condemn(self._draining.reason)
        self._drained(None)

    def _drained(self, error: str | None) -> None:
        """The worker needs nothing more: report, and let the supervisor end this actor."""
        if self._retiring is not None:
            self._retiring.end()
        if self._draining is not None:
            self._store.after(lambda: self._report(error))

    def _report(self, error: str | None) -> None:
        if self._draining is not None:
            self._draining = None
            self._given_up = "it is unloaded"
            dead_lettered = self._all.statistics().dead_lettered - self._lost_before
            self._last_words = m.PluginDrained(self.plan.load_id, dead_lettered, error)
            self._answers.send_all()
            self._remarks.finish()
            self.alarm("confirmed", CONFIRM_S)
            self._say_last_words()

    def _say_last_words(self, in_time: bool = True) -> None:
        """Report once all sessions know what became of their frames, or do not read: nobody will tell them later."""
        if self._last_words is not None and (self._answers.all_confirmed or not in_time):
            self.cancel_alarm("confirmed")
            self.send(self._parent, self._last_words)
            self._last_words = None

    def on_exit(self) -> None:
        """Leave no worker behind."""
        self._abandon_swap("its plugin actor ends")
        if self._retiring is not None:
            self._retiring.end()
        if self._lanes is not None:
            is_empty = self._lanes.depth == 0
            for lane in self._lanes:
                lane.close()
            self._office.close()
            self._store.close(is_empty)
            self._keeper.close()
            self._broker.close()
            self._lanes = None

    def _introduced(self, who: m.Introduce) -> None:
        """An essential actor has been started again, and is here from now on."""
        if who.role == "dispatcher":
            self._correspondence.introduce(who.address, who.epoch)
        if who.role == "dispatcher" and who.epoch > self.plan.dispatcher_epoch:
            self.plan = attrs.evolve(self.plan, dispatcher=who.address, dispatcher_epoch=who.epoch)
        elif who.role == "guard":
            self.plan = attrs.evolve(self.plan, guard=who.address)
            self._remarks.guard_changed(who.address)

    # Sessions and statistics.

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
        self._say_last_words()

    def _seen(self, message: m.DeliverySeen) -> None:
        if message.stream == ANSWERS:
            self._answers.acknowledge(message.session)
            self._say_last_words()
        else:
            self._remarks.acknowledge(message.session, message.stream)

    def _statistics(self) -> PluginStats:
        worker = self._all[0].worker
        kept, lost = self._office.counts()
        box = attrs.asdict(self._all.statistics())
        seen = box["processed"] + box["failed"]
        return PluginStats(
            messages_processed=seen,
            errors=box["failed"],
            state=self._state(),
            latency=self._all.latency(),
            actor_pid=os.getpid(),
            worker_pid=(worker.pid or None) if worker is not None else None,
            violations=self._remarks.violations,
            last_death=self._remarks.last_death,
            instances=self._all.instances(),
            dead_letters=kept,
            dead_letters_lost=lost,
            **box,
        )

    def _state(self) -> str:
        if self._quarantined:
            return "quarantined"
        if self._given_up:
            return "failed"
        if self.is_paused:
            return "paused"
        return "ready" if self._all.is_ready else "restarting"
