"""Starting and ending a host process, from the application's side."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import attrs
import cattrs

from ..config.errors import StartupError
from ..config.settings import Settings
from . import runtime_dir
from .log_lines import HostLine, write_host_line
from .processes import await_ends, descendants, watch_ends
from .state_lock import WAIT_S
from .trees import remove

# What the host may know of the application's environment: enough to find Python and the temporary directory.
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "XDG_RUNTIME_DIR", "VIRTUAL_ENV")
INHERITED_PREFIX = "PYTHON"
# Of glibc's malloc: what it gives back to the kernel after each list of frames, the next list faults in again.
MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(4 << 20), "MALLOC_TRIM_THRESHOLD_": str(8 << 20)}
# How long a host may take to be up, besides what its actors are given, in seconds.
START_SPARE_S = WAIT_S + 5.0
# How long a host may take to end, besides what its actors are given, in seconds.
PATIENCE_S = 5.0
# How long the actors may take to notice that their host was killed, and to end, in seconds.
ORPHANS_S = 5.0


def make_runtime_dir(settings: Settings) -> Path:
    """Make a private directory (0700) for one system, and remove those of systems that were killed.

    Raises :class:`StartupError`.
    """
    base = os.path.abspath(settings.system.runtime_dir or os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    if settings.system.transport == "unix" and len(os.fsencode(base)) > runtime_dir.MAX_BASE_BYTES:
        raise StartupError(
            f"no runtime directory can be made in {base}: its path has {len(os.fsencode(base))} bytes, and"
            f" {runtime_dir.MAX_BASE_BYTES} is the most that leaves room for sockets (system.runtime_dir names another)"
        )
    try:
        Path(base).mkdir(mode=0o700, parents=True, exist_ok=True)
        runtime_dir.remove_stale(Path(base))
        return runtime_dir.make(Path(base))
    except OSError as error:
        raise StartupError(f"no runtime directory can be made in {base}: {error.strerror}") from None


def check_state_dir(settings: Settings) -> str | None:
    """Make the state directory if one is configured; raises :class:`StartupError` when it can't be written."""
    path = settings.system.state_dir
    if not path:
        return None
    try:
        Path(path).mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return str(Path(path).resolve())
    except OSError as error:
        raise StartupError(f"state directory {path} can't be written: {error.strerror}") from None


@attrs.frozen
class StopReport:
    """How a system came to its end."""

    killed: tuple[str, ...] = ()
    """The processes that did not end when they were asked to, by role and pid, such as ``dispatcher (4711)``."""
    unloaded: tuple[int, ...] = ()
    """The plugins that were unloaded, by id."""
    dead_lettered: int = 0
    """Frames that these had accepted and did not finish in time; those that are left to the next system are not."""
    left: tuple[int, ...] = ()
    """The pids of those that are there even so: the kernel keeps them, as it does while a disk does not answer."""


class HostProcess:
    """A running host; ``key`` and ``supervisor`` are what a session needs to reach its actors."""

    def __init__(self, settings: Settings) -> None:
        state_dir = check_state_dir(settings)
        self._runtime = make_runtime_dir(settings)
        self._process = self._start(_environment(settings))
        self._pending = b""
        self._stopped = StopReport()
        self._has_stopped = False
        self._watcher: threading.Thread | None = None
        plan = {
            "settings": cattrs.unstructure(attrs.evolve(settings, plugins=())),
            "runtime_dir": str(self._runtime),
            "state_dir": state_dir,
            "application_pid": os.getpid(),
        }
        try:
            self._write(json.dumps(plan).encode() + b"\n")
            ready = self._await_ready(settings.system.start_timeout_s)
        except BaseException:
            self.end(0.0)
            raise
        self.pid: int = ready["pid"]
        self.key: str = ready["key"]
        self.supervisor: str = ready["supervisor"]

    def _start(self, environment: dict[str, str]) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                [sys.executable, "-P", "-m", "nyx_plugins.actors.host", str(self._runtime)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=None if _is_inherited(2) else subprocess.DEVNULL,
                env=environment,
                start_new_session=True,
            )
        except BaseException as error:
            remove(self._runtime)
            if isinstance(error, OSError):
                culprit = sys.executable or "sys.executable, which is empty,"
                raise StartupError(f"{culprit} can't be started for the host: {error.strerror}") from None
            raise

    @property
    def runtime_dir(self) -> Path:
        """The system's private directory; gone when it has ended."""
        return self._runtime

    def watch(self, on_end: Callable[[str], None]) -> None:
        """Call ``on_end(reason)`` once the host has ended, from a thread of its own."""
        self._watcher = threading.Thread(target=self._watch, args=(on_end,), name="nyx-plugins-host", daemon=True)
        self._watcher.start()

    def end(self, budget_s: float) -> StopReport:
        """Close the life pipe and wait; past ``budget_s`` seconds and some more kill the host. Idempotent."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(2 * budget_s + PATIENCE_S)
        except subprocess.TimeoutExpired:
            if self._has_stopped:
                # It has nothing left to do but to remove what plugins have left, which has an end.
                self._process.wait()
            else:
                self._kill()
        if self._watcher is not None and self._watcher is not threading.current_thread():
            self._watcher.join(5.0)
        self._process.stdout.close()
        remove(self._runtime)
        return self._stopped

    def _kill(self) -> None:
        """Kill it; what is below it ends by itself when it sees that."""
        below = watch_ends(descendants(self._process.pid))
        self._process.kill()
        self._process.wait()
        killed = (*self._stopped.killed, f"host ({self._process.pid})")
        self._stopped = attrs.evolve(self._stopped, killed=killed, left=tuple(await_ends(below, ORPHANS_S)))

    def _write(self, data: bytes) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            # If it has ended already, the missing report says so below.
            self._process.stdin.write(data)
            self._process.stdin.flush()

    def _await_ready(self, start_timeout_s: float) -> dict[str, Any]:
        deadline = time.monotonic() + start_timeout_s + START_SPARE_S
        for report in self._reports(deadline):
            if "ready" in report:
                return dict(report["ready"])
            if "failed" in report:
                raise StartupError(report["failed"])
        try:
            # Where its pipe is closed already, it is about to end.
            code = self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            limit = f"system.start_timeout_s ({start_timeout_s:g}) and {START_SPARE_S:g} s"
            raise StartupError(f"the host process was not up within {limit}") from None
        how = f"with code {code}" if code >= 0 else f"by signal {-code}"
        raise StartupError(f"the host process ended {how} before it was up; what it printed may say why")

    def _watch(self, on_end: Callable[[str], None]) -> None:
        reason = "its host process ended"
        for report in self._reports(None):
            reason = report.get("stopped", reason)
            if "stopped" in report:
                killed, left = tuple(report.get("killed", ())), tuple(report.get("left", ()))
                self._stopped = StopReport(killed=killed, left=left)
                self._has_stopped = True
        on_end(reason)

    def _reports(self, deadline: float | None) -> Iterator[dict[str, Any]]:
        """Yield reports until the host has ended or time is up. Its pipe alone would not tell: actors hold it too."""
        assert self._process.stdout is not None
        fd = self._process.stdout.fileno()
        ended = os.pidfd_open(self._process.pid)
        try:
            while True:
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                ready, _, _ = select.select([fd, ended], [], [], left)
                if not ready:
                    return
                if fd in ready:
                    data = os.read(fd, 65536)
                    *lines, self._pending = (self._pending + data).split(b"\n")
                    yield from _without_log(map(json.loads, lines))
                    if data:
                        continue
                if ended in ready or fd in ready:
                    return
        finally:
            os.close(ended)


def _without_log(reports: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Log what the host's processes have printed, and yield the other reports."""
    for report in reports:
        if "log" in report:
            write_host_line(HostLine(*report["log"]))
        else:
            yield report


def _is_inherited(fd: int) -> bool:
    """Whether a process that is started gets this descriptor. Daemons may have closed their standard error.

    What was opened in its place since is something else, and no other process gets it.
    """
    try:
        return os.get_inheritable(fd)
    except OSError:
        return False


def _environment(settings: Settings) -> dict[str, str]:
    allowed = {*INHERITED, *settings.ceiling.environment}
    inherited = {k: v for k, v in os.environ.items() if k in allowed or k.startswith(INHERITED_PREFIX)}
    return MALLOC | inherited
