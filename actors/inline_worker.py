"""Plugin code in this process, for transport ``inline``: the same face as a worker process, without its walls."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from ..config.errors import NyxPluginError
from ..plugins.policy import Policy
from ..plugins.sdk import Context
from ..plugins.worker.answers import (
    Answer,
    Done,
    Emit,
    Emitted,
    Log,
    LogLine,
    Ready,
    Restored,
    SnapshotDone,
    SnapshotPart,
    StartFailed,
    StateTaken,
    Stopped,
    SwapFailed,
    check_request,
    check_send,
)
from ..plugins.worker.batch import Batch
from ..plugins.worker.ending import ENDS, ending
from ..plugins.worker.outside import Outside, Refusal
from ..plugins.worker.peers import Peers, described
from ..plugins.worker.protocol import BY_POLICY, REPLIED, UNDELIVERED, describe
from ..plugins.worker.runner import Runner, load_plugin
from .broker import denial
from .deaths import exited
from .outside import fulfil, timeout_s
from .trees import make_empty
from .worker import Owner, RequestAnswer, WorkerPlan


class InlineWorker:
    """Runs each batch at once, on the caller's thread. A handler that hangs hangs the caller: no deadline applies."""

    def __init__(self, owner: Owner) -> None:
        self.pid = 0
        self._owner = owner
        self._runner: Runner | None = None
        self._mark = (0, 0)
        self._requests = itertools.count(1)
        self._answers: dict[int, RequestAnswer] = {}
        self._max_snapshot_bytes = 0

    def start(self, plan: WorkerPlan) -> None:
        """Import the bundle and call ``on_load``."""
        try:
            plugin = load_plugin(plan.bundle, plan.entry_point, self._context(plan), private=True, standby=plan.standby)
            self._runner = Runner(plugin, plan.max_reply_bytes)
        except BaseException as error:
            self._owner.from_worker(StartFailed(*describe(error)))
            _pass_on(error)
        else:
            self._max_snapshot_bytes = plan.max_snapshot_bytes
            self._owner.from_worker(Ready())

    def serve(self, owner: Owner) -> None:
        """From now on, tell this owner what happens."""
        self._owner = owner

    def send_batch(self, first_index: int, frames: Batch) -> None:
        """Run the handlers and report the results."""
        items, start = list(frames), 0
        while start < len(items) and self._runner is not None:
            # A run of data frames for on_batch, or else one frame.
            count = self._runner.run_length(items, start)
            run = items[start : start + (count or 1)]
            self._mark = (first_index + start, len(run))
            self._tell(partial(self._run, self._runner, first_index + start, run, bool(count)))
            start += len(run)

    def send_stop(self) -> None:
        """Call ``on_unload``."""
        self._tell(lambda: [Stopped(self._runner.unload() if self._runner else None)])

    def send_snapshot(self) -> None:
        """Take the plugin's state."""
        assert self._runner is not None
        self._tell(partial(self._snapshot, self._runner))

    def send_restore(self, version: int, state: bytes | None) -> None:
        """Let the plugin go on from another one's state."""
        assert self._runner is not None
        self._tell(partial(self._take_over, self._runner, version, state))

    def _tell(self, work: Callable[[], Iterable[Answer]]) -> None:
        """Tell the owner what the plugin's code comes to, or that it would have ended a process."""
        try:
            answers = work()
        except ENDS as error:
            self._owner.worker_gone(exited(*ending(error)))
            _pass_on(error)
            return
        for answer in answers:
            self._owner.from_worker(answer)

    @staticmethod
    def _run(runner: Runner, index: int, frames: list[tuple[int, bytes]], together: bool) -> Iterable[Answer]:
        return [Done(index, runner.run_batch(frames) if together else [runner.run(*frames[0])])]

    def _snapshot(self, runner: Runner) -> Iterable[Answer]:
        taken = runner.snapshot(self._max_snapshot_bytes)
        if isinstance(taken, list):
            return [SwapFailed("snapshot", *taken)]
        version, state = taken or (None, b"")
        return [SnapshotPart(state), SnapshotDone(version)] if state else [SnapshotDone(version)]

    def _take_over(self, runner: Runner, version: int, state: bytes | None) -> Iterable[Answer]:
        failed = runner.take_over(version, state, lambda: self._owner.from_worker(StateTaken()))
        return [SwapFailed(*failed) if failed else Restored()]

    @property
    def answers_waiting(self) -> int:
        """Nothing waits here."""
        return 0

    def answer(self, request_id: int, answer: RequestAnswer) -> None:
        """Take what came of a frame for another plugin; for anything else see :meth:`_ask`."""
        self._answers[request_id] = answer

    def mark(self) -> tuple[int, int]:
        """Return the frame last started."""
        return self._mark

    def exceeded(self) -> None:
        """Nothing is limited here."""

    def halt(self) -> None:
        """Let go of the plugin."""
        self._runner = None

    def kill(self) -> None:
        """Let go of the plugin."""
        self._runner = None

    @staticmethod
    def _scratch(plan: WorkerPlan) -> str:
        """Make the private directory; its size is not limited here, and ``tempfile`` does not know it."""
        return str(make_empty(Path(plan.scratch))) if plan.policy.scratch_bytes else ""

    def _context(self, plan: WorkerPlan) -> Context:
        return Context(
            plan.plugin_id,
            plan.name,
            plan.config,
            emit=lambda frame_type, flags, data: self._owner.from_worker(Emit((Emitted(frame_type, flags, data),))),
            log=lambda level, text: self._owner.from_worker(Log((LogLine(level, text),))),
            max_emit_bytes=plan.max_reply_bytes,
            scratch=self._scratch(plan),
            outside=lambda: Outside(plan.plugin_id, partial(self._ask, plan.policy)),
            peers=lambda: Peers(partial(self._exchange, plan.max_reply_bytes), plan.max_reply_bytes),
        )

    def _exchange(self, max_bytes: int, kind: int, *fields: Any) -> list[Any]:
        """Give a frame for another plugin to the actor, and let the others run until all is done that can be."""
        frame = check_send([kind, next(self._requests), *fields], max_reply_bytes=max_bytes)
        self._owner.from_worker(frame)
        if frame.request_id not in self._answers:
            self._owner.await_answers()
        answer = self._answers.pop(frame.request_id)
        if isinstance(answer, NyxPluginError):
            return [UNDELIVERED, frame.request_id, *described(answer)]
        return [REPLIED, frame.request_id, answer]

    def _ask(self, policy: Policy, kind: int, *fields: Any) -> int | Refusal:
        """Do at once, under the same policy, what a plugin actor does for its worker."""
        request = check_request([kind, 0, *fields])
        answer = fulfil(policy, request, time.monotonic() + timeout_s(request))
        if isinstance(answer, Refusal) and answer.cause == BY_POLICY:
            self._owner.worker_denied(denial(request, answer))
        return answer


def _pass_on(error: BaseException) -> None:
    """Let a Ctrl-C have its way: it may have been meant for the program."""
    if isinstance(error, KeyboardInterrupt):
        raise error
