"""A service and the terminals of its user: each command is a process of its own, and what it prints is checked."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nyx_plugins import EventKind, PluginSystem
from nyx_plugins.actors.processes import await_ends, watch_ends

CONFIG = """
[limits]
mailbox_capacity = 50

[[plugins]]
bundle = "builtin:echo"

[[plugins]]
bundle = "builtin:missing"
"""

Shell = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(autouse=True)
def nothing_left(runtime_base: Path) -> Iterator[None]:
    """Check that a service leaves nothing but the word of its end."""
    yield
    left = {path.relative_to(runtime_base).as_posix() for path in runtime_base.rglob("*")}
    assert left <= {"nyx-plugins", "nyx-plugins/service.lock", "nyx-plugins/stopped.json"}


class Served:
    """A running ``nyx-plugins serve``; this test is its systemd."""

    def __init__(self, folder: Path, *arguments: str | Path, **environ: str) -> None:
        self.log = folder / "serve.log"
        self._notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notices.bind(str(folder / "notify"))
        command = [sys.executable, "-P", "-m", "nyx_plugins.cli", "serve", *map(str, arguments)]
        with self.log.open("w") as log:
            environment = {**os.environ, "NOTIFY_SOCKET": self._notices.getsockname(), **environ}
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)

    def wait_for(self, state: str) -> str:
        """Wait until the service has told systemd that it is in this state; returns all that was told with it."""
        while True:
            ended = os.pidfd_open(self.process.pid)
            ready, _, _ = select.select([self._notices, ended], [], [], 30.0)
            os.close(ended)
            assert self._notices in ready, self.log.read_text()
            told = self._notices.recv(4096).decode()
            if f"{state}=1" in told.splitlines():
                return told

    def end(self) -> int:
        """End it if it has not ended, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        self._notices.close()
        return self.process.wait(30.0)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Return a function that starts a service."""
    started: list[Served] = []

    def start(*arguments: str | Path, **environ: str) -> Served:
        folder = tmp_path / f"service-{len(started)}"
        folder.mkdir()
        started.append(Served(folder, *arguments, **environ))
        return started[-1]

    yield start
    for served in started:
        served.end()


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """Return a function that runs a command to its end, in another terminal so to speak."""

    def run(*arguments: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-P", "-m", "nyx_plugins.cli", *map(str, arguments)]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=150, cwd=tmp_path, check=False
        )
        assert done.returncode == code, done
        return done

    return run


@pytest.mark.timeout(180)  # a dozen commands start, each a process of its own
def test_a_session_of_two_terminals(
    serve: Callable[..., Served], shell: Shell, config: Callable[[str], Path], runtime_base: Path
) -> None:
    """Serve, load, dispatch, top, revoke, SIGHUP, kill -9 of a worker, status, SIGTERM: all that is printed."""
    path = config(CONFIG)
    served = serve("--config", path)
    pid = served.process.pid
    assert "STATUS=1 plugin loaded" in served.wait_for("READY")
    log = served.log.read_text()
    assert "ERROR nyx_plugins.service: builtin:missing can't be loaded: bundle builtin:missing: there is no" in log
    assert re.search(rf"INFO nyx_plugins.service: serving in .*/nyx-plugins as process {pid}: 1 plugin loaded\n", log)

    assert "echo" in (text := shell("status").stdout) and f"process {pid}" in text
    assert "\npolicies are enforced at level " in text
    refused = shell("serve", "--config", path, code=3)
    assert f"already running in {runtime_base}/nyx-plugins, as process {pid}: stop it first" in refused.stderr
    assert refused.stderr.count("\n") == 1

    assert shell("load", "builtin:kv", "builtin:wordcount").stdout.count("loaded") == 2
    assert shell("request", "echo", "hello").stdout == "hello\n"
    dispatched = json.loads(shell("dispatch", "wordcount", "one two two", "--wait", "--json").stdout)
    assert dispatched["outcomes"] == {"processed": 1, "failed": 0, "dead_lettered": 0}
    top = shell("top", "--once").stdout
    assert all(name in top for name in ("echo", "kv", "wordcount"))

    shell("revoke", "wordcount", "control")
    denied = shell("request", "wordcount", "top 1", "--type", "control", code=1)
    assert denied.stderr == ("Error: plugin 1001 has no permission 'control', which frame type 0x53 needs\n")

    path.write_text(CONFIG.replace("50", "7").replace("missing", "wordcount") + "\n[logging]\nlevel = 'debug'\n")
    served.process.send_signal(signal.SIGHUP)
    served.wait_for("RELOADING")
    served.wait_for("READY")
    log = served.log.read_text()
    assert "in force now: logging.level" in log
    assert "for plugins that are loaded from now on: limits.mailbox_capacity" in log
    assert "builtin:wordcount can't be loaded: plugin 1001 is already loaded: its state is 'ready'" in log

    with PluginSystem.connect() as system, system.subscribe() as notices:
        worker = system.plugin_stats(1003).worker_pid
        assert worker is not None
        os.kill(worker, signal.SIGKILL)
        kinds = [notice.kind for notice in (notices.get(30.0), notices.get(30.0)) if notice is not None]  # type: ignore[union-attr]
        assert kinds == [EventKind.CRASHED, EventKind.RESTARTED]
    status = json.loads(shell("status", "--json").stdout)
    assert status["enforcement"]["level"] in ("full", "partial", "cooperative")
    assert {plugin["name"]: plugin["state"] for plugin in status["plugins"]} == {
        "echo": "ready",
        "kv": "ready",
        "wordcount": "ready",
    }
    assert json.loads(shell("stats", "kv", "--json").stdout)["plugins"]["1003"]["restarts"] == 1

    served.process.send_signal(signal.SIGTERM)
    served.wait_for("STOPPING")
    assert served.process.wait(30.0) == 0
    log = served.log.read_text()
    assert "WARNING nyx_plugins.events [plugin 1003]: crashed: worker killed by SIGKILL" in log
    assert log.splitlines()[-1].endswith("stopped: plugins unloaded: 1001, 1002, 1003; killed: nothing; left: nothing")
    gone = shell("status", code=3)
    assert "no service is running in" in gone.stderr


def test_stop_from_another_terminal_reports_the_end(
    serve: Callable[..., Served], shell: Shell, echo_config: Path
) -> None:
    """It waits until the service has ended, and says what became of it; then there is none to stop."""
    served = serve("--config", echo_config)
    served.wait_for("READY")
    stopped = shell("stop")
    assert stopped.stdout == (
        f"Process {served.process.pid} has stopped; plugins unloaded: 1002; killed: nothing; left: nothing.\n"
    )
    assert served.process.wait(30.0) == 0
    assert shell("stop", code=3).stderr.startswith("Error: no service is running in ")


def test_stop_waits_for_what_a_killed_service_leaves(
    serve: Callable[..., Served], shell: Shell, echo_config: Path, runtime_base: Path
) -> None:
    """It ends when the host has, which is the last to go, and claims nothing that nobody has told it."""
    served = serve("--config", echo_config)
    served.wait_for("READY")
    with PluginSystem.connect() as system:
        host = os.pidfd_open(system.host_pid)
    os.kill(served.process.pid, signal.SIGSTOP)
    killing = threading.Thread(target=_kill_once_terminated, args=(served.process,))
    killing.start()
    stopped = shell("stop")
    killing.join()
    ended, _, _ = select.select([host], [], [], 0.0)
    os.close(host)
    assert ended == [host]
    assert "has stopped; it was ended at once, by a second signal or kill -9, and could not say" in stopped.stdout
    # The next service would remove it.
    (runtime_base / "nyx-plugins" / "service.json").unlink()


def _kill_once_terminated(process: subprocess.Popen[str]) -> None:
    """Kill a process that is stopped, as soon as SIGTERM waits for it."""
    waiting, deadline = 0, time.monotonic() + 45.0
    while not waiting & 1 << (signal.SIGTERM - 1):
        assert time.monotonic() < deadline
        status = Path(f"/proc/{process.pid}/status").read_text()
        waiting = int(re.findall(r"^ShdPnd:\s*(\w+)", status, re.MULTILINE)[0], 16)
    process.kill()


def test_a_service_whose_root_dies_says_so(serve: Callable[..., Served], shell: Shell, echo_config: Path) -> None:
    """The system's own end ends the service with its reason and exit code 3."""
    served = serve("--config", echo_config)
    served.wait_for("READY")
    with PluginSystem.connect() as system:
        os.kill(system.host_pid, signal.SIGKILL)
    assert served.process.wait(30.0) == 3
    log = served.log.read_text()
    assert "ERROR nyx_plugins.service: the plugin system has ended by itself: its host process ended" in log


def test_a_killed_service_makes_room_for_the_next(
    serve: Callable[..., Served], shell: Shell, echo_config: Path
) -> None:
    """Kill -9 of the service ends its system; what it left does not keep the next from starting."""
    first = serve("--config", echo_config)
    first.wait_for("READY")
    with PluginSystem.connect() as system:
        host = watch_ends([system.host_pid])
    first.process.kill()
    first.process.wait(30.0)
    assert shell("status", code=3).stderr.startswith("Error: no service is running in ")
    second = serve("--config", echo_config)
    second.wait_for("READY")
    assert f"process {second.process.pid}" in shell("status").stdout
    # The directories of their actors are removed by their hosts, which end with them.
    assert second.end() == 0
    assert await_ends(host, 30.0) == []


def test_a_faulty_configuration_changes_nothing(
    serve: Callable[..., Served], shell: Shell, config: Callable[[str], Path]
) -> None:
    """At the start it is refused with every fault; at SIGHUP the log says so, and the service goes on."""
    path = config("[limits]\nmailbox_capacity = 0\nnonsense = 1\n")
    refused = shell("serve", "--config", path, code=2)
    assert "limits.mailbox_capacity" in refused.stderr and "limits.nonsense: unknown key" in refused.stderr
    assert refused.stderr.count("\n") == 1
    path.write_text('[[plugins]]\nbundle = "builtin:echo"\n')
    served = serve("--config", path)
    served.wait_for("READY")
    path.write_text("[limits")
    served.process.send_signal(signal.SIGHUP)
    served.wait_for("RELOADING")
    served.wait_for("READY")
    assert "ERROR nyx_plugins.service: the configuration stays as it was:" in served.log.read_text()
    assert shell("request", "1002", "x").stdout == "x\n"


def test_plugins_follow_the_configuration(
    serve: Callable[..., Served], shell: Shell, config: Callable[[str], Path]
) -> None:
    """Removed ones are unloaded, added ones loaded, permissions changed; what was loaded by hand stays."""
    path = config('[[plugins]]\nbundle = "builtin:echo"\n\n[[plugins]]\nbundle = "builtin:wordcount"\n')
    served = serve("--config", path)
    served.wait_for("READY")
    shell("load", "builtin:kv", "--id", "7")
    path.write_text(
        '[[plugins]]\nbundle = "builtin:echo"\npermissions = ["handshake"]\ncapacity = 3\n\n'
        '[[plugins]]\nbundle = "builtin:kv"\n'
    )
    served.process.send_signal(signal.SIGHUP)
    served.wait_for("RELOADING")
    served.wait_for("READY")
    with PluginSystem.connect() as system:
        found = {info.plugin_id: sorted(info.permissions) for info in system.plugins()}
    assert found == {7: ["data_access", "handshake"], 1002: ["handshake"], 1003: ["data_access", "handshake"]}
    assert "until the plugin is unloaded and loaded again: builtin:echo: capacity" in served.log.read_text()


def test_options_go_before_the_configuration(
    serve: Callable[..., Served], shell: Shell, echo_config: Path, runtime_base: Path
) -> None:
    """The runtime directory, the log's form and addresses can be given on the command line."""
    place = runtime_base / "nyx-plugins"
    served = serve(
        *("--config", echo_config, "--runtime-dir", place, "--log-format", "json", "--metrics", "127.0.0.1:0")
    )
    served.wait_for("READY")
    assert "echo" in shell("status", "--runtime-dir", place).stdout
    assert shell("stop", "--runtime-dir", place).stdout.startswith("Process ")
    # Not before the end: events have a thread of their own.
    lines = [json.loads(line) for line in served.log.read_text().splitlines()]
    assert any(line["logger"] == "nyx_plugins.events" and line["plugin_id"] == 1002 for line in lines)
    assert any("metrics at http://127.0.0.1:" in line["message"] for line in lines)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--config", "missing.toml"), 2, "configuration missing.toml: can't be read: No such file or directory"),
        (("--metrics", "nowhere"), 2, "metrics"),
        (("--log-level", "loud"), 2, "loud"),
        (("--dashboard", "127.0.0.1:0", "--dashboard-token-file", "none"), 3, "the token file none can't be read"),
        (("--bogus",), 2, "--bogus"),
        (("extra",), 2, "extra"),
    ],
)
def test_wrong_arguments_give_one_sentence(shell: Shell, arguments: tuple[str, ...], code: int, said: str) -> None:
    """On standard error, with the exit code that its cause has."""
    done = shell("serve", *arguments, code=code)
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
