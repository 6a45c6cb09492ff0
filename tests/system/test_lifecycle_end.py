"""However an application, or any process of the system, ends: nothing outlives it by five seconds."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nyx_plugins import PluginHeader, PluginSystem
from nyx_plugins.actors.launch import StopReport, make_runtime_dir
from nyx_plugins.actors.processes import children, descendants, reap
from nyx_plugins.config.settings import Settings, SystemSettings
from nyx_plugins.plugins.errors import SystemStopped

LIMIT_S = 30.0

APPLICATION = """
import os, select, signal, sys
from nyx_plugins import PluginHeader, PluginSystem
from nyx_plugins.config.sandbox import Ceiling
from nyx_plugins.config.settings import Settings

how, *bundles = sys.argv[1:]
# Ignored where tests run in the background of a shell.
signal.signal(signal.SIGINT, signal.default_int_handler)
system = PluginSystem(Settings(ceiling=Ceiling(subprocesses=True)))
for bundle in ["builtin:echo", *bundles]:
    system.load(bundle)

def send(plugin_id, data):
    return system.dispatch(0x52, PluginHeader(plugin_id, 0, data))

if bundles:
    send(1, b"crash")
    for verb in (b"fork", b"escape"):
        send(2, verb).outcome(30.0)
if how == "fork":
    pid = os.fork()
    if pid == 0:
        while True:
            signal.pause()
    print(pid)
print("ready", flush=True)
sys.stdin.readline()
match how:
    case "sys.exit":
        sys.exit(3)
    case "exception":
        raise RuntimeError("this is the end")
    case "os._exit" | "fork":
        os._exit(4)
    case "signal":
        # Not pause(): it would sleep on after a signal that came just before it.
        while True:
            select.select([], [], [], 0.05)
"""


@pytest.fixture
def application(runtime_base: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Return a function that starts a program with a system in it, and waits until its plugins are at work."""
    started: list[subprocess.Popen[str]] = []

    def start(how: str, *bundles: Path) -> subprocess.Popen[str]:
        program = subprocess.Popen(
            [sys.executable, "-P", "-c", APPLICATION, how, *map(str, bundles)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        started.append(program)
        return program

    yield start
    for program in started:
        with contextlib.suppress(ProcessLookupError):
            program.kill()
        program.communicate()


def wait_ready(program: subprocess.Popen[str]) -> list[str]:
    """Return what the program printed before it was ready."""
    assert program.stdout is not None
    lines = list(iter(program.stdout.readline, "ready\n"))
    assert "" not in lines, "the program ended before it was ready"
    return lines


def go_on(program: subprocess.Popen[str]) -> None:
    """Let the program end in its way."""
    assert program.stdin is not None
    program.stdin.write("\n")
    program.stdin.flush()


@pytest.mark.parametrize("how", ["return", "sys.exit", "exception", "os._exit", "fork", "SIGTERM", "SIGINT", "SIGKILL"])
def test_no_process_outlives_an_application_that_just_ends(
    how: str,
    application: Callable[..., subprocess.Popen[str]],
    fault: Callable[..., Path],
    ends: Callable[..., Any],
    runtime_base: Path,
) -> None:
    """Without close(), with a plugin that spins and one whose children hide: all is gone in time, files included."""
    before = set(descendants(os.getpid()))
    bundles = [fault("spinning_plugin", plugin_id=1), fault("plugin_that_forks", plugin_id=2)]
    program = application("signal" if how.startswith("SIG") else how, *bundles)
    own_child = [int(line) for line in wait_ready(program)]
    everyone = [pid for pid in descendants(program.pid) if pid not in own_child]
    assert len(everyone) >= 14
    system = ends([program.pid, *everyone])
    go_on(program)
    if how.startswith("SIG"):
        program.send_signal(signal.Signals[how])
    assert system.still_there(LIMIT_S) == []
    for pid in own_child:
        os.kill(pid, signal.SIGKILL)
        assert ends([pid]).still_there(LIMIT_S) == []
    program.wait(LIMIT_S)
    reap()
    assert set(descendants(os.getpid())) <= before
    assert list(runtime_base.iterdir()) == []


def test_an_application_killed_while_its_system_starts_leaves_nothing(
    application: Callable[..., subprocess.Popen[str]], ends: Callable[..., Any], runtime_base: Path
) -> None:
    """kill -9 at several moments of the start: whatever was there already is gone in time."""
    for moment in (1, 4, 7):
        before = set(descendants(os.getpid()))
        program = application("return")
        while len(descendants(program.pid)) < moment:
            assert program.poll() is None
        everyone = ends(descendants(program.pid))
        program.kill()
        program.wait(LIMIT_S)
        assert everyone.still_there(LIMIT_S) == []
        # What was forked meanwhile, and by whom it was.
        while left := set(descendants(os.getpid())) - before:
            assert ends(left).still_there(LIMIT_S) == []
            reap()
    assert list(runtime_base.iterdir()) == []


# A host that is killed when one of its processes, or itself, is about to call a certain function.
HOST = """
import importlib, operator, os, signal, sys
from nyx_plugins.actors import host
from nyx_plugins.actors.transports.unix import members

module, path = sys.argv.pop(2).split(":")
*owner, name = path.split(".")
place = operator.attrgetter(*owner)(importlib.import_module(module)) if owner else importlib.import_module(module)
pid, function = os.getpid(), getattr(place, name)

def kill_first(*args, **keywords):
    os.kill(pid, signal.SIGKILL)
    return function(*args, **keywords)

setattr(place, name, kill_first)
members._NOTICE_S = 0.2
host.main()
"""
MOMENTS = {
    "the admin is about to be forked": "os:setsid",
    "the logger is about to be forked": "thespian.system.multiprocCommon:_startLogger",
    "the supervisor was just forked": "nyx_plugins.actors.transports.unix.members:start_actor",
    "the supervisor does not watch it yet": "nyx_plugins.actors.supervisor:Supervisor.end_with_host",
    "the others are about to be forked": "nyx_plugins.actors.essentials:Essentials.start",
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_host_killed_while_its_system_starts_leaves_nothing(
    moment: str, ends: Callable[..., Any], runtime_base: Path
) -> None:
    """kill -9 of the host at any moment: what it has started, and what that starts, ends by itself."""
    before = set(descendants(os.getpid()))
    runtime = make_runtime_dir(Settings())
    plan = {"settings": {}, "runtime_dir": str(runtime), "state_dir": None, "application_pid": os.getpid()}
    command = [sys.executable, "-P", "-c", HOST, str(runtime), MOMENTS[moment]]
    host = subprocess.run(command, input=f"{json.dumps(plan)}\n".encode(), stdout=subprocess.DEVNULL, check=False)
    assert host.returncode == -signal.SIGKILL
    while left := set(descendants(os.getpid())) - before:
        assert ends(left).still_there(LIMIT_S) == []
        reap()


ROLES = {
    "host": "its host process ended",
    "admin": "its Thespian admin ended",
    "supervisor": "its supervisor ended",
}


@pytest.mark.needs_worker(reason="there is nobody to kill where all is in one process")
@pytest.mark.parametrize("role", ROLES)
def test_the_end_of_an_essential_process_stops_the_system_in_order(
    role: str,
    system: PluginSystem,
    fault: Callable[..., Path],
    census: Callable[..., Any],
    ends: Callable[..., Any],
    plugin_log: Any,
) -> None:
    """kill -9 of any of them: everything pending fails with SystemStopped and the reason, and no process is left."""
    system.load("builtin:echo")
    system.load(fault("spinning_plugin"))
    pending = system.dispatch(0x52, PluginHeader(1, 0, b"crash"))
    plugin_log.wait_for("spinning")
    behind = system.dispatch(0x52, PluginHeader(1, 0, b"behind"))
    who = census(system)
    everyone = ends(who.everyone)
    with system.subscribe() as events:
        os.kill(getattr(who, role), signal.SIGKILL)
        with pytest.raises(SystemStopped) as caught:
            behind.outcome(LIMIT_S)
        # Workers end with the supervisor: of a frame that one had in hand, its plugin actor may have told so first.
        with contextlib.suppress(SystemStopped):
            outcome = pending.outcome(LIMIT_S)
            assert role == "supervisor" and outcome.reason.startswith("crash: ")
        assert ROLES[role] in caught.value.reason
        assert everyone.still_there(LIMIT_S) == []
        assert list(events) is not None
    with pytest.raises(SystemStopped, match=caught.value.reason):
        system.dispatch(0x52, PluginHeader(1002, 0, b"late"))
    with pytest.raises(SystemStopped):
        system.load("builtin:kv")
    system.close()
    reap()


@pytest.mark.needs_worker(reason="there is nobody to kill where all is in one process")
def test_the_end_of_the_logger_does_no_harm(
    system: PluginSystem, census: Callable[..., Any], ends: Callable[..., Any]
) -> None:
    """Thespian's logger is started again after kill -9, and the system goes on as if nothing had been."""
    system.load("builtin:echo")
    for _ in range(3):
        who = census(system)
        logger = ends([who.logger])
        os.kill(who.logger, signal.SIGKILL)
        assert logger.still_there(LIMIT_S) == []
        assert system.request(0x52, PluginHeader(1002, 0, b"on")) == b"on"
        deadline = time.monotonic() + LIMIT_S
        while len(children(who.admin)) < 2 or who.logger in children(who.admin):
            assert time.monotonic() < deadline, "no new logger"
            os.sched_yield()
        system.load("builtin:kv")
        system.unload(1003)
    everyone = ends(census(system).everyone)
    system.close()
    assert everyone.still_there(LIMIT_S) == []


@pytest.mark.needs_worker(reason="there is nobody to kill where all is in one process")
@pytest.mark.parametrize("role", ["host", "supervisor"])
def test_even_what_a_plugin_hid_ends_with_the_system(
    role: str, system: PluginSystem, fault: Callable[..., Path], census: Callable[..., Any], ends: Callable[..., Any]
) -> None:
    """A process that a plugin put into a session of its own does not survive kill -9 of the processes that sweep."""
    system.load(fault("plugin_that_forks"))
    hidden = [int(system.request(0x52, PluginHeader(1, 0, verb)) or 0) for verb in (b"fork", b"escape")]
    who = census(system)
    assert set(hidden) < set(who.everyone)
    everyone = ends(who.everyone)
    os.kill(getattr(who, role), signal.SIGKILL)
    assert everyone.still_there(LIMIT_S) == []
    system.close()
    reap()


@pytest.mark.needs_worker(reason="a stopped process takes processes")
@pytest.mark.parametrize("role", ["supervisor", "host"])
def test_close_ends_a_system_whose_root_does_not_answer(
    role: str,
    make_system: Callable[..., PluginSystem],
    census: Callable[..., Any],
    ends: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A Supervisor or a host that is stopped (SIGSTOP) can't keep anybody alive: close() comes back, all are gone."""
    monkeypatch.setattr("nyx_plugins.actors.questions.ANSWER_S", 0.5)
    monkeypatch.setattr("nyx_plugins.actors.launch.PATIENCE_S", 5.0 if role == "supervisor" else 0.2)
    system = make_system(Settings(system=SystemSettings(stop_timeout_s=0.1)))
    system.load("builtin:echo")
    who = census(system)
    everyone = ends(who.everyone)
    os.kill(getattr(who, role), signal.SIGSTOP)
    report = system.close(timeout=0.0)
    assert everyone.still_there(0.0) == []
    assert report.left == ()
    assert role == "supervisor" or report.killed == (f"host ({who.host})",)


@pytest.mark.needs_worker(reason="a stopped process takes processes")
@pytest.mark.parametrize(
    ("role", "name"),
    [
        ("plugin_actor", "plugin actor of plugin 1002 ({})"),
        ("dispatcher", "dispatcher ({})"),
        ("guard", "guard ({})"),
        ("registry", "registry ({})"),
        ("supervisor", "supervisor ({})"),
    ],
)
def test_close_names_and_kills_an_actor_that_is_stuck(
    role: str,
    name: str,
    make_system: Callable[..., PluginSystem],
    census: Callable[..., Any],
    ends: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An actor that never comes back from a handler is killed after the budget; report and log say which it was."""
    monkeypatch.setattr("nyx_plugins.actors.questions.ANSWER_S", 0.5)
    system = make_system(Settings(system=SystemSettings(stop_timeout_s=3.0)))  # the others end in milliseconds
    system.load("builtin:echo")
    who = census(system)
    everyone = ends(who.everyone)
    pid = who.plugin_actor(1002) if role == "plugin_actor" else getattr(who, role)
    os.kill(pid, signal.SIGSTOP)
    report = system.close(timeout=0.5)
    assert report.killed == (name.format(pid),)
    assert report.left == ()
    assert everyone.still_there(0.0) == []
    assert [record.message for record in caplog.records if record.name == "nyx_plugins"] == [
        f"did not stop and had to be killed: {name.format(pid)}; still there: none"
    ]


def test_close_of_a_healthy_system_kills_nobody(system: PluginSystem, caplog: pytest.LogCaptureFixture) -> None:
    """All stop by themselves, and the report names the plugins only."""
    system.load("builtin:echo")
    assert system.close() == StopReport(unloaded=(1002,))
    assert [record for record in caplog.records if record.name == "nyx_plugins"] == []


@pytest.mark.needs_worker(reason="processes are counted")
def test_close_leaves_no_process_and_no_descriptor_in_the_application(
    system: PluginSystem, census: Callable[..., Any], transport: str
) -> None:
    """After close() the application has as many descriptors and threads as before it started a system."""

    def held() -> tuple[int, int]:
        return len(list(Path("/proc/self/fd").iterdir())), len(list(Path("/proc/self/task").iterdir()))

    before = held()
    for _ in range(2):
        with PluginSystem(transport=transport) as other:
            other.load("builtin:echo")
            pids = census(other).everyone
        assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []
        assert held() == before
