"""The plugin actor: trusted owner of one plugin's mailbox, counters, deadlines and worker. It runs no plugin code."""

from __future__ import annotations

import os
import random
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, assert_never

import attrs

from ..config.errors import NyxPluginError
from ..plugins.errors import BundleChanged, MailboxFull, PluginFailed, PluginQuarantined
from ..plugins.integrity import check_copy
from ..plugins.worker.answers import (
    Answer,
    Connect,
    Done,
    Emit,
    Log,
    Open,
    Ready,
    Restored,
    SnapshotDone,
    SnapshotPart,
    StartFailed,
    Stopped,
    SwapFailed,
)
from ..plugins.worker.protocol import ProtocolError
from . import messages as m
from ._thespian import ActorProcess, Address
from .answers import ANSWERS, Answers
from .broker import Broker
from .deadline import Deadline
from .deaths import OVERSTEPPING, Cause, Death
from .denials import Denials
from .events import PluginStats
from .inline_worker import InlineWorker
from .latency import LatencyMeter
from .mailbox import Mailbox
from .plans import restart_policy
from .processes import become_subreaper, sweep
from .restart import Restart, RestartState, decide
from .results import DeadLetter, Failed, ReplyLost, Result
from .streams import ERROR, INFO, Streams
from .worker_link import Worker, WorkerLink, WorkerPlan

# Frames and bytes of one batch for the worker; while one is under way the next is already in its socket.
BATCH_FRAMES = 256
BATCH_BYTES = 1 << 20
BATCHES_UNDER_WAY = 2
# How long killing what a plugin left behind may hold up its plugin actor, in seconds.
SWEEP_S = 1.0
# How often a worker's memory, threads and scratch directory are looked at, in seconds.
LOOK_S = 0.5


class PluginActor(ActorProcess):
    """Accepts frames into the mailbox, hands them to the worker in batches, and tells everybody the outcomes."""

    def __init__(self) -> None:
        super().__init__()
        self._plan: m.StartPlugin
        self._parent: Address = None
        self._mailbox: Mailbox | None = None
        self._worker: Worker | None = None
        self._ready = False
        self._was_ready = False
        self._stop_sent = False
        self._given_up = ""
        self._quarantined = False
        self._violations = 0
        self._restart_state = RestartState()
        self._sent = 0
        self._batch_ends: deque[int] = deque()
        self._pumping = False
        self._fences: list[tuple[int, int]] = []
        self._paused = False
        self._pausing: list[m.PausePlugin] = []
        self._deadline: Deadline
        self._ticking = False
        self._draining: m.DrainPlugin | None = None
        self._lost_before = 0
        self._streams: Streams
        self._answers: Answers
        self._latency: LatencyMeter
        self._broker: Broker
        self._denials: Denials
        self._adopts = False
        self._last_death: Death | None = None

    def receive(self, message: m.PluginMessage, sender: Address) -> None:
        """Handle one message, the frequent ones first."""
        match message:
            case m.Enqueue():
                self._enqueue(message)
            case m.DeliverySeen():
                self._seen(message)
            case m.Fence():
                self._fences.append((self._box.accepted if message.settled else 0, message.token))
                self._pass_fences()
            case m.NoteViolations():
                self._box.note_violations(message.count)
            case m.GetPluginStats():
                self.send(message.reply_to, m.Reply(message.request_id, self._statistics()))
            case m.PausePlugin():
                self._pause(message)
            case m.SessionJoined():
                self._join(message)
            case m.SessionLeft():
                self._leave(message.session)
            case m.StartPlugin():
                self._start(message, sender)
            case m.Quarantine():
                self._quarantine(message.reason)
            case m.DrainPlugin():
                self._drain(message)
            case _:
                assert_never(message)

    @property
    def _box(self) -> Mailbox:
        assert self._mailbox is not None
        return self._mailbox

    # Starting.

    def _start(self, plan: m.StartPlugin, sender: Address) -> None:
        self._plan, self._parent, self._paused = plan, sender, plan.paused
        self.end_with_host(plan.host_pid)
        self._adopts = plan.host_pid != os.getpid()
        if self._adopts:
            become_subreaper()
        limits = plan.settings.limits
        self._streams = Streams(plan.plugin_id, limits, self.send, plan.manifest.name)
        self._answers = Answers(plan.plugin_id, self.myAddress, self.send)
        self._broker = Broker(plan.policy, self)
        self._denials = Denials(self._report_denied)
        for session in plan.sessions:
            self._join(session)
        self._deadline = Deadline(plan.policy.wall_time_s, BATCH_FRAMES)
        path = Path(plan.directory, "mailbox")
        if path.exists():
            self._recover(path)
        else:
            result_bytes = max(plan.capacity_bytes, limits.max_reply_bytes)
            self._mailbox = Mailbox.create(path, plan.plugin_id, plan.capacity, plan.capacity_bytes, result_bytes)
            self._latency = LatencyMeter(0)
        self._start_worker()

    def _recover(self, path: Path) -> None:
        """Take over the mailbox of the actor that was here before, and answer again what it may not have answered."""
        self._mailbox = Mailbox.open(path, self._plan.plugin_id)
        self._latency = LatencyMeter(self._mailbox.accepted)
        self._was_ready = True
        for joined in self._plan.sessions:
            known = self._box.recall(joined.session)
            self._answers.accepted(joined.session, [seq for seq, _ in known.finished] + known.unfinished)
            self._answers.settled(joined.session, known.finished)
        self._worker = self._new_worker()
        self._settle_suspects("the plugin actor and its worker ended")
        self._worker.kill()

    def _new_worker(self) -> Worker:
        if self._plan.settings.system.transport == "inline":
            return InlineWorker(self)
        page = Path(self._plan.directory, "mark")
        return WorkerLink(
            self, self, page, self._plan.settings.limits.max_reply_bytes, BATCHES_UNDER_WAY * BATCH_FRAMES
        )

    def _start_worker(self) -> None:
        plan = self._plan
        bundle = Path(plan.directory, "bundle")
        self._sent = self._box.finished
        self._batch_ends.clear()
        try:
            check_copy(plan.plugin_id, bundle, plan.digest)
        except BundleChanged as changed:
            self._given_up = str(changed)
            self._start_failed(str(changed), changed)
            return
        self._worker = self._new_worker()
        self.alarm("start", plan.settings.system.load_timeout_s)
        try:
            self._worker.start(self._worker_plan())
        except ImportError as error:
            self._start_failed(str(error))

    def _worker_plan(self) -> WorkerPlan:
        plan = self._plan
        return WorkerPlan(
            plan.plugin_id,
            plan.manifest.name,
            str(Path(plan.directory, "bundle")),
            plan.manifest.entry_point,
            plan.config,
            plan.policy,
            plan.settings.limits.max_reply_bytes,
            plan.settings.limits.snapshot_bytes,
        )

    # What the worker does.

    def from_worker(self, message: Answer) -> None:
        """Take one message of the worker."""
        match message:
            case Done():
                self._done(message)
            case Emit():
                for frame in message.frames:
                    self._streams.emit(*frame)
                self._streams.flush(self.myAddress)
            case Log():
                for line in message.lines:
                    self._log(*line)
                self._streams.flush(self.myAddress)
            case Connect() | Open():
                assert self._worker is not None
                self._broker.take(message, self._worker)
            case Ready():
                self._became_ready()
            case StartFailed():
                self._start_failed(f"{message.type}: {message.text}")
            case Stopped():
                if not self._stop_sent:
                    raise ProtocolError("it stopped, and was not asked to")
                self._stopped(message.error)
            case SnapshotPart() | SnapshotDone() | Restored() | SwapFailed():
                raise ProtocolError("it was not asked to take part in a swap")
            case _:
                assert_never(message)

    def worker_output(self, line: str) -> None:
        """Log what the plugin printed."""
        self._log(INFO, line)
        self._streams.flush(self.myAddress)

    def _log(self, level: int, text: str) -> None:
        if self._streams.log(level, text):
            self.alarm("log", 1.0)

    def worker_denied(self, what: str) -> None:
        """Count and report what the policy has denied."""
        self._box.note_violations(1)
        if self._denials.note(what):
            self.alarm("denials", 1.0)

    def _report_denied(self, what: str, count: int) -> None:
        # It asked as it should, perhaps for what its sender wanted: nothing to be quarantined for.
        self.send(self._plan.guard, m.ReportViolation(self._plan.plugin_id, what, count, by_sender=True))

    def worker_misbehaved(self, what: str) -> None:
        """Report a breach of the protocol."""
        self._violated(f"worker protocol: {what}")

    def _violated(self, request: str) -> None:
        """Tell the guard what the worker tried; it decides when that is too much."""
        self._violations += 1
        self.send(self._plan.guard, m.ReportViolation(self._plan.plugin_id, request, 1))

    def worker_gone(self, death: Death) -> None:
        """Decide what follows the worker's end."""
        self._note_death(death)
        if self._draining is not None and self._box.depth == 0:
            self._stopped(f"its worker {death}" if self._ready else None)
        elif self._was_ready:
            self._crashed(death)
        else:
            self._start_failed(f"its worker {death} before it was ready")

    def _became_ready(self) -> None:
        self.cancel_alarm("start")
        if self._ready or self._worker is None:
            return
        self._ready = self._was_ready = True
        self.send(self._parent, m.PluginStarted(self._plan.load_id))
        self._check_consumption()
        self._pump()

    def _start_failed(self, reason: str, error: NyxPluginError | None = None) -> None:
        if self._was_ready:
            self._end_worker(Death(Cause.EXIT, f"did not start: {reason}"))
            return
        self._drop_worker()
        self._streams.finish(self.myAddress)
        self._given_up = reason
        failed = error or PluginFailed(self._plan.plugin_id, reason, "start")
        self.send(self._parent, m.PluginStartFailed(self._plan.load_id, failed))

    def _done(self, message: Done) -> None:
        first = self._box.finished
        if message.first_index != first or not self._ready or first + len(message.results) > self._sent:
            self.worker_misbehaved(f"results for frames {message.first_index}.. where {first}.. were due")
            self._end_worker(Death(Cause.PROTOCOL, "answered frames that it was not given"))
            return
        self._finish([Failed(*result) if isinstance(result, (list, tuple)) else result for result in message.results])
        while self._batch_ends and self._batch_ends[0] <= self._box.finished:
            self._batch_ends.popleft()
        self._answer_pauses()
        self._pump()
        self._continue_drain()

    # Accepting frames.

    def _enqueue(self, message: m.Enqueue) -> None:
        last = self._box.last_seq(message.session)
        fresh = (
            [frame for frame in message.frames if frame[0] > last] if message.frames[0][0] <= last else message.frames
        )
        room = 0 if self._given_up else self._box.append_batch(message.session, fresh)
        if room:
            self._latency.arrived(self._box.accepted, time.monotonic())
        known = len(message.frames) - len(fresh) + room
        self._answers.accepted(message.session, [frame[0] for frame in message.frames[:known]])
        if room < len(fresh):
            self._overflow(message.session, [frame[0] for frame in fresh[room:]])
        self._pump()

    def _overflow(self, session: int, seqs: Iterable[int]) -> None:
        box, plugin_id = self._box, self._plan.plugin_id
        error: BaseException = MailboxFull(plugin_id, box.depth, box.capacity)
        if self._quarantined:
            error = PluginQuarantined(plugin_id, self._given_up)
        elif self._given_up:
            error = PluginFailed(plugin_id, self._given_up, "dispatch")
        elif box.depth < box.capacity:
            error = MailboxFull(plugin_id, box.bytes_held, box.capacity_bytes, "bytes")
        frames = tuple((seq, error) for seq in seqs)
        self.send(self._plan.dispatcher, m.Overflowed(session, plugin_id, frames))

    # Handing frames to the worker, and their outcomes to the sessions.

    def _pump(self) -> None:
        if self._pumping:
            return
        self._pumping = True
        try:
            while self._may_send():
                frames = self._box.read(self._sent, BATCH_FRAMES, BATCH_BYTES)
                first, self._sent = self._sent, self._sent + len(frames)
                self._batch_ends.append(self._sent)
                self._watch_deadline()
                assert self._worker is not None
                self._worker.send_batch(first, frames)
        finally:
            self._pumping = False

    def _may_send(self) -> bool:
        return (
            self._ready
            and not self._paused
            and len(self._batch_ends) < BATCHES_UNDER_WAY
            and self._sent < self._box.accepted
        )

    def _finish(self, results: Sequence[Result]) -> None:
        first = self._box.finished
        origins = self._box.origins(first, len(results))
        self._box.finish(results)
        self._latency.finished(first + len(results), time.monotonic())
        outcomes: dict[int, list[tuple[int, Result]]] = defaultdict(list)
        for (session, seq), result in zip(origins, results, strict=True):
            outcomes[session].append((seq, result))
        for session, settled in outcomes.items():
            self._answers.settled(session, settled)
        self._pass_fences()

    def _pass_fences(self) -> None:
        """Answer the fences whose frames, up to a ring index, are finished."""
        finished = self._box.finished
        for _, token in (fence for fence in self._fences if fence[0] <= finished):
            self.send(self._plan.dispatcher, m.FencePassed(token))
        self._fences = [fence for fence in self._fences if fence[0] > finished]

    # Deadlines.

    def _watch_deadline(self) -> None:
        if not self._ticking:
            self._ticking = True
            self._deadline.begin(time.monotonic())
            self.alarm("tick", self._deadline.interval_s)

    def _check_deadline(self) -> None:
        self._ticking = False
        if not self._batch_ends or self._worker is None:
            return
        allowed = self._deadline.exceeded(*self._mark(self._worker), self._box.finished, time.monotonic())
        if allowed is not None:
            self._end_worker(Death(Cause.DEADLINE, f"exceeded its wall time of {allowed:g} s per frame"))
            return
        self._ticking = True
        self.alarm("tick", self._deadline.interval_s)

    def _mark(self, worker: Worker) -> tuple[int, int]:
        """Move the worker's mark into the frames that it was given: claiming others gains it no time."""
        index, count = worker.mark()
        index = min(max(index, self._box.finished), self._sent - 1)
        return index, min(count, self._sent - index)

    def on_alarm(self, name: Any) -> None:
        """Something has not happened in time, or is due now."""
        match name:
            case "tick":
                self._check_deadline()
            case "start":
                timeout = self._plan.settings.system.load_timeout_s
                self._start_failed(f"its worker was not ready within {timeout:g} s")
            case "restart":
                self._start_worker()
            case "look":
                self._check_consumption()
            case "drain":
                self._give_up_draining()
            case "stop":
                self._stopped("on_unload did not end in time")
            case "broker":
                self._broker.expire()
            case "denials":
                if self._denials.tell():
                    self.alarm("denials", 1.0)
            case "log":
                self._streams.tell_losses()
                self._streams.flush(self.myAddress)

    # Crashes.

    def _check_consumption(self) -> None:
        if not self._ready or self._worker is None:
            return
        death = self._worker.exceeded()
        if death is None:
            self.alarm("look", LOOK_S)
        else:
            self._end_worker(death)

    def _end_worker(self, death: Death) -> None:
        """End the worker for a reason that is not in its status."""
        self._note_death(death)
        self._crashed(death)

    def _note_death(self, death: Death) -> None:
        self._last_death = death
        if death.cause in OVERSTEPPING:
            self._violated(f"worker {death}")
        if not death.normal:
            self._log(ERROR, f"worker {death} (cause: {death.cause})")
            self._streams.flush(self.myAddress)

    def _crashed(self, death: Death) -> None:
        """Settle what the worker had in hand, and start it again if its policy allows."""
        reason = f"worker {death}"
        self._settle_suspects(f"{'deadline' if death.cause is Cause.DEADLINE else 'crash'}: {reason}")
        self._drop_worker()
        after_s = None if self._given_up else self._restart_after(death.normal)
        self.send(self._parent, m.WorkerCrashed(self._plan.load_id, reason, after_s))
        if after_s is None:
            self._given_up = self._given_up or reason
            self._dead_letter_all("failed plugin")
            self._continue_drain()
            return
        self._box.note_restart()
        self.alarm("restart", after_s)

    def _restart_after(self, normal: bool) -> float | None:
        policy = restart_policy(self._plan.manifest.restart, self._plan.settings.supervision)
        self._restart_state, verdict = decide(policy, self._restart_state, time.monotonic(), normal, random.random())
        return verdict.after_s if isinstance(verdict, Restart) else None

    def _settle_suspects(self, reason: str) -> None:
        """Exactly the frames that the worker had started are suspect; those before them are done, those after go on."""
        if self._worker is None:
            return
        index, count = self._worker.mark()
        finished, sent = self._box.finished, self._sent or self._box.accepted
        end = min(index + count, sent)
        if count == 0 or end <= finished:
            return
        first = min(max(index, finished), end)
        self._finish([ReplyLost()] * (first - finished) + [DeadLetter(reason)] * (end - first))

    def _dead_letter_all(self, reason: str) -> None:
        self._finish([DeadLetter(reason)] * self._box.depth)

    def _quarantine(self, reason: str) -> None:
        """Nothing more goes to the worker or comes from it."""
        self._given_up, self._quarantined = reason, True
        self.cancel_alarm("restart")
        if self._mailbox is not None:
            self._settle_suspects("quarantined")
            self._drop_worker()
            self._dead_letter_all("quarantined")
            self._continue_drain()

    def _drop_worker(self) -> None:
        self._ready = self._stop_sent = False
        self._batch_ends.clear()
        for name in ("start", "tick", "look"):
            self.cancel_alarm(name)
        self._ticking = False
        if self._worker is not None:
            self._worker.kill()
            self._worker = None
            self._broker.forget()
            if self._adopts:
                # What a plugin started has this process for its parent now, whatever session it went to.
                sweep(SWEEP_S)
        self._answer_pauses()

    # Pausing and draining.

    def _pause(self, question: m.PausePlugin) -> None:
        self._paused = question.paused
        self._pausing.append(question)
        self._answer_pauses()
        self._pump()

    def _answer_pauses(self) -> None:
        """Pausing is answered once the worker has nothing in hand any more."""
        if self._paused and self._batch_ends:
            return
        for question in self._pausing:
            self.send(question.reply_to, m.Reply(question.request_id))
        self._pausing.clear()

    def _drain(self, message: m.DrainPlugin) -> None:
        self._draining = message
        self._lost_before = self._box.statistics().dead_lettered
        self._paused = False
        self._answer_pauses()
        self.alarm("drain", message.drain_s)
        self._pump()
        self._continue_drain()

    def _continue_drain(self) -> None:
        if self._draining is None or self._box.depth > 0:
            return
        self.cancel_alarm("drain")
        if self._ready and self._worker is not None:
            self.alarm("stop", self._plan.settings.system.stop_timeout_s)
            self._stop_sent = True
            self._worker.send_stop()
        else:
            self._stopped(None)

    def _give_up_draining(self) -> None:
        assert self._draining is not None
        self._drop_worker()
        self._dead_letter_all(self._draining.reason)
        self._stopped(None)

    def _stopped(self, error: str | None) -> None:
        """The worker needs nothing more: report, and let the supervisor end this actor."""
        self.cancel_alarm("stop")
        self.cancel_alarm("restart")
        self._drop_worker()
        if self._draining is not None:
            self._draining = None
            self._given_up = "it is unloaded"
            self._answers.send_all()
            self._streams.finish(self.myAddress)
            dead_lettered = self._box.statistics().dead_lettered - self._lost_before
            self.send(self._parent, m.PluginDrained(self._plan.load_id, dead_lettered, error))

    def on_exit(self) -> None:
        """Leave no worker behind."""
        self._drop_worker()
        if self._mailbox is not None:
            self._broker.close()
            self._mailbox.close()
            self._mailbox = None

    # Sessions and statistics.

    def _join(self, message: m.SessionJoined) -> None:
        self._answers.join(message.session, message.address)
        self._streams.join(message.session, message.address, message.streams)

    def _leave(self, session: int) -> None:
        self._answers.leave(session)
        self._streams.leave(session)

    def _seen(self, message: m.DeliverySeen) -> None:
        if message.stream == ANSWERS:
            self._answers.acknowledge(message.session)
        else:
            self._streams.acknowledge(message.session, message.stream)
            self._streams.flush(self.myAddress)

    def _statistics(self) -> PluginStats:
        box = attrs.asdict(self._box.statistics())
        seen = box["processed"] + box["failed"]
        return PluginStats(
            messages_processed=seen,
            errors=box["failed"],
            state=self._state(),
            latency=self._latency.histogram(),
            actor_pid=os.getpid(),
            worker_pid=(self._worker.pid or None) if self._worker is not None else None,
            violations=self._violations,
            last_death=self._last_death,
            **box,
        )

    def _state(self) -> str:
        if self._quarantined:
            return "quarantined"
        if self._given_up:
            return "failed"
        if self._paused:
            return "paused"
        return "ready" if self._ready else "restarting"
