"""Processes that are killed in the middle of a load."""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from nyx_plugins import PluginSystem
from nyx_plugins.config.errors import NyxPluginError
from nyx_plugins.config.settings import PluginSettings
from nyx_plugins.plugins.errors import BundleError, PluginFailed, PluginNotRegistered

from .conftest import QUICK


class Created:
    """Waits for something to be created in a directory."""

    _CREATE = 0x100

    def __init__(self, directory: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd = libc.inotify_init1(os.O_CLOEXEC)
        assert libc.inotify_add_watch(self._fd, os.fsencode(directory), self._CREATE) > 0

    def wait(self) -> str:
        """Return the name of what is created next."""
        data = os.read(self._fd, 4096)
        os.close(self._fd)
        return data[16 : 16 + struct.unpack_from("iIII", data)[3]].rstrip(b"\0").decode()


def large(bundle: Path) -> Path:
    """Give a bundle so many files that reading it takes a while."""
    for number in range(1500):
        (bundle / f"table-{number}").write_bytes(b"x" * 1000)
    return bundle


def in_background(work: Callable[[], Any]) -> Future[Any]:
    """Run it in a thread."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def comers(who: Any) -> set[int]:
    """Plugin actors and loaders: one that has just been forked has no name of its own yet."""
    return {*who.plugin_actors, *who.loaders}


@pytest.fixture
def loading(runtime_base: Path, census: Callable[..., Any], fault: Callable[..., Path]) -> Callable[..., Any]:
    """Return a function that starts loading bundles, the first of them large, and stops the loader while it reads."""

    def start(system: PluginSystem, others: list[str]) -> tuple[Future[Any], int]:
        system.load("builtin:kv")
        known = comers(census(system))
        specs = [PluginSettings(bundle) for bundle in (str(large(fault("crashing_plugin"))), *others)]
        [plugins] = runtime_base.glob("*/plugins")
        created = Created(plugins)
        future = in_background(lambda: system.load_many(specs))
        created.wait()
        [loader] = comers(census(system)) - known
        os.kill(loader, signal.SIGSTOP)
        return future, loader

    return start


@pytest.mark.needs_worker(reason="the loader is a process of its own only where transports have processes")
def test_kill_9_of_the_loader_fails_the_bundle_that_it_was_reading_only(
    system: PluginSystem,
    loading: Callable[..., Any],
    fault: Callable[..., Path],
    census: Callable[..., Any],
    traces: Callable[..., Any],
    ends: Callable[..., Any],
) -> None:
    """The bundle being read is refused, the others of the same call are loaded, and nothing is left of the first."""
    others = [str(fault("crashing_plugin", plugin_id=number)) for number in range(2, 12)]
    future, loader = loading(system, others)
    os.kill(loader, signal.SIGKILL)
    first, *rest = future.result(30.0)
    assert isinstance(first, BundleError)
    assert first.reason == "the loader that was reading it ended"
    assert [info.plugin_id for info in rest] == list(range(2, 12))
    with pytest.raises(PluginNotRegistered):
        system.plugin_info(1)
    for plugin_id in (*range(2, 12), 1003):
        system.unload(plugin_id)
    processes, files = traces(system)
    assert files == set()
    assert ends(processes - set(census(system).permanent)).still_there(30.0) == []


@pytest.mark.needs_worker(reason="the loader is a process of its own only where transports have processes")
def test_a_loader_that_hangs_is_given_up_in_time(
    make_system: Callable[..., PluginSystem], loading: Callable[..., Any], ends: Callable[..., Any]
) -> None:
    """A loader that does not move on is killed; the call of load returns an error, and the system goes on."""
    system = make_system(QUICK)
    future, loader = loading(system, ["builtin:echo"])
    gone = ends([loader])
    first, second = future.result(30.0)
    assert isinstance(first, NyxPluginError)
    assert second.plugin_id == 1002
    assert gone.still_there(30.0) == []
    assert system.loaded_plugins() == [1002, 1003]


@pytest.mark.needs_worker(reason="a plugin actor is a process of its own only where transports have processes")
def test_kill_9_of_the_plugin_actor_while_its_plugin_starts_undoes_the_load(
    system: PluginSystem,
    fault: Callable[..., Path],
    census: Callable[..., Any],
    plugin_log: Any,
    no_trace: Callable[..., None],
) -> None:
    """A plugin actor that dies before its plugin is ready is not restarted: the load fails and leaves no trace."""
    system.load("builtin:echo")
    no_trace(system)
    future = in_background(lambda: system.load(fault("plugin_that_hangs_in_load")))
    plugin_log.wait_for("hanging")
    os.kill(census(system).plugin_actor(1), signal.SIGKILL)
    error = future.exception(30.0)
    assert isinstance(error, PluginFailed)
    assert (error.plugin_id, error.step, error.reason) == (1, "start", "its plugin actor ended")
    no_trace(system)
    with pytest.raises(PluginNotRegistered):
        system.plugin_info(1)


@pytest.mark.needs_worker(reason="the worker is a process of its own only where transports have processes")
def test_kill_9_of_the_worker_while_its_plugin_starts_undoes_the_load(
    system: PluginSystem,
    fault: Callable[..., Path],
    census: Callable[..., Any],
    plugin_log: Any,
    no_trace: Callable[..., None],
) -> None:
    """A worker that is killed before it is ready fails the load, whatever the restart policy."""
    no_trace(system)
    future = in_background(lambda: system.load(fault("plugin_that_hangs_in_load")))
    plugin_log.wait_for("hanging")
    os.kill(census(system).worker(1), signal.SIGKILL)
    error = future.exception(30.0)
    assert isinstance(error, PluginFailed)
    assert error.reason == "its worker killed by SIGKILL (out of memory, or from outside) before it was ready"
    no_trace(system)


@pytest.mark.needs_worker(reason="closing while a load is under way takes a second thread, and processes")
def test_closing_the_system_ends_a_load_that_is_under_way(
    make_system: Callable[..., PluginSystem], fault: Callable[..., Path], plugin_log: Any
) -> None:
    """close() does not wait for a plugin that hangs in on_load; the load fails at once."""
    system = make_system()
    future = in_background(lambda: system.load(fault("plugin_that_hangs_in_load")))
    plugin_log.wait_for("hanging")
    system.close(timeout=0.0)
    assert isinstance(future.exception(30.0), NyxPluginError)
