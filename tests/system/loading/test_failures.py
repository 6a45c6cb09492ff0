"""Loads and unloads that fail: no trace is left, and neighbours load."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from nyx_plugins import PluginHeader, PluginSystem
from nyx_plugins.config.settings import PluginSettings, Settings, SystemSettings
from nyx_plugins.plugins.errors import (
    BundleError,
    DependencyMissing,
    ManifestError,
    PluginFailed,
    PluginNotRegistered,
    PolicyRefused,
)

from .conftest import QUICK


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
        ("plugin_that_hangs_in_load", "its worker was not ready within 3 s"),
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


# Unloading.


@pytest.mark.needs_worker(reason="inline has no alarms while nobody calls")
@pytest.mark.parametrize(
    ("name", "stop_timeout_s", "reason"),
    [
        ("plugin_that_fails_in_unload", 30.0, "RuntimeError: the tables can't be put away"),
        ("plugin_that_hangs_in_unload", 0.3, "on_unload did not end in time"),
    ],
)
def test_a_plugin_that_does_not_go_well_goes_all_the_same(
    name: str,
    stop_timeout_s: float,
    reason: str,
    make_system: Callable[..., PluginSystem],
    fault: Callable[..., Path],
    wait_event: Callable[..., Any],
    no_trace: Callable[..., None],
) -> None:
    """on_unload that raises or hangs is reported with the event, and delays the unload by the configured time only."""
    system = make_system(Settings(system=SystemSettings(stop_timeout_s=stop_timeout_s)))
    no_trace(system)
    system.load(fault(name))
    with system.subscribe() as events:
        receipt = system.dispatch(0x52, PluginHeader(1, 0, b"last"))
        system.unload(1)
        assert wait_event(events, "unloaded", 1)[-1].reason == reason
    assert receipt.outcome(30.0).reply == b"last"
    no_trace(system)
