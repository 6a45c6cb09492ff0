"""A host process that can't be started, and one that takes its time to clean up."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest

from nyx_plugins import PluginSystem, Settings, StartupError
from nyx_plugins.actors import launch
from nyx_plugins.actors.launch import HostProcess, StopReport
from nyx_plugins.config.settings import SystemSettings


def test_a_python_that_cannot_be_run_leaves_nothing_behind(
    runtime_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names it, and the runtime directory is removed."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(StartupError, match="python can't be started for the host: No such file"):
        PluginSystem(transport="unix")
    assert list(runtime_base.iterdir()) == []


def test_a_program_that_knows_no_python(runtime_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As some that embed an interpreter do: the error names what is to be set."""
    monkeypatch.setattr(sys, "executable", "")
    with pytest.raises(StartupError, match=r"^sys\.executable, which is empty, can't be started for the host: "):
        PluginSystem(transport="unix")
    assert list(runtime_base.iterdir()) == []


def test_a_host_that_ends_before_it_is_up_is_told_as_that(
    runtime_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Nobody waits for it; the interpreter itself has said why."""
    monkeypatch.setenv("PYTHONHOME", str(tmp_path))
    with pytest.raises(StartupError, match="the host process ended with code 1 before it was up; what it printed"):
        PluginSystem(transport="unix")
    assert "No module named 'encodings'" in capfd.readouterr().err
    assert list(runtime_base.iterdir()) == []


def test_a_host_that_says_nothing_is_waited_for_no_longer_than_it_is_said(
    runtime_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The setting that can be changed is named, and what there is besides."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nread line; read end\n")
    python.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setattr(launch, "START_SPARE_S", 0.01)
    system = SystemSettings(transport="unix", start_timeout_s=0.01)
    reason = r"the host process was not up within system\.start_timeout_s \(0\.01\) and 0\.01 s"
    with pytest.raises(StartupError, match=reason):
        PluginSystem(Settings(system=system))
    assert list(runtime_base.iterdir()) == []


def test_what_is_in_the_place_of_a_closed_standard_error_is_not_the_hosts(runtime_base: Path, tmp_path: Path) -> None:
    """A program that has closed it may have opened any file since; the host has none then, and is up."""
    program = (
        "import os, sys; file = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT); assert file == 2;"
        "from nyx_plugins import PluginSystem; PluginSystem(transport='unix').close(); print('it was up')"
    )
    shell = ["sh", "-c", 'exec "$@" 2>&-', "sh", sys.executable, "-c", program, tmp_path / "file"]
    ended = subprocess.run(shell, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=60)
    assert (ended.returncode, ended.stdout, (tmp_path / "file").read_text()) == (0, "it was up\n", "")


class Slow:
    """Stands for the process of a host that needs longer than anybody waits."""

    def __init__(self) -> None:
        self.stdin, self.stdout = io.BytesIO(), io.BytesIO()
        self.ended = False

    def wait(self, timeout: float | None = None) -> None:
        """End only for who waits without an end."""
        if timeout is not None:
            raise subprocess.TimeoutExpired("host", timeout)
        self.ended = True


def test_a_host_that_only_cleans_up_is_not_killed(tmp_path: Path) -> None:
    """Once it has said that all has stopped, its removal of files is waited for."""
    host, process = HostProcess.__new__(HostProcess), Slow()
    vars(host).update(_process=process, _watcher=None, _runtime=tmp_path / "gone")
    vars(host).update(_stopped=StopReport(unloaded=(1,)), _has_stopped=True)
    assert host.end(0.0) == StopReport(unloaded=(1,))
    assert process.ended
