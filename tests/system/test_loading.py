"""Loading is all or nothing: whatever step fails leaves no row, process or file, and says plugin, step and cause."""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
import pytest

from nyx_plugins import PluginHeader, PluginSystem
from nyx_plugins.config.errors import NyxPluginError
from nyx_plugins.config.settings import PluginSettings, Settings, SystemSettings
from nyx_plugins.plugins.errors import (
    AlreadyLoaded,
    BundleError,
    DependencyMissing,
    ManifestError,
    PluginFailed,
    PluginNotRegistered,
    PolicyRefused,
)

QUICK = Settings(system=SystemSettings(load_timeout_s=1.0))


@pytest.fixture
def traces(runtime_base: Path, census: Callable[..., Any]) -> Callable[[PluginSystem], Any]:
    """Return a function that lists the processes and the files of a system."""

    def look(system: PluginSystem) -> tuple[set[int], set[str]]:
        files = {str(path) for path in runtime_base.glob("*/plugins/**/*")}
        on_unix = system.host_pid != os.getpid()
        return set(census(system).everyone) if on_unix else set(), files

    return look


@pytest.fixture
def no_trace(traces: Callable[..., Any], ends: Callable[..., Any]) -> Iterator[Callable[..., None]]:
    """Return a function: called before the load it remembers, called after it compares what there is."""
    before: list[Any] = []

    def check(system: PluginSystem) -> None:
        if not before:
            before.append(traces(system))
            return
        processes, files = traces(system)
        # Loaders have nothing more to do, but may be about to end.
        assert ends(processes - before[0][0]).still_there(5.0) == []
        assert files == before[0][1]

    return check


def failing_loads() -> dict[str, Any]:
    """Say for each step of a load how it can fail, and what the error is."""
    return {
        "bundle missing": (None, BundleError, "can't be read: No such file"),
        "manifest refused": ("not toml", ManifestError, "plugin.toml"),
        "policy refused": ('[sandbox]\nread_paths = ["/etc"]\n', PolicyRefused, "read_paths"),
        "dependency missing": ('[requires]\ngeo = ">=1.2"\n', DependencyMissing, "geo >=1.2 (not loaded)"),
        "entry point missing": ("entry", PluginFailed, "no module 'missing'"),
        "syntax error": ("syntax", PluginFailed, "SyntaxError"),
    }


def broken(fault: Callable[..., Path], how: str | None) -> Path:
    """Make a bundle with id 1 that fails as told."""
    bundle = fault("crashing_plugin", how if how and how.startswith("[") else "")
    manifest = bundle / "plugin.toml"
    if how is None:
        return bundle.with_name("nowhere")
    if how == "not toml":
        manifest.write_text("= = =")
    elif how == "entry":
        manifest.write_text(manifest.read_text().replace("plugin:Fault", "missing:Fault"))
    elif how == "syntax":
        (bundle / "plugin.py").write_text("def def")
    return bundle


@pytest.mark.parametrize("case", failing_loads())
def test_a_load_that_fails_leaves_no_trace_and_names_step_and_cause(
    case: str, system: PluginSystem, fault: Callable[..., Path], no_trace: Callable[..., None]
) -> None:
    """At whatever step it fails: no row, no process, no file; the error has the step's class, the plugin, the cause."""
    how, kind, cause = failing_loads()[case]
    bundle = broken(fault, how)
    system.load("builtin:echo")
    no_trace(system)
    with pytest.raises(kind) as caught:
        system.load(bundle)
    assert cause in str(caught.value)
    assert getattr(caught.value, "plugin_id", 1) == 1
    assert str(bundle) in getattr(caught.value, "source", str(bundle))
    assert getattr(caught.value, "step", "start") == "start"
    no_trace(system)
    with pytest.raises(PluginNotRegistered):
        system.plugin_info(1)
    assert system.loaded_plugins() == [1002]
    stats = system.dispatch_stats()
    assert (stats.plugins_loaded, stats.plugins_unloaded) == (1, 0)


@pytest.mark.needs_worker(reason="what fails here is the worker's process")
@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("plugin_that_fails_to_load", "RuntimeError: the tables are missing"),
        ("plugin_that_exits_in_load", "its worker exited with code 7 before it was ready"),
        ("plugin_that_hangs_in_load", "its worker was not ready within 1 s"),
    ],
)
def test_a_worker_that_does_not_become_ready_leaves_no_trace(
    name: str,
    cause: str,
    make_system: Callable[..., PluginSystem],
    fault: Callable[..., Path],
    no_trace: Callable[..., None],
) -> None:
    """A plugin that raises, exits or hangs in on_load is undone, and can be replaced by one that works."""
    system = make_system(QUICK)
    system.load("builtin:echo")
    no_trace(system)
    with pytest.raises(PluginFailed) as caught:
        system.load(fault(name))
    error = caught.value
    assert (error.plugin_id, error.step) == (1, "start")
    assert cause in error.reason
    no_trace(system)
    with pytest.raises(PluginNotRegistered):
        system.plugin_info(1)
    system.load(fault("crashing_plugin"))
    assert system.request(0x52, PluginHeader(1, 0, b"hello")) == b"hello"


def test_on_load_that_raises_is_undone_on_every_transport(
    system: PluginSystem, fault: Callable[..., Path], no_trace: Callable[..., None]
) -> None:
    """What on_load raises is the cause, in words."""
    no_trace(system)
    with pytest.raises(PluginFailed, match="RuntimeError: the tables are missing"):
        system.load(fault("plugin_that_fails_to_load"))
    assert system.loaded_plugins() == []


def test_broken_plugins_are_listed_and_their_neighbours_load(system: PluginSystem, fault: Callable[..., Path]) -> None:
    """Of several loads at once each has its own result, in order: the broken ones an error, the others an info."""
    bundles = [
        "builtin:echo",
        fault("plugin_that_fails_to_load", plugin_id=1),
        "/nowhere",
        fault("crashing_plugin", plugin_id=3),
        fault("crashing_plugin", '[sandbox]\nnetwork = ["*"]\n', plugin_id=4),
        "builtin:kv",
        "builtin:missing",
    ]
    results = system.load_many([PluginSettings(str(bundle)) for bundle in bundles])
    names = [type(result).__name__ if isinstance(result, Exception) else result.plugin_id for result in results]
    assert names == [1002, "PluginFailed", "BundleError", 3, "PolicyRefused", 1003, "BundleError"]
    assert system.loaded_plugins() == [3, 1002, 1003]
    assert system.request(0x52, PluginHeader(3, 0, b"hello")) == b"hello"


def test_loads_from_several_threads_do_not_disturb_each_other(system: PluginSystem, fault: Callable[..., Path]) -> None:
    """Calls of load at the same time: the broken one raises in its own thread only."""
    bad = fault("plugin_that_fails_to_load", plugin_id=99)
    if system.settings.system.transport == "inline":
        bundles = [fault("crashing_plugin", plugin_id=number) for number in range(2)]
    else:
        bundles = [fault("crashing_plugin", plugin_id=number) for number in range(6)]
    with ThreadPoolExecutor(len(bundles) + 1) as pool:
        failing = pool.submit(system.load, bad)
        good = [pool.submit(system.load, bundle) for bundle in bundles]
    assert [future.result().plugin_id for future in good] == list(range(len(bundles)))
    assert isinstance(failing.exception(), PluginFailed)


# Ids.


def test_an_id_that_is_taken_is_refused_and_its_holder_goes_on(
    system: PluginSystem, fault: Callable[..., Path]
) -> None:
    """AlreadyLoaded names id and state; the loaded plugin, its frames and its row stay as they were."""
    system.load(fault("crashing_plugin"))
    rival = fault("raising_plugin", plugin_id=7)
    with pytest.raises(AlreadyLoaded) as caught:
        system.load(rival, plugin_id=1)
    assert (caught.value.plugin_id, caught.value.state) == (1, "ready")
    assert system.plugin_info(1).name == "crashing_plugin"
    assert system.request(0x52, PluginHeader(1, 0, b"hello")) == b"hello"
    system.load(rival)
    assert system.loaded_plugins() == [1, 7]


def test_of_two_loads_with_one_id_exactly_one_wins(system: PluginSystem) -> None:
    """The same bundle twice in one call: one is loaded, the other is refused with AlreadyLoaded."""
    results = system.load_many([PluginSettings("builtin:echo"), PluginSettings("builtin:echo")])
    assert sorted(type(result).__name__ for result in results) == ["AlreadyLoaded", "PluginInfo"]
    assert system.request(0x52, PluginHeader(1002, 0, b"hello")) == b"hello"


def test_an_id_given_to_load_replaces_the_manifests(system: PluginSystem) -> None:
    """One bundle serves under several ids, 0 and the largest among them."""
    ids = [0, 5, 2**32 - 1]
    for plugin_id in ids:
        assert system.load("builtin:echo", plugin_id=plugin_id).plugin_id == plugin_id
    for plugin_id in ids:
        assert system.request(0x52, PluginHeader(plugin_id, 0, b"%d" % plugin_id)) == b"%d" % plugin_id
    assert system.loaded_plugins() == ids


def test_a_dependency_is_met_by_a_loaded_plugin_of_a_fitting_version(
    system: PluginSystem, fault: Callable[..., Path]
) -> None:
    """A requirement names every fitting version; what is loaded in another version is named in the error."""
    system.load("builtin:echo")
    with pytest.raises(DependencyMissing) as caught:
        system.load(fault("crashing_plugin", '[requires]\necho = ">=2"\ngeo = "==1.0"\n', plugin_id=1))
    assert caught.value.missing == ("echo >=2 (loaded: 1.0.0)", "geo ==1.0 (not loaded)")
    system.load(fault("crashing_plugin", '[requires]\necho = ">=1,<2"\n', plugin_id=2))
    assert system.loaded_plugins() == [2, 1002]


# Processes that are killed in the middle of it.


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


@pytest.fixture
def loading(runtime_base: Path, census: Callable[..., Any], fault: Callable[..., Path]) -> Callable[..., Any]:
    """Return a function that starts loading bundles, the first of them large, and stops the loader while it reads."""

    def start(system: PluginSystem, others: list[str]) -> tuple[Future[Any], int]:
        system.load("builtin:kv")
        known = set(census(system).plugin_actors)
        specs = [PluginSettings(bundle) for bundle in (str(large(fault("crashing_plugin"))), *others)]
        [plugins] = runtime_base.glob("*/plugins")
        created = Created(plugins)
        future = in_background(lambda: system.load_many(specs))
        created.wait()
        [loader] = [pid for pid in census(system).plugin_actors if pid not in known]
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
    assert ends(processes - set(census(system).permanent)).still_there(5.0) == []


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
    assert gone.still_there(5.0) == []
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
    error = future.exception(10.0)
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
    error = future.exception(10.0)
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
    assert isinstance(future.exception(5.0), NyxPluginError)


# Unloading.


@pytest.mark.needs_worker(reason="inline has no alarms while nobody calls")
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("plugin_that_fails_in_unload", "RuntimeError: the tables can't be put away"),
        ("plugin_that_hangs_in_unload", "on_unload did not end in time"),
    ],
)
def test_a_plugin_that_does_not_go_well_goes_all_the_same(
    name: str,
    reason: str,
    make_system: Callable[..., PluginSystem],
    fault: Callable[..., Path],
    wait_event: Callable[..., Any],
    no_trace: Callable[..., None],
) -> None:
    """on_unload that raises or hangs is reported with the event, and delays the unload by the configured time only."""
    system = make_system(attrs.evolve(QUICK, system=SystemSettings(stop_timeout_s=0.3)))
    no_trace(system)
    system.load(fault(name))
    with system.subscribe() as events:
        receipt = system.dispatch(0x52, PluginHeader(1, 0, b"last"))
        system.unload(1)
        assert wait_event(events, "unloaded", 1)[-1].reason == reason
    assert receipt.outcome(5.0).reply == b"last"
    no_trace(system)
