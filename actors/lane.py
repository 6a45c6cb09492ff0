"""One lane of a plugin actor: a worker, and the frames on their way to it.

The actor has messages in and out; the lane has the batches under way, the deadline, what is suspect after a crash, and
the start and the end of its worker.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import assert_never

from ..config.errors import NyxPluginError
from ..plugins.errors import BundleChanged
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
    Send,
    SnapshotDone,
    SnapshotPart,
    StartFailed,
    StateTaken,
    Stopped,
    SwapFailed,
)
from ..plugins.worker.protocol import ProtocolError
from .deaths import Cause, Death
from .home import Home
from .lane_files import CONTROL
from .letter_office import dead_frames
from .listener import Listener
from .rack import Rack
from .results import DeadLetter, Failed, Result
from .snapshots import OnSnapshot, Snapshots
from .tray import HandOut, Tray
from .unwritten import Unwritten
from .vigil import Vigil
from .worker import Worker
from .workplace import Workplace


class Lane(Listener):
    """Owns a worker and a rack of frames for it. All that happens is started by its actor or by the worker."""

    def __init__(self, home: Home, number: int) -> None:
        super().__init__(home)
        self.number = number
        self.worker: Worker | None = None
        self.is_ready = False
        self.is_held = False
        """Whether its worker is given no more frames for now, though they are accepted."""
        self.rack = Rack(home, number)
        self.workplace = Workplace(home, number)
        self._snapshots = Snapshots()
        self._vigil = Vigil(self, home)
        self.is_stopping = False
        """Whether its worker unloads, and is given nothing more."""
        self._is_pumping = False
        self._unsent = 0
        """Batches that the worker is about to be given."""
        self._unwritten = Unwritten(lambda: self._alarm("written", 0.0))
        self._starts_later = False
        """Whether the next worker waits for the disk."""

    @property
    def restarts(self) -> int:
        """How often its worker was started again."""
        return self.rack.data.box.restarts

    @property
    def holds_back(self) -> bool:
        """Whether the worker has not been sent yet what is under way: what keeps frames has to be on the disk first."""
        return self._unsent > 0

    def is_idle(self) -> bool:
        """Whether its worker has nothing in hand, and what came of it last is on the disk, if it is kept there.

        If not, ``lane_went_on`` follows.
        """
        if self._unwritten:
            self._unwritten.wait()
        return not self._unwritten and not self.rack.is_under_way

    @property
    def is_at_snapshot(self) -> bool:
        """Whether the worker has been asked for its plugin's state, and has not answered: it begins no frame before."""
        return self._snapshots.is_due

    @property
    def is_quick(self) -> bool:
        """Whether its worker has all frames that there are, and is likely to be done with them in a moment."""
        return self.is_ready and not self._unsent and self.rack.is_quick

    # The worker's life.

    def settle_earlier(self) -> None:
        """Settle what the worker of an earlier plugin actor had in hand."""
        self.worker = self.workplace.new_worker(self)
        for tray in self.rack.trays:
            tray.expect_mark()
        self.settle_suspects("crash: the plugin actor and its worker ended")
        self.worker.kill()
        self.worker = None
        for tray in self.rack.trays:
            self._finish(tray, self._home.ledger.buried(self.number, tray))

    def start(self) -> None:
        """Start a worker; it reports that it is ready, or the lane that it is not."""
        self._starts_later = bool(self._unwritten)
        if self._starts_later:
            self._unwritten.wait()
            return
        plan = self._home.plan
        # Scaling starts all lanes, also one whose worker was to be started again a little later.
        self._home.cancel_alarm(("restart", self.number))
        self._rewind()
        try:
            check_copy(plan.plugin_id, Path(plan.bundle_directory, "bundle"), plan.digest)
        except BundleChanged as changed:
            if not self._home.is_host_gone:
                self._start_failed(str(changed), changed)
            return
        self.worker = self.workplace.new_worker(self)
        self._alarm("start", plan.settings.system.load_timeout_s)
        try:
            self.worker.start(self.workplace.worker_plan(plan))
        except ImportError as error:
            self._start_failed(str(error))

    def _start_failed(self, reason: str, error: NyxPluginError | None = None) -> None:
        if self._home.standing.has_been_ready:
            if error is not None:
                self._home.standing.give_up(reason)
            self.end_worker(Death(Cause.EXIT, f"did not start: {reason}"))
        else:
            self.drop_worker()
            self._home.foreman.lane_failed(reason, error)

    def restart(self, after_s: float) -> None:
        """Start a worker again, in so many seconds."""
        self.rack.data.box.note_restart()
        self._alarm("restart", after_s)

    def stop(self) -> None:
        """Ask the worker to unload; ``lane_stopped`` follows."""
        if self.is_stopping:
            return
        if self.is_ready and self.worker is not None:
            self._alarm("stop", self._home.plan.settings.system.stop_timeout_s)
            self.is_stopping = True
            self.worker.send_stop()
        else:
            self._stopped(None)

    def _stopped(self, error: str | None) -> None:
        self.drop_worker()
        self._home.foreman.lane_stopped(self.number, error)

    def end_worker(self, death: Death) -> None:
        """End the worker for a reason that is not in its status."""
        self._home.note_death(death)
        self._crashed(death)

    def _crashed(self, death: Death) -> None:
        cause = "deadline" if death.cause is Cause.DEADLINE else "crash"
        self.settle_suspects(f"{cause}: worker {death}")
        self.drop_worker()
        self._home.foreman.lane_crashed(self.number, death)

    def drop_worker(self) -> None:
        """Kill the worker, if there is one; there is none from now on."""
        self.is_ready = self.is_stopping = self._starts_later = False
        self._snapshots.clear()
        self._rewind()
        self._vigil.end()
        for kind in ("start", "stop", "restart"):
            self._home.cancel_alarm((kind, self.number))
        worker, self.worker = self.worker, None
        if worker is not None:
            worker.kill()
            self._home.worker_dropped(worker)

    def condemn(self, reason: str) -> None:
        """No worker any more; no frame that is left will be processed, for this reason."""
        self.settle_suspects(reason)
        self.drop_worker()
        self.dead_letter_all(reason)

    def close(self) -> None:
        """Release everything, for good."""
        self.drop_worker()
        self._home.cancel_alarm(("expire", self.number))
        self.rack.close()

    def _rewind(self) -> None:
        self._unsent = 0
        self.rack.rewind()

    # Another worker takes the present one's place.

    def send_snapshot(self, answer: OnSnapshot) -> bool:
        """Ask the worker for its plugin's state, which ``answer`` is told; false when there is no worker to ask."""
        if self.worker is None or not self.is_ready:
            return False
        self._snapshots.add(answer)
        self.worker.send_snapshot()
        return True

    def forget_snapshot(self) -> None:
        """Nobody waits for the state any more; it may still come."""
        self._snapshots.forget()

    def switch(self, worker: Worker) -> Worker | None:
        """Let a worker that is ready take the place of the present one, which is returned if it is to be stopped."""
        assert not self.rack.is_under_way
        old = self.worker if self.is_ready else None
        if old is None:
            self.drop_worker()
        self._snapshots.clear()
        self.worker = worker
        worker.serve(self)
        self.workplace.switch()
        self._begin_anew()
        if old is None:
            self._home.foreman.lane_ready()
        return old

    def _begin_anew(self) -> None:
        self.is_ready, self.is_stopping = True, False
        self._home.cancel_alarm(("stop", self.number))
        self.rack.renew()
        self._vigil.renew()

    # What the worker does.

    def from_worker(self, message: Answer) -> None:
        """Take one message of the worker."""
        match message:
            case Done():
                self._done(message)
            case Emit() | Log() | Connect() | Open() | Send():
                assert self.worker is not None
                self._home.worker_said(message, self.worker)
            case Ready():
                self._became_ready()
            case StartFailed():
                self._start_failed(f"{message.type}: {message.text}")
            case Stopped():
                if not self.is_stopping:
                    raise ProtocolError("it stopped, and was not asked to")
                self._stopped(message.error)
            case SnapshotPart() | SnapshotDone() | SwapFailed():
                self._snapshots.answered(message)
            case StateTaken() | Restored():
                raise ProtocolError("it takes over, and was not asked to")
            case _:
                assert_never(message)

    def worker_gone(self, death: Death) -> None:
        """The worker's process has ended."""
        self._home.note_death(death)
        if self.is_stopping:
            self._stopped(f"its worker {death}")
        elif self.is_ready or self._home.standing.has_been_ready:
            self._crashed(death)
        else:
            self._start_failed(f"its worker {death} before it was ready")

    def _became_ready(self) -> None:
        self._home.cancel_alarm(("start", self.number))
        if self.is_ready or self.worker is None:
            return
        self.is_ready = True
        self._home.foreman.lane_ready()
        self._vigil.check_consumption()
        self.pump()

    def _done(self, message: Done) -> None:
        tray, first = self.rack.by_flag.get(message.first_index & CONTROL), message.first_index & ~CONTROL
        if not self.is_ready or tray is None or not tray.is_due(first, len(message.results)):
            self.worker_misbehaved(f"results for frames {message.first_index}.., which were not due")
            self.end_worker(Death(Cause.PROTOCOL, "answered frames that it was not given"))
            return
        results: list[Result] = [None] * len(message.results)
        if message.results.count(None) < len(results):
            results = [Failed(*item) if isinstance(item, (list, tuple)) else item for item in message.results]
        self._finish(tray, results, message.spent_us / 1e6)
        self._home.foreman.lane_went_on()
        self.pump()

    # Frames.

    def pump(self) -> None:
        """Give the worker what it may have in hand."""
        if self._is_pumping:
            return
        self._is_pumping = True
        try:
            while (batch := self._next_batch()) is not None:
                self._hand_out(batch)
        finally:
            self._is_pumping = False
        self._watch_expiry()

    def _hand_out(self, batch: HandOut) -> None:
        worker = self.worker
        assert worker is not None
        self._unsent += 1
        self._home.ledger.hand_out(self.number, batch, lambda: self._send(worker, batch))

    def _send(self, worker: Worker, batch: HandOut) -> None:
        # Another worker, if one is here by now, is given the frames anew.
        if worker is self.worker and self.is_ready:
            self._unsent -= 1
            worker.send_batch(batch.first, batch.frames)

    def _next_batch(self) -> HandOut | None:
        if not self.rack.is_waiting:
            return None
        now_ms = int(time.time() * 1000)
        self._expire(now_ms)
        if not self.is_ready or self.is_stopping or self.is_held or self._home.standing.is_paused:
            return None
        tray = self.rack.next(is_written=not self._unwritten)
        if tray is None:
            self._unwritten.wait()
        was_idle = tray is not None and not tray.is_under_way
        batch = None if tray is None else tray.take(now_ms)
        if batch is not None:
            self._vigil.begin(was_idle)
        return batch

    def _finish(self, tray: Tray, results: list[Result], spent_s: float | None = None) -> None:
        if results:
            # Before they are finished: whoever follows one that is killed in between finishes them for the same
            # reason, and they are kept once.
            for reason, frames in dead_frames(tray.box, tray.ring(self.number), results):
                self._home.ledger.bury(reason, frames)
            outcomes = tray.finish(results, spent_s)
            self._home.ledger.settled(outcomes, self._unwritten.add() if self._home.ledger.is_on_disk else None)

    def await_disk(self) -> None:
        """Start no worker before all is on the disk that was said."""
        self._home.ledger.after(self._unwritten.add())

    def _go_on(self) -> None:
        """The disk has taken all, unless there is more by now."""
        if self._starts_later:
            self.start()
        self._home.foreman.lane_went_on()
        self.pump()

    def settle_suspects(self, reason: str) -> None:
        """Exactly the frames that the worker had started are suspect; those before them are done, those after go on."""
        if self.worker is not None:
            # One that lives could go on between a look at its mark and its end.
            self.worker.halt()
            mark = self.worker.mark()
            for tray in self.rack.trays:
                self._finish(tray, tray.verdicts(mark, reason))
                if self._home.ledger.is_on_disk and (count := tray.suspects):
                    self._home.ledger.suspect(tray, count, self._unwritten.add())

    def dead_letter_all(self, reason: str) -> None:
        """Finish every frame that is left."""
        for tray in self.rack.trays:
            self._finish(tray, [DeadLetter(reason)] * tray.box.depth)

    def _expire(self, now_ms: int) -> None:
        for tray in self.rack.trays:
            if count := tray.expired(now_ms):
                self._finish(tray, [DeadLetter("expired")] * count)
                self._home.foreman.lane_went_on()

    def _watch_expiry(self) -> None:
        """Look again when the time of the oldest frame is over: what no worker takes, nothing else would notice."""
        if due_ms := self.rack.expires_at_ms:
            self._alarm("expire", due_ms / 1000 - time.time())

    # Time.

    def on_alarm(self, kind: str) -> None:
        """Something has not happened in time, or is due now."""
        match kind:
            case "tick":
                self._vigil.check_deadline()
            case "start":
                timeout = self._home.plan.settings.system.load_timeout_s
                self._start_failed(f"its worker was not ready within {timeout:g} s")
            case "restart":
                self.start()
            case "look":
                self._vigil.check_consumption()
            case "expire":
                self.pump()
            case "written":
                self._go_on()
            case "stop":
                self._stopped("on_unload did not end in time")

    def _alarm(self, kind: str, after_s: float) -> None:
        self._home.alarm((kind, self.number), after_s)
