"""The process from which workers are forked: started, and started again when it has ended.

Part of the supervisor's process. While there is no nursery, whoever wants a worker waits for the next one; when it is
given up, workers are exec'ed instead.
"""

from __future__ import annotations

import os
import random
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from ..config.settings import Settings
from ..plugins.worker.jail.plan import unavailable
from ..plugins.worker.spawn import nursery_command, worker_environment
from . import messages as m
from .events import Event, EventKind
from .plans import NURSERY, child_spec
from .supervision import GiveUp, Restart, decide

_BACKLOG = 4096


class Root(Protocol):
    """What is needed of the supervisor."""

    boot: m.Boot

    def watch(self, fd: int, watcher: Callable[[int], None], events: int = ...) -> None:
        """Call ``watcher`` whenever ``fd`` is ready."""

    def unwatch(self, fd: int) -> None:
        """Stop that."""

    def alarm(self, name: object, after_s: float) -> None:
        """Set an alarm that comes back to :meth:`Nursery.start_again`."""

    def publish(self, *events: Event) -> None:
        """Tell the subscribers."""


def is_wanted(settings: Settings) -> bool:
    """Whether there is to be one: where a worker might leave processes behind, each is its plugin actor's child."""
    system = settings.system
    return system.transport != "inline" and not system.fresh_interpreter and not unavailable()


class Nursery:
    """At most one process at a time, on one socket."""

    def __init__(self, root: Root) -> None:
        self._root = root
        self._listener: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._restarts: tuple[float, ...] = ()
        self._fd = -1

    @property
    def pid(self) -> int:
        """Its process id, or that of the one before it; 0 if there never was one."""
        return self._process.pid if self._process is not None else 0

    def start(self) -> None:
        """Start it, if one is wanted. Whoever connects from now on gets a worker, as soon as it is up."""
        boot = self._root.boot
        if boot.host_pid == os.getpid() or not is_wanted(boot.settings):
            return
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(str(Path(boot.runtime_dir, NURSERY)))
        self._listener.listen(_BACKLOG)
        self._launch()

    def _launch(self) -> None:
        assert self._listener is not None
        self._process = subprocess.Popen(
            nursery_command(self._listener.fileno(), os.getpid()),
            env=worker_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=(self._listener.fileno(),),
            cwd="/",
            start_new_session=True,
        )
        self._fd = os.pidfd_open(self._process.pid)
        self._root.watch(self._fd, lambda _: self._ended())

    def _ended(self) -> None:
        self._reap()
        spec = child_spec(NURSERY, self._root.boot.settings)
        self._restarts, verdict = decide(spec, self._restarts, time.monotonic(), False, random.random())
        if isinstance(verdict, Restart):
            self._tell(EventKind.ACTOR_ENDED, f"the {NURSERY} ended: it is started again in {verdict.after_s:.3g} s")
            self._root.alarm((NURSERY, 0), verdict.after_s)
        elif isinstance(verdict, GiveUp):
            self._tell(EventKind.ACTOR_ENDED, f"the {NURSERY} ended: {verdict.reason}, workers are exec'ed from now on")
            self._close()

    def _reap(self) -> None:
        assert self._process is not None
        self._root.unwatch(self._fd)
        os.close(self._fd)
        self._fd = -1
        self._process.wait()

    def start_again(self) -> None:
        """The pause after its end is over."""
        if self._listener is not None:
            self._launch()
            self._tell(EventKind.ACTOR_RESTARTED, f"the {NURSERY} is started again")

    def end(self) -> None:
        """End it for good, and with it all workers that it has forked. Idempotent."""
        self._close()
        if self._process is not None and self._fd >= 0:
            self._process.kill()
            self._reap()

    def _close(self) -> None:
        """Let nobody find one any more."""
        if self._listener is not None:
            Path(self._root.boot.runtime_dir, NURSERY).unlink(missing_ok=True)
            self._listener.close()
            self._listener = None

    def _tell(self, kind: EventKind, reason: str) -> None:
        self._root.publish(Event(kind, None, reason))
