"""The process of a worker: forked from the nursery, or exec'ed by its plugin actor. Nobody else notices which."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import attrs

from ..plugins.worker import nursery
from ..plugins.worker.jail.plan import Orders, Worker
from ..plugins.worker.spawn import locations, worker_command
from .confinement import Confinement

# A nursery that has not answered within this time is no help, in seconds.
_PATIENCE_S = 3.0
# By then all workers of plugin actors that have ended are killed, in seconds, if there is a nursery at all.
_ORPHANS_S = 10.0
# Once a worker has ended, its nursery tells how within this time, in seconds, unless it has ended itself.
_TELLS_S = 1.0


@attrs.frozen
class Ended:
    """How a process ended: what wait4(2) says, and its CPU time in seconds."""

    status: int
    cpu_s: float


@attrs.frozen
class Channel:
    """What there is between a plugin actor and its worker, apart from the page: ours and theirs of each."""

    ours: socket.socket
    output: int
    """What the worker prints can be read here, without waiting."""
    theirs: socket.socket
    prints: int

    @classmethod
    def open(cls) -> Channel:
        """Make one."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        output, prints = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        os.set_blocking(prints, True)
        return cls(ours, output, theirs, prints)

    def hand_over(self) -> None:
        """Close what is the worker's now."""
        self.theirs.close()
        os.close(self.prints)

    def close(self) -> None:
        """Close what is not handed over, all of it."""
        self.hand_over()
        self.ours.close()
        os.close(self.output)


class WorkerProcess(Protocol):
    """A worker's process, until it was waited for."""

    pid: int
    ended: int
    """A descriptor that can be read once it has ended; whoever holds this object closes it."""
    orders: Orders
    """What its jail is told."""

    def kill(self) -> None:
        """End it now, and what it has started."""

    def wait(self, timeout_s: float) -> Ended | None:
        """Wait for its end, and say how it came; ``None`` when it does not come, or was told before."""

    def close(self) -> None:
        """Let go of it."""


def start(
    jail: Confinement, packages: Sequence[str], page: int, nursery_path: str
) -> tuple[WorkerProcess, socket.socket, int]:
    """Start a worker with this page: from the nursery at this path, or by exec where that does not come about.

    Returns its process, our end of its socket, and where its output is read.
    """
    if nursery_path:
        with contextlib.suppress(OSError, ValueError, EOFError):
            return _start(Forked, jail, packages, page, nursery_path)
    return _start(Executed, jail, packages, page)


def _start(
    kind: Callable[..., WorkerProcess], jail: Confinement, packages: Sequence[str], page: int, *how: str
) -> tuple[WorkerProcess, socket.socket, int]:
    """Start one with a channel of its own: a nursery that is late may bring up another on the one that it was given."""
    channel = Channel.open()
    try:
        process = kind(jail, packages, channel, page, *how)
    except BaseException:
        channel.close()
        raise
    channel.hand_over()
    return process, channel.ours, channel.output


def await_orphans(nursery_path: str) -> None:
    """Return once no worker runs any more whose plugin actor has ended: what it has marked stays as it is.

    The nursery sees to that before it lets anybody in. If it ends meanwhile, it has taken all of them along by the time
    the next one lets us in.
    """
    deadline = time.monotonic() + _ORPHANS_S
    while nursery_path and (left := deadline - time.monotonic()) > 0:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as door, contextlib.suppress(OSError):
            door.settimeout(left)
            try:
                door.connect(nursery_path)
            except (FileNotFoundError, ConnectionRefusedError):
                return
            _, descriptors, _, _ = socket.recv_fds(door, 64, 1)
            if descriptors:
                os.close(descriptors[0])
                return


class Executed:
    """A child of this process, in an interpreter of its own."""

    def __init__(self, jail: Confinement, packages: Sequence[str], channel: Channel, page: int) -> None:
        fd = channel.theirs.fileno()
        self._process = subprocess.Popen(
            worker_command(fd, page, packages),
            env=jail.environment,
            stdin=subprocess.DEVNULL,
            stdout=channel.prints,
            stderr=channel.prints,
            pass_fds=(fd, page, *jail.descriptors()),
            cwd="/",
            start_new_session=True,
        )
        self.pid = self._process.pid
        self.ended = os.pidfd_open(self.pid)
        self.orders = jail.orders(Worker(self.pid, os.getpid(), (fd,)), jail.ruleset)

    def kill(self) -> None:
        """Kill its process group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def wait(self, timeout_s: float) -> Ended | None:
        """Wait, and reap it."""
        process = self._process
        if process.returncode is not None or not _readable(self.ended, timeout_s):
            return None
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except ChildProcessError:
            process.returncode = -signal.SIGKILL
            return None
        process.returncode = os.waitstatus_to_exitcode(status)
        return Ended(status, usage.ru_utime + usage.ru_stime)

    def close(self) -> None:
        """There is nothing to let go of."""


class Forked:
    """A child of the nursery, which ends it when the connection to it does, and tells over it how it ended."""

    def __init__(
        self, jail: Confinement, packages: Sequence[str], channel: Channel, page: int, nursery_path: str
    ) -> None:
        self._nursery = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._told = False
        try:
            self._nursery.settimeout(_PATIENCE_S)
            self._nursery.connect(nursery_path)
            self._ask(jail, packages, channel, page)
            self.pid, parent, self.ended = self._answer()
        except BaseException:
            self._nursery.close()
            raise
        ruleset = None if jail.ruleset is None else nursery.RULESET
        self.orders = jail.orders(Worker(self.pid, parent, (nursery.SOCKET,)), ruleset)

    def _ask(self, jail: Confinement, packages: Sequence[str], channel: Channel, page: int) -> None:
        descriptors = [channel.theirs.fileno(), page, channel.prints, *jail.descriptors()]
        data = nursery.request(jail.environment.items(), locations(packages))
        socket.send_fds(self._nursery, [data], descriptors)

    def _answer(self) -> tuple[int, int, int]:
        """Return its process id, that of the nursery, and a descriptor of the process."""
        text, descriptors, _, _ = socket.recv_fds(self._nursery, 64, 1)
        if not descriptors:
            raise EOFError
        pid, parent = map(int, text.split())
        return pid, parent, descriptors[0]

    def kill(self) -> None:
        """Kill it; it has not started anything: who may do that is exec'ed."""
        with contextlib.suppress(OSError):
            signal.pidfd_send_signal(self.ended, signal.SIGKILL)

    def wait(self, timeout_s: float) -> Ended | None:
        """Wait until the nursery has reaped it; if the nursery has ended, it has taken the worker along."""
        if self._told or not _readable(self.ended, timeout_s):
            return None
        self._told = True
        try:
            self._nursery.settimeout(_TELLS_S)
            status, cpu_s = self._nursery.recv(64).split()
        except (OSError, ValueError):
            return Ended(signal.SIGKILL, 0.0)
        return Ended(int(status), float(cpu_s))

    def close(self) -> None:
        """Close the connection."""
        self._nursery.close()


def _readable(fd: int, timeout_s: float) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(timeout_s * 1000))
