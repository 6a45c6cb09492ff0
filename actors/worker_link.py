"""The plugin actor's end of its worker: the process, the socket, the mark page, the pipe with its output.

The worker is treated as hostile: what it says is schema-checked and bounded, and nothing here waits for it.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from ..config.errors import NyxPluginError
from ..plugins.worker import protocol
from ..plugins.worker.answers import Ending, check_from_worker
from ..plugins.worker.batch import Batch
from ..plugins.worker.jail.plan import Orders
from ..plugins.worker.outside import TOO_MANY, Refusal
from ..plugins.worker.peers import described
from ..plugins.worker.spawn import start_message
from .confinement import Confinement, confinement
from .consumption import Consumption
from .deaths import Cause, Death, told_by_kernel
from .mark_page import MarkPage
from .unsent import Unsent
from .worker import Owner, RequestAnswer, WorkerPlan
from .worker_process import WorkerProcess
from .worker_process import start as start_process

# What all sockets of a process are read into, one after the other: a new buffer of this size is a mapping each time.
_SCRATCH = memoryview(bytearray(1 << 18))
# All that a socket can hold; a child of the worker could go on for ever.
_LAST_READS = 16
# A worker that closed its socket has this long to end, in seconds.
_ENDING_S = 0.2
# Once killed, a process needs this long at the most, in seconds, unless the kernel holds it.
_REAP_S = 5.0


class Watching(Protocol):
    """What a link needs of its actor: being told when a descriptor is ready."""

    def watch(self, fd: int, watcher: Callable[[int], None], events: int = ...) -> None:
        """Call ``watcher`` whenever ``fd`` is ready."""

    def unwatch(self, fd: int) -> None:
        """Stop that."""


class WorkerLink:
    """One worker process, from start to end. Use a new link for each start."""

    def __init__(self, owner: Owner, watching: Watching, page: Path, max_reply_bytes: int, max_results: int) -> None:
        self.pid = 0
        self._owner = owner
        self._watching = watching
        self._page: MarkPage | None = MarkPage(page)
        self._max_reply_bytes = max_reply_bytes
        self._max_results = max_results
        self._reader = protocol.MessageReader(
            protocol.max_message_bytes(max_reply_bytes), max_items=protocol.max_items(max_results)
        )
        self._unsent = Unsent()
        self._awaits_room = False
        self._line = b""
        self._reason = ""
        """What the worker has said of its exit."""
        self._process: WorkerProcess | None = None
        self._consumption: Consumption | None = None
        self._cpu_limit_s: int | None = None
        self._socket: socket.socket | None = None
        self._output = -1
        self._ended = -1

    def start(self, plan: WorkerPlan) -> None:
        """Start a process with one socket and one page, and tell it what to load.

        Raises :class:`ModuleNotFoundError` for a package of the policy that is not installed; nothing is open then.
        """
        assert self._page is not None
        packages = plan.policy.packages
        self._page.clear()
        with confinement(plan.policy, plan.bundle, plan.scratch) as jail:
            process, self._socket, self._output = start_process(jail, packages, self._page.fd, plan.nursery)
        for path in jail.missing:
            self._owner.worker_output(f"path {path!r} of the policy does not exist: it can't be granted")
        self._process, self.pid = process, process.pid
        self._awaits_room = False
        self._watching.watch(self._socket.fileno(), self._socket_ready)
        self._watching.watch(self._output, self._output_ready)
        self._cpu_limit_s = plan.policy.cpu_seconds
        self._consumption = Consumption(self.pid, plan.policy, Path(jail.grants.scratch))
        # A child that the plugin forked may hold the socket: its end of file alone would not tell.
        self._ended = process.ended
        self._watching.watch(self._ended, self._process_ended)
        self._send(_start_message(plan, jail, process.orders))

    def serve(self, owner: Owner) -> None:
        """From now on, tell this owner what happens."""
        self._owner = owner

    def send_batch(self, first_index: int, frames: Batch) -> None:
        """Hand over frames, the first of which has this ring index."""
        self._send(frames.message(first_index))

    def send_stop(self) -> None:
        """Ask the plugin to unload."""
        self._send([protocol.STOP])

    def send_snapshot(self) -> None:
        """Ask for the plugin's state."""
        self._send([protocol.SNAPSHOT])

    def send_restore(self, version: int, state: bytes | None) -> None:
        """Let a worker that stands by take over."""
        self._send([protocol.RESTORE, version, state])

    @property
    def answers_waiting(self) -> int:
        """How many answers the socket has not taken yet."""
        return self._unsent.answers

    def answer(self, request_id: int, answer: RequestAnswer) -> None:
        """Answer a request of the worker; a descriptor is closed here once it is sent."""
        match answer:
            case int():
                instead = protocol.encode([protocol.REFUSED, request_id, *TOO_MANY])
                self._unsent.add_answer(protocol.encode([protocol.GRANTED, request_id]), answer, instead)
            case Refusal():
                self._unsent.add_answer(protocol.encode([protocol.REFUSED, request_id, *answer]))
            case NyxPluginError():
                self._unsent.add_answer(protocol.encode([protocol.UNDELIVERED, request_id, *described(answer)]))
            case _:
                self._unsent.add_answer(protocol.encode([protocol.REPLIED, request_id, answer]))
        self._flush()

    def mark(self) -> tuple[int, int]:
        """Return what the worker says it has started."""
        return (0, 0) if self._page is None else self._page.read()

    def exceeded(self) -> Death | None:
        """Look at what the worker holds."""
        return None if self._consumption is None else self._consumption.exceeded()

    def halt(self) -> None:
        """Kill the worker's process group, and reap it."""
        self._end()

    def kill(self) -> None:
        """Kill the worker's process group, reap it, close everything."""
        self._end()
        if self._page is not None:
            self._page.close()
            self._page = None

    # Writing: never blocks; what the socket does not take is kept, and bounded by the batches under way.

    def _send(self, message: list[Any]) -> None:
        data = protocol.encode(message)
        if self._socket is not None and not self._unsent:
            # As it nearly always is. What is wrong with the socket, if anything, writing once more tells.
            with contextlib.suppress(OSError):
                data = data[self._socket.send(data) :]
        if data:
            self._unsent.add(data)
            self._flush()

    def _flush(self) -> None:
        if self._socket is None:
            self._unsent.clear()
            return
        try:
            self._unsent.send(self._socket)
        except BlockingIOError:
            self._await_room(True)
        except OSError:
            # The reason is found when the end of the stream is read.
            self._unsent.clear()
        else:
            self._await_room(False)

    def _await_room(self, awaits: bool) -> None:
        """Be told, or not any more, when the socket takes more."""
        if awaits != self._awaits_room and self._socket is not None:
            self._awaits_room = awaits
            events = select.EPOLLIN | select.EPOLLOUT if awaits else select.EPOLLIN
            self._watching.watch(self._socket.fileno(), self._socket_ready, events)

    # Reading.

    def _socket_ready(self, events: int) -> None:
        if events & select.EPOLLOUT:
            self._flush()
        if events & ~select.EPOLLOUT:
            self._read()

    def _process_ended(self, events: int) -> None:
        """Take what it said last, then take note."""
        for _ in range(_LAST_READS):
            if self._socket is None or not self._read():
                break
        self._gone()

    def _read(self) -> bool:
        """Take what is there; returns whether there was anything."""
        assert self._socket is not None
        try:
            count = self._socket.recv_into(_SCRATCH)
        except BlockingIOError:
            return False
        except OSError:
            count = 0
        if not count:
            self._gone()
            return False
        self._take(bytes(_SCRATCH[:count]))
        return True

    def _take(self, data: bytes) -> None:
        try:
            for message in self._reader.feed(data):
                answer = check_from_worker(
                    message, max_reply_bytes=self._max_reply_bytes, max_results=self._max_results
                )
                if isinstance(answer, Ending):
                    self._reason = answer.text
                else:
                    self._owner.from_worker(answer)
                if self._socket is None:
                    return
        except protocol.ProtocolError as error:
            self._owner.worker_misbehaved(error.what)
            self._gone(Death(Cause.PROTOCOL, f"broke the protocol: {error.what}"))

    def _output_ready(self, events: int) -> None:
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._output, 4096)
            if not data:
                self._watching.unwatch(self._output)
            *lines, rest = (self._line + data).split(b"\n")
            self._line = rest[-4096:]
            for line in lines:
                self._owner.worker_output(line.decode("utf-8", "replace"))

    # Ending.

    def _gone(self, death: Death | None = None) -> None:
        if self._process is None:
            return
        # It closed its socket, most often because it is ending: then its own end tells why.
        ended = None if death else self._reaped(_ENDING_S)
        self._end()
        self._owner.worker_gone(death or ended or Death(Cause.PROTOCOL, "closed its socket"))

    def _reaped(self, timeout_s: float) -> Death | None:
        """Wait for the process's end, and say how it came; ``None`` when it does not come, or was noted before."""
        ended = None if self._process is None else self._process.wait(timeout_s)
        if ended is None:
            return None
        return told_by_kernel(ended.status, ended.cpu_s, self._cpu_limit_s, self._reason)

    def _drain_output(self) -> None:
        """Take what the worker printed last, which is no more than a pipe holds."""
        with contextlib.suppress(OSError):
            self._line += os.read(self._output, 1 << 16)
        rest, self._line = self._line, b""
        for line in rest.splitlines():
            self._owner.worker_output(line.decode("utf-8", "replace"))

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._reaped(_REAP_S)
            self._process.close()
            self._process = None
            self._drain_output()
        if self._socket is not None:
            self._watching.unwatch(self._socket.fileno())
            self._socket.close()
            self._socket = None
        self._unsent.clear()
        for fd in (self._output, self._ended):
            if fd >= 0:
                self._watching.unwatch(fd)
                os.close(fd)
        self._output = self._ended = -1


def _start_message(plan: WorkerPlan, jail: Confinement, orders: Orders) -> protocol.Message:
    return start_message(
        plugin_id=plan.plugin_id,
        name=plan.name,
        bundle=plan.bundle,
        entry_point=plan.entry_point,
        config=plan.config,
        max_reply_bytes=plan.max_reply_bytes,
        max_snapshot_bytes=plan.max_snapshot_bytes,
        jail=orders,
        scratch=jail.grants.scratch,
        policy=jail.explanation(),
        standby=plan.standby,
    )
