"""The errors of systems and services that do not start."""

from __future__ import annotations

import asyncio
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

import nyx_plugins
from nyx_plugins import PluginSystem, load_settings
from nyx_plugins.actors.service_file import Claim
from nyx_plugins.config.errors import ConfigError, StartupError
from nyx_plugins.config.settings import Settings, SystemSettings
from nyx_plugins.plugins import errors as plugin_errors
from nyx_plugins.plugins.errors import EnforcementTooWeak, ServiceNotRunning, ServiceRunning

from .conftest import DATA, check, header, provokes

# Here a filter makes the kernel seem to have no Landlock (system call 444).
WITHOUT_LANDLOCK = """
import ctypes, pickle, struct, sys
lines = [(0x20, 0, 0, 0), (0x15, 0, 1, 444), (0x06, 0, 0, 0x50026), (0x06, 0, 0, 0x7fff0000)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in lines))
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, struct.pack("HxxxxxxP", len(lines), ctypes.addressof(code)), 0, 0) == 0
from nyx_plugins import NyxPluginError, PluginSystem
with PluginSystem() as system:
    try:
        system.load("builtin:echo")
    except NyxPluginError as error:
        sys.stdout.buffer.write(pickle.dumps(error))
"""


@provokes(EnforcementTooWeak, PermissionError)
def test_enforcement_too_weak(runtime_base: Path) -> None:
    """On a machine that can enforce less than is required, nothing is loaded."""
    command = [sys.executable, "-c", WITHOUT_LANDLOCK]
    error = pickle.loads(subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True).stdout)
    [reason] = error.reasons
    assert reason.startswith("landlock: the kernel offers no Landlock (Function not implemented): it has to be 6.2 or ")
    text = (
        "plugin 1002 can't be confined as required: this machine enforces policies at level partial, and"
        f" system.require_enforcement is full: {reason}"
    )
    check(error, EnforcementTooWeak, text, plugin_id=1002, level="partial", required="full", reasons=(reason,))


# Systems that do not start.


def test_without_a_current_folder(live: PluginSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative paths are refused with the reason, and nothing else is."""
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    reason = "is relative, and the current folder is not there any more: change to another, or name an absolute path"
    with pytest.raises(plugin_errors.BundleError, match=f"foo.*{reason}"):
        live.load("foo")
    with pytest.raises(StartupError, match=f"runtime directory run {reason}"):
        PluginSystem.connect("run")
    assert live.request(DATA, header(1002, b"x")) == b"x"


@provokes(ConfigError, ValueError)
@pytest.mark.parametrize("start", [load_settings, PluginSystem])
def test_config_error(start: Callable[[Path], Any], tmp_path: Path) -> None:
    """A configuration is refused with all its faults, each with its key, before anything is started."""
    path = tmp_path / "nyx-plugins.toml"
    path.write_text('[limits]\nmailbox_capacity = 0\n[system]\ntransprot = "unix"\n')
    with pytest.raises(ConfigError) as caught:
        start(path)
    error = caught.value
    assert {fault.key for fault in error.faults} == {"limits.mailbox_capacity", "system.transprot"}
    assert "did you mean 'transport'?" in str(error)
    text = f"configuration {path}: " + "; ".join(f"{key}: {reason}" for key, reason in error.faults)
    check(error, ConfigError, text, source=str(path), faults=error.faults)


@provokes(StartupError, OSError)
@pytest.mark.parametrize("key", ["runtime_dir", "state_dir"])
def test_startup_error_for_a_directory(key: str, transport: str, short_folder: Callable[[], Path]) -> None:
    """A directory that can't be made is named, with the reason, and no process is left."""
    blocked = short_folder() / "file" / "dir"
    blocked.parent.write_text("in the way")
    settings = Settings(system=attrs.evolve(SystemSettings(transport=transport), **{key: str(blocked)}))
    with pytest.raises(StartupError) as caught:
        PluginSystem(settings)
    assert str(blocked) in str(caught.value)
    assert "Not a directory" in str(caught.value)
    check(caught.value, StartupError, caught.value.reason, reason=caught.value.reason)


@provokes(StartupError, OSError)
@pytest.mark.needs_worker(reason="inline has no sockets")
def test_startup_error_for_a_path_that_is_too_long(transport: str, tmp_path: Path) -> None:
    """Where no socket's path would fit into 107 bytes, nothing is started."""
    base = tmp_path / ("x" * 100)
    with pytest.raises(StartupError) as caught:
        PluginSystem(Settings(system=SystemSettings(transport=transport, runtime_dir=str(base))))
    assert f"{len(str(base))} bytes, and 75 is the most" in caught.value.reason
    check(caught.value, StartupError, caught.value.reason, reason=caught.value.reason)
    assert not base.exists()


@provokes(StartupError, OSError)
def test_startup_error_for_a_state_directory_in_use(transport: str, runtime_base: Path, tmp_path: Path) -> None:
    """A second system on a state directory is refused, and told whose it is; the first loses nothing."""
    with PluginSystem(transport=transport, state_dir=tmp_path) as first:
        first.load("builtin:echo")
        with pytest.raises(StartupError) as caught:
            PluginSystem(transport=transport, state_dir=tmp_path)
        assert f"state directory {tmp_path} is in use by another system (process {first.host_pid})" in str(caught.value)
        assert len(list(runtime_base.iterdir())) == 1
        assert [info.plugin_id for info in first.plugins()] == [1002]
    with PluginSystem(transport=transport, state_dir=tmp_path) as second:
        assert [info.plugin_id for info in second.plugins()] == [1002]


# Services.


@provokes(ServiceNotRunning, ConnectionError)
def test_service_not_running(tmp_path: Path) -> None:
    """A directory in which no service runs is named, and what to do."""
    with pytest.raises(ServiceNotRunning) as caught:
        PluginSystem.connect(tmp_path)
    text = f"no service is running in {tmp_path}: start one with 'nyx-plugins serve'"
    check(caught.value, ServiceNotRunning, text, runtime_dir=str(tmp_path))


@provokes(ServiceRunning, RuntimeError)
def test_service_running(tmp_path: Path) -> None:
    """A directory has one service at a time; the other's process is named."""
    claim = Claim(tmp_path)
    with pytest.raises(ServiceRunning) as caught:
        Claim(tmp_path)
    claim.release()
    text = (
        f"a service is already running in {tmp_path}, as process {os.getpid()}: stop it first (nyx-plugins stop),"
        " or give this one a runtime directory of its own"
    )
    check(caught.value, ServiceRunning, text, runtime_dir=str(tmp_path), pid=os.getpid())


# What only asyncio has.


@provokes(plugin_errors.WrongLoop, RuntimeError)
@provokes(plugin_errors.NotStarted, RuntimeError)
def test_wrong_loop_and_not_started(runtime_base: Path) -> None:
    """A system for asyncio is of use only after its start, and only in the loop in which that was."""
    system = nyx_plugins.AsyncPluginSystem(transport="inline")
    with pytest.raises(nyx_plugins.NotStarted) as early:
        system.dispatch_nowait(DATA, header(1))
    text = "the system is not started: use `async with`, or `await AsyncPluginSystem.start()`"
    check(early.value, plugin_errors.NotStarted, text)
    asyncio.run(system.__aenter__())
    with pytest.raises(nyx_plugins.WrongLoop) as wrong:
        system.dispatch_nowait(DATA, header(1))
    where = "no event loop runs here"
    text = f"the system belongs to the event loop that it was started in, but {where}"
    check(wrong.value, plugin_errors.WrongLoop, text, where=where)
    asyncio.run(system.close())
