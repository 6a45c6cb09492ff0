"""Commands on a real service: what they print when it is in a process of its own."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nyx_plugins import __version__

Service = Any


def said(found: Any) -> tuple[int, str, str]:
    """What a command has done: exit code, standard output, standard error."""
    return found.returncode, found.stdout, found.stderr


def test_a_plugin_is_loaded_fed_and_unloaded_from_elsewhere(service: Service) -> None:
    """Each command connects, does its work, and leaves the service running."""
    assert said(service.run("load", "builtin:wordcount")) == (0, "loaded wordcount (1001) 1.0.0\n", "")
    assert said(service.run("dispatch", "wordcount", "the quick the", "--wait"))[0] == 0
    assert said(service.run("request", "1001", "top 1", "--type", "control")) == (0, '[["the", 2]]\n', "")
    assert said(service.run("pause", "1001")) == (0, "paused wordcount (1001)\n", "")
    assert said(service.run("resume", "1001")) == (0, "resumed wordcount (1001)\n", "")
    assert said(service.run("revoke", "1001", "control"))[0] == 0
    refused = service.run("request", "1001", "top 1", "--type", "control")
    assert said(refused)[:2] == (1, "") and "has no permission 'control'" in refused.stderr
    assert said(service.run("unload", "wordcount")) == (0, "unloaded wordcount (1001)\n", "")


def test_status_tells_what_is_running(loaded: Service) -> None:
    """The service, where it is, and its plugins; for programs under stable names."""
    found = loaded.run("status")
    assert (found.returncode, found.stderr) == (0, "")
    first, second = found.stdout.splitlines()[:2]
    assert first.startswith(f"nyx-plugins {__version__} is running: process {loaded.process.pid}, up ")
    assert first.endswith(", transport unix")
    assert second == f"runtime directory {loaded.runtime_dir}"
    assert "1002  echo" in found.stdout
    facts = json.loads(loaded.run("status", "--json").stdout)
    names = {"running", "pid", "host_pid", "version", "started_at", "uptime_s", "transport", "runtime_dir", "plugins"}
    assert set(facts) == names | {"enforcement"}
    assert (facts["running"], facts["pid"]) == (True, loaded.process.pid)
    assert [plugin["plugin_id"] for plugin in facts["plugins"]] == [1002, 1003]


def test_a_worker_that_is_killed_is_seen(loaded: Service) -> None:
    """``stats`` tells the restart, and the process that runs now."""
    before = json.loads(loaded.run("stats", "echo", "--json").stdout)["plugins"]["1002"]
    os.kill(before["worker_pid"], signal.SIGKILL)
    assert said(loaded.run("request", "echo", "still there", "--timeout", "30")) == (0, "still there\n", "")
    after = json.loads(loaded.run("stats", "echo", "--json").stdout)["plugins"]["1002"]
    assert after["restarts"] == before["restarts"] + 1
    assert after["worker_pid"] != before["worker_pid"]


def test_a_plugin_that_failed_keeps_its_counters(service: Service, fault: Callable[..., Path]) -> None:
    """It is in the tables with its state, and what it did before."""
    bundle = fault("crashing_plugin", '[restart]\npolicy = "temporary"\n')
    assert service.run("load", bundle).returncode == 0
    assert service.run("dispatch", "1", "crash", "--wait", "--timeout", "20").returncode == 1
    assert "failed" in service.run("status").stdout
    found = json.loads(service.run("stats", "1", "--json").stdout)["plugins"]["1"]
    assert (found["state"], found["dead_lettered"], found["error"]) == ("failed", 1, None)


@pytest.fixture
def waiting(own_service: Service) -> subprocess.Popen[str]:
    """Return a command that sends more frames than there is room for, the first of which are in a mailbox."""
    with own_service.connect() as system:
        system.load("builtin:echo")
        system.pause(1002)
        process: subprocess.Popen[str] = own_service.start("dispatch", "echo", "--count", "5000", "--timeout", "50")
        while system.plugin_stats(1002).in_mailbox == 0:
            pass
    return process


def test_a_service_that_ends_meanwhile_is_one_sentence(own_service: Service, waiting: subprocess.Popen[str]) -> None:
    """A command that waits for it ends with exit code 3, and tells how far it came."""
    own_service.process.kill()
    told, errors = waiting.communicate(timeout=100)
    assert waiting.returncode == 3
    assert re.fullmatch(r"5,000 frames for plugin 1002: \d+ accepted, \d+ refused(, \d+ of unknown fate)?\n", told)
    assert errors.startswith("Error: the plugin system has stopped: ") and errors.count("\n") == 1


def test_a_service_that_stops_meanwhile_is_one_sentence(own_service: Service, waiting: subprocess.Popen[str]) -> None:
    """Exit code 3, whether frames are refused because the system is about to stop or because it has."""
    own_service.stop()
    _, errors = waiting.communicate(timeout=100)
    assert waiting.returncode == 3
    assert errors.removeprefix("Error: the plugin system has stopped: ") in ("it is stopping\n", "it was stopped\n")


def test_ctrl_c_leaves_the_service_running(service: Service) -> None:
    """Exit code 130, and the sentence says what it means."""
    with service.connect() as system:
        system.load("builtin:echo")
        system.pause(1002)
        waiting = service.start("request", "echo", "--timeout", "50")
        while system.plugin_stats(1002).in_mailbox == 0:
            pass
        waiting.send_signal(signal.SIGINT)
        told, errors = waiting.communicate(timeout=100)
        assert (waiting.returncode, told) == (130, "")
        assert errors == "Interrupted: the service goes on, and may still do what it was asked before.\n"
        assert system.plugin_stats(1002).in_mailbox == 1


def test_nobody_reads_the_output(loaded: Service) -> None:
    """A closed pipe ends a command in silence."""
    reading, writing = os.pipe()
    os.close(reading)
    process = loaded.start("stats", "--json", stdout=writing)
    os.close(writing)
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(100) == 1


@pytest.mark.parametrize(("columns", "expected"), [(120, "1002  echo "), (60, "echo (1002), ready\n  0 accepted, ")])
def test_statistics_fit_into_the_terminal(columns: int, expected: str, loaded: Service, terminal: Any) -> None:
    """Where the table has no room, each plugin has lines of its own."""
    shown = terminal(loaded, "stats", columns=columns)
    assert shown.wait_for_end() == 0
    assert expected in shown.text


@pytest.mark.parametrize("arguments", [("top", "--once", "--interval", "0.1"), ("stats",)])
def test_a_terminal_without_our_letters_gets_others(arguments: tuple[str, ...], loaded: Service) -> None:
    """In an encoding that lacks them, letters and lines are replaced, and nothing breaks."""
    environment = {**loaded.environment, "PYTHONIOENCODING": "ascii"}
    found = subprocess.run(
        [*shlex.split(loaded.command), *arguments],
        env=environment,
        capture_output=True,
        timeout=100,
        stdin=subprocess.DEVNULL,
    )
    assert (found.returncode, found.stderr) == (0, b"")
    assert found.stdout.isascii()
