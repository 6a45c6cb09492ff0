"""A worker that is stepped: it takes frames one by one, marks each in its page, and may be killed at any of them."""

from __future__ import annotations

import os
import struct
from collections import deque
from pathlib import Path
from typing import Any

import attrs

from nyx_plugins.actors.deaths import Cause, Death
from nyx_plugins.actors.mark_page import MarkPage
from nyx_plugins.actors.worker import WorkerPlan
from nyx_plugins.config.errors import NyxPluginError
from nyx_plugins.plugins.header import split_header
from nyx_plugins.plugins.worker.answers import (
    Answer,
    Done,
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
from nyx_plugins.plugins.worker.batch import Batch

from .world import Address, Process, World

PROVIDER = "p1"
_MARK = struct.Struct("<QQ")


@attrs.frozen
class Gone:
    """The end of a worker's socket, after all that it wrote."""

    death: Death


class Link:
    """Stands for ``WorkerLink``: the plugin actor's end of a simulated worker."""

    world: World
    """Set by whoever runs the simulation."""
    runs: Any

    def __init__(self, owner: Any, watching: Any, page: Path, max_reply_bytes: int, max_results: int) -> None:
        self.pid = 0
        self._owner = owner
        self.actor: Process = watching.process
        self._page: MarkPage | None = MarkPage(page)
        self._process: Process | None = None
        self.actor.held.append(self.owner_killed)
        self._asked: dict[int, bytes] = {}
        self.said: deque[Answer | Gone] = deque()
        """What the worker wrote and nobody has read."""

    def start(self, plan: WorkerPlan) -> None:
        """Start a process; what it says comes by a wire of its own."""
        assert self._page is not None
        self._page.clear()
        worker = _Worker(self.world, self, plan, self._page)
        self._process = self.world.start("worker", worker.take)
        self._process.is_busy, self._process.work = worker.is_busy, worker.work
        self._process.on_killed = lambda: worker.ended(Death(Cause.SIGNAL, "was killed by SIGKILL"))
        worker.process = self._process
        self.pid = self._process.pid
        self._send(("start",))

    def _send(self, message: Any) -> None:
        if self._process is not None and self._process.alive:
            self.world.post(self.actor, self._process.address, message)

    def send_batch(self, first_index: int, frames: Batch) -> None:
        """Hand over frames."""
        self._send(("batch", first_index, list(frames)))

    def send_stop(self) -> None:
        """Ask the plugin to unload."""
        self._send(("stop",))

    def serve(self, owner: Any) -> None:
        """From now on, tell this owner what happens."""
        self._owner = owner

    def send_snapshot(self) -> None:
        """Ask for the plugin's state."""
        self._send(("snapshot",))

    def send_restore(self, version: int, state: bytes | None) -> None:
        """Let it take another worker's place."""
        self._send(("restore", version, state))

    answers_waiting = 0

    def mark(self) -> tuple[int, int]:
        """Return what the worker says it has started."""
        return (0, 0) if self._page is None else self._page.read()

    def answer(self, request_id: int, answer: bytes | NyxPluginError | None) -> None:
        """Answer the plugin about a frame of its own."""
        self.runs.answered(self._asked.pop(request_id), answer)
        self._send(("answer", request_id))

    def asks(self, request_id: int, data: bytes) -> None:
        """Remember which frame a request is about."""
        self._asked[request_id] = data

    def exceeded(self) -> None:
        """Nothing is limited here."""

    def halt(self) -> None:
        """End it, and hear of it no more; its mark can still be read."""
        process, self._process = self._process, None
        if process is not None and process.alive:
            self.world.kill(process)

    def kill(self) -> None:
        """End it, and let go of everything."""
        self.halt()
        if self._page is not None:
            self._page.close()
            self._page = None

    def owner_killed(self) -> None:
        """The plugin actor is gone: its worker is killed, a moment later."""
        process = self._process
        if process is not None:
            for _ in range(self.world.random.choice([0, 0, 1, 3])):
                if process.alive and process.is_busy():
                    self.world.run(process, process.work)
        self.kill()

    def heard(self, worker: Process) -> None:
        """Something that the worker wrote is read."""
        message = self.said.popleft()
        self.world.note(f"  {worker} said {message!r}")
        if self._process is not worker:
            return
        if isinstance(message, Gone):
            self._process = None
            self._owner.worker_gone(message.death)
        else:
            self._owner.from_worker(message)


class _Worker:
    """The process itself. What a frame does is said by the first byte of its data."""

    process: Process

    def __init__(self, world: World, link: Link, plan: WorkerPlan, page: MarkPage) -> None:
        self._world = world
        self._link = link
        self._plan = plan
        self._page = page
        self._todo: deque[tuple[int, int, bytes]] = deque()
        self._batch_end = 0
        self._first = 0
        self._results: list[Any] = []
        self._hangs = False
        self._requests = 0
        self._waits = False
        """Whether it waits for the answer to its last request."""
        self._is_gone = False

    def take(self, message: Any, sender: Address) -> None:
        """Take one message of the socket."""
        match message:
            case ("start",):
                self._say(StartFailed("ValueError", "no") if self._plan.config.get("broken") else Ready())
            case ("batch", int(first), list(frames)):
                self._todo.extend((index, *frame) for index, frame in enumerate(frames, first))
            case ("answer", int(number)):
                assert self._waits and number == self._requests
                self._waits = False
                self._finish(None)
            case ("snapshot",):
                self._snapshot()
            case ("restore", int(), _):
                self._restore()
            case ("stop",):
                self._say(Stopped(None))
                self._end(Death(Cause.EXIT, "exited with code 0", True))

    def _snapshot(self) -> None:
        match self._world.random.randrange(8):
            case 0:
                self._say(SwapFailed("snapshot", "ValueError", "as it was told"))
            case 1:
                self._end(Death(Cause.SIGNAL, "was killed by SIGSEGV"))
            case 2 | 3:
                self._say(SnapshotDone(None))
            case _:
                self._say(SnapshotPart(b"state"))
                self._say(SnapshotDone(1))

    def _restore(self) -> None:
        match self._world.random.randrange(8):
            case 0:
                self._say(SwapFailed("restore", "ValueError", "as it was told"))
            case 1:
                self._end(Death(Cause.SIGNAL, "was killed by SIGSEGV"))
            case 2:
                self._say(StateTaken())
                self._end(Death(Cause.SIGNAL, "was killed by SIGSEGV"))
            case _:
                self._say(StateTaken())
                self._say(Restored())

    def is_busy(self) -> bool:
        """Whether it has frames in hand and gets on with them."""
        return bool(self._todo) and not self._hangs and not self._waits

    def work(self) -> None:
        """Run one frame; its result is sent now or with later ones."""
        index, frame_type, header = self._todo.popleft()
        self._page_put(index)
        _, _, data = split_header(header, 1 << 32)
        self._link.runs.note(self._plan.plugin_id, self.process, index, frame_type, data)
        if not self._results:
            self._first = index
        match data[:1]:
            case b"c":
                self._end(Death(Cause.SIGNAL, "was killed by SIGSEGV"))
                return
            case b"h":
                self._hangs = True
                return
            case b"s":
                self._send_frame(data)
            case b"f":
                self._finish(["ValueError", "as it was told"])
            case b"r":
                self._finish(data)
            case _:
                self._finish(None)

    def _send_frame(self, data: bytes) -> None:
        """Send a frame to the plugin that it may depend on, and wait for what becomes of it."""
        self._requests, self._waits = self._requests + 1, True
        sent = b"%s from %s %d" % (self._world.random.choice((b".", b"r", b"f", b"c")), data, self.process.pid)
        self._link.asks(self._requests, sent)
        wants_reply = self._world.random.random() < 0.5
        self._say(Send(self._requests, PROVIDER, 0x52, 0, sent, None, wants_reply))

    def _finish(self, result: Any) -> None:
        self._results.append(result)
        if not self._todo or self._world.random.random() < 0.5:
            results, self._results = self._results, []
            self._say(Done(self._first, results))

    def _page_put(self, index: int) -> None:
        os.pwrite(self._page.fd, _MARK.pack(index, 1), 0)

    def _say(self, message: Answer | Gone) -> None:
        """Write to the socket, where it can be read until the end, whatever becomes of this process."""
        link, process = self._link, self.process
        link.said.append(message)
        self._world.notice(link.actor, lambda: link.heard(process), f"reads of {process}")

    def _end(self, death: Death) -> None:
        self.ended(death)
        self._world.kill(self.process, str(death))

    def ended(self, death: Death) -> None:
        """Its socket is closed by the kernel."""
        if not self._is_gone:
            self._is_gone = True
            self._say(Gone(death))
