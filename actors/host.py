"""The host process: a clean interpreter from which all actors of one system descend, and which outlives none of them.

Its standard input is the life pipe: the first line is the configuration, end of file means that the application is
gone. Standard output carries its reports, one JSON object a line: how it fares, and what its processes print. Run as
``python -m nyx_plugins.actors.host RUNTIME_DIR``.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cattrs

from ..config.errors import NyxPluginError, StartupError
from ..config.settings import Settings
from ..plugins.worker.spawn import prepare
from . import epitaph, runtime_dir
from . import messages as m
from ._thespian import Address
from .log_lines import HostLine
from .output import Output
from .processes import (
    ACTOR_PREFIX,
    NURSERY_NAME,
    become_subreaper,
    children,
    parent,
    process_name,
    reap,
    sweep,
    terminate,
)
from .reports import ReportPipe
from .state_lock import StateLock
from .supervisor import ADMIN_ENDED, Supervisor
from .transports import sockets
from .trees import remove

# How long sweeping may take, in seconds: less than the five within which every process must be gone.
SWEEP_S = 3.0
# Why a system ends that is stopped in order.
CLOSED = "the application closed it"
# While the actors start, how often to look whether the application is still there, in seconds.
LOOK_S = 0.5


class Host:
    """Starts the actor system, waits for a reason to end it, and leaves nothing behind."""

    def __init__(self, reports: int, plan: dict[str, Any]) -> None:
        self._reports = ReportPipe(reports)
        self._settings = cattrs.structure(plan["settings"], Settings)
        self._runtime = Path(plan["runtime_dir"])
        self._application = int(plan["application_pid"])
        self._state_dir: str | None = plan["state_dir"]
        self._waiting: dict[int, Callable[[], str | None]] = {}
        self._poll = select.poll()
        self._lock = -1
        self._state_lock: StateLock | None = None

    def run(self) -> None:
        """Run until something ends the system; reports why."""
        become_subreaper()
        output = Output(self._report_line)
        reason, killed = "it could not start", []
        try:
            supervisor = self._boot()
            self._watch_ends(supervisor)
            output.start()
            self._reports.send(ready={"pid": os.getpid(), **self._reachable})
            reason = self._wait()
            if reason == CLOSED:
                killed = self._stop_actors(supervisor)
        except NyxPluginError as error:
            output.take()
            self._reports.send(failed=str(error))
        finally:
            left = sweep(SWEEP_S)
            if reason != CLOSED:
                # What the supervisor wrote down before it ended by itself.
                reason = epitaph.read(self._runtime) or reason
            output.close()
            self._reports.send(stopped=reason, killed=killed, left=left)
            # At last: of what plugins have left there may be much.
            remove(self._runtime)

    def _boot(self) -> int:
        system = self._settings.system
        if self._state_dir is not None:
            # Kept to the end of this process: until then, actors may still write there.
            self._state_lock = StateLock(self._state_dir, self._check_wanted)
        epitaph.make_room(self._runtime)
        prepare()
        actors = sockets.boot(self._runtime)
        supervisor = actors.createActor(Supervisor)
        boot = m.Boot(self._settings, str(self._runtime), self._state_dir, os.getpid())
        answer = self._await_answer(actors, supervisor, boot)
        if isinstance(answer, m.BootFailed):
            raise StartupError(answer.reason)
        if not isinstance(answer, m.Booted):
            raise StartupError(f"the actors were not up within {system.start_timeout_s:g} s")
        # Not before the actors are there: they are forked from here and would hold it too.
        self._lock = runtime_dir.hold(self._runtime)
        self._reachable = {"key": sockets.credentials(self._runtime), "supervisor": sockets.address_text(supervisor)}
        return answer.pid

    def _await_answer(self, actors: Any, supervisor: Address, boot: m.Boot) -> Any:
        """Wait for the actors, and notice meanwhile if nobody wants them any more."""
        deadline = time.monotonic() + self._settings.system.start_timeout_s
        answer = actors.ask(supervisor, boot, LOOK_S)
        while answer is None and time.monotonic() < deadline:
            self._check_wanted()
            answer = actors.listen(LOOK_S)
        return answer

    def _check_wanted(self) -> None:
        if os.getppid() != self._application or select.select([0], [], [], 0)[0]:
            raise StartupError("the application ended before the actors were up")

    # Waiting.

    def _watch_ends(self, supervisor: int) -> None:
        ended = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(ended[1], warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._on_ready(ended[0], lambda: self._reap(ended[0]))
        reap()
        self._on_ready(0, self._life_pipe)
        self._on_end(supervisor, "its supervisor ended")
        admin = parent(supervisor)
        self._on_end(admin, ADMIN_ENDED)
        with contextlib.suppress(ProcessLookupError):
            self._on_end(self._application, "the application ended")

    def _on_end(self, pid: int, reason: str) -> None:
        self._on_ready(os.pidfd_open(pid), lambda: reason)

    def _on_ready(self, fd: int, act: Callable[[], str | None]) -> None:
        self._waiting[fd] = act
        self._poll.register(fd, select.POLLIN)

    def _wait(self) -> str:
        if os.getppid() != self._application:
            return "the application ended"
        while True:
            for fd, _ in self._poll.poll():
                reason = self._waiting[fd]()
                if reason is not None:
                    return reason

    def _life_pipe(self) -> str | None:
        return None if os.read(0, 4096) else CLOSED

    def _stop_actors(self, supervisor: int) -> list[str]:
        """Let the actors end by themselves; returns who did not, and is about to be killed."""
        if os.getppid() != self._application:
            return []
        # The nursery is no actor and ends with the supervisor: before that, a plugin actor would wait for another one.
        actors = [supervisor, *(pid for pid in children(supervisor) if process_name(pid) != NURSERY_NAME)]
        left = terminate(actors, self._settings.system.stop_timeout_s)
        # The supervisor waits for the others: it is to blame only if it is the only one.
        culprits = [pid for pid in left if pid != supervisor] or left
        return [f"{process_name(pid).removeprefix(ACTOR_PREFIX).lower()} ({pid})" for pid in culprits]

    def _reap(self, wakeups: int) -> None:
        os.read(wakeups, 4096)
        reap()

    def _report_line(self, line: HostLine) -> bool:
        return self._reports.offer(log=[line.text, line.level, line.pid])


def _read_line(fd: int) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        data = os.read(fd, 1)
        if not data:
            return b""
        line += data
    return line


def main() -> None:
    """Run a host as told by the first line of standard input."""
    os.umask(0o077)
    # What the application has blocked is its own business; without SIGCHLD nobody would notice a death here.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    line = _read_line(0)
    if not line:
        # The application ended before it had said what it wants; nobody else knows of its directory.
        remove(sys.argv[1])
        sys.exit(1)
    plan = json.loads(line)
    # What Thespian writes into a file of its own goes where all processes print.
    os.environ["THESPLOG_FILE"] = "/proc/self/fd/2"
    reports = os.dup(1)
    Host(reports, plan).run()
    # Thespian's own clean-up at exit would talk to processes that are gone.
    os._exit(0)


if __name__ == "__main__":
    main()
