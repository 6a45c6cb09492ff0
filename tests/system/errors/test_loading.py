"""The errors of loading, unloading, swapping and resetting."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from nyx_plugins import PluginSystem
from nyx_plugins.config.errors import NyxPluginError
from nyx_plugins.config.settings import PluginSettings
from nyx_plugins.plugins.errors import (
    AlreadyLoaded,
    BundleError,
    DependencyConflict,
    DependencyCycle,
    DependencyMissing,
    DependentsLoaded,
    ManifestError,
    PluginNotFailed,
    PolicyRefused,
    SwapFailed,
    SwapRefused,
)

from .conftest import DATA, check, header, provokes


@provokes(AlreadyLoaded, ValueError)
def test_already_loaded(live: PluginSystem) -> None:
    """Loading an id that is taken names the id and the state of its holder."""
    with pytest.raises(AlreadyLoaded) as caught:
        live.load("builtin:echo")
    text = "plugin 1002 is already loaded: its state is 'ready'"
    check(caught.value, AlreadyLoaded, text, plugin_id=1002, state="ready")


@provokes(ManifestError, ValueError)
def test_manifest_error(live: PluginSystem, fault: Callable[..., Path]) -> None:
    """A manifest is refused with all its faults, each with its key."""
    bundle = fault("raising_plugin", 'capacity = 0\ncolour = "red"\n', plugin_id=1)
    with pytest.raises(ManifestError) as caught:
        live.load(bundle)
    error = caught.value
    assert {fault.key for fault in error.faults} == {"capacity", "colour"}
    assert error.source == f"{bundle}/plugin.toml"
    text = f"manifest {error.source}: " + "; ".join(f"{key}: {reason}" for key, reason in error.faults)
    check(error, ManifestError, text, source=error.source, faults=error.faults)


@provokes(BundleError, ValueError)
def test_bundle_error(live: PluginSystem, tmp_path: Path) -> None:
    """A bundle that can't be read is named, with the reason."""
    for source, reason in {
        str(tmp_path): "has no plugin.toml",
        str(tmp_path / "nowhere"): "it can't be read: No such file or directory",
        "builtin:nowhere": "there is no bundled plugin 'nowhere', only echo, kv, wordcount",
    }.items():
        with pytest.raises(BundleError) as caught:
            live.load(source)
        check(caught.value, BundleError, f"bundle {source}: {reason}", source=source, reason=reason)


@provokes(PolicyRefused, PermissionError)
def test_policy_refused(live: PluginSystem, fault: Callable[..., Path]) -> None:
    """A bundle that asks for more than the ceiling allows is refused with every reason."""
    with pytest.raises(PolicyRefused) as caught:
        live.load(fault("raising_plugin", '[sandbox]\nnetwork = ["*"]\nsubprocesses = true\n', plugin_id=1))
    reasons = caught.value.reasons
    assert [reason.partition(":")[0] for reason in reasons] == ["network", "subprocesses"]
    text = "plugin 1 asks for more than the ceiling allows: " + "; ".join(reasons)
    check(caught.value, PolicyRefused, text, plugin_id=1, reasons=reasons)


@provokes(DependencyMissing, LookupError)
def test_dependency_missing(live: PluginSystem, fault: Callable[..., Path]) -> None:
    """A bundle whose requirements are not met is refused with every one of them."""
    with pytest.raises(DependencyMissing) as caught:
        live.load(fault("raising_plugin", '[requires]\necho = ">=2"\ngeo = "<2"\n', plugin_id=1))
    missing = ("echo >=2 (loaded: 1.0.0)", "geo <2 (not loaded)")
    text = "plugin 1 requires echo >=2 (loaded: 1.0.0), geo <2 (not loaded)"
    check(caught.value, DependencyMissing, text, plugin_id=1, missing=missing)


@provokes(DependencyConflict, RuntimeError)
def test_dependency_conflict(live: PluginSystem, fault: Callable[..., Path]) -> None:
    """A bundle that requires a version that another plugin excludes is refused with both ranges."""
    live.load(fault("obedient_plugin", '[requires]\necho = "<2"\n', plugin_id=2))
    try:
        with pytest.raises(DependencyConflict) as caught:
            live.load(fault("raising_plugin", '[requires]\necho = ">=2"\n', plugin_id=1))
        conflict = "echo >=2 (loaded: 1.0.0), and obedient_plugin (2) requires echo <2"
        text = f"plugin 1 conflicts with others: {conflict}: no one version fits both"
        check(caught.value, DependencyConflict, text, plugin_id=1, conflicts=(conflict,))
    finally:
        live.unload(2)


@provokes(DependencyCycle, ValueError)
def test_dependency_cycle(live: PluginSystem, fault: Callable[..., Path]) -> None:
    """Plugins that need each other are refused with the whole cycle."""
    bundles = [
        fault("raising_plugin", '[requires]\nobedient_plugin = ">=1"\n', plugin_id=1),
        fault("obedient_plugin", '[optional]\nraising_plugin = ">=1"\n', plugin_id=2),
    ]
    one, two = live.load_many([PluginSettings(str(bundle)) for bundle in bundles])
    cycle = ("raising_plugin", "obedient_plugin", "raising_plugin")
    text = f"plugin 1 depends on itself: {' -> '.join(cycle)}; break the cycle"
    check(one, DependencyCycle, text, plugin_id=1, cycle=cycle)
    assert isinstance(two, DependencyCycle)


@provokes(DependentsLoaded, RuntimeError)
def test_dependents_loaded(live: PluginSystem, fault: Callable[..., Path]) -> None:
    """What others require is not unloaded, and they are named."""
    live.load(fault("talking_plugin", plugin_id=3))
    live.load(fault("obedient_plugin", '[requires]\ntalking_plugin = "<2"\n', plugin_id=2))
    try:
        with pytest.raises(DependentsLoaded) as caught:
            live.unload(3)
        text = "plugin 3 is required by obedient_plugin (2): unload them first, or with it (cascade)"
        check(caught.value, DependentsLoaded, text, plugin_id=3, dependents={2: "obedient_plugin"})
    finally:
        live.unload(3, cascade=True)


@provokes(PluginNotFailed, ValueError)
def test_plugin_not_failed(live: PluginSystem) -> None:
    """What works is not reset."""
    with pytest.raises(PluginNotFailed) as caught:
        live.reset(1002)
    text = "plugin 1002 can't be reset: its state is 'ready', and only failed and quarantined plugins can"
    check(caught.value, PluginNotFailed, text, plugin_id=1002, state="ready")


@provokes(SwapRefused, PermissionError)
def test_swap_refused(live: PluginSystem, fault: Callable[..., Path], plugin_id: int) -> None:
    """Another plugin is no new version; every reason is in the error."""
    live.load("builtin:echo", plugin_id=plugin_id)
    with pytest.raises(SwapRefused) as caught:
        live.swap(plugin_id, fault("obedient_plugin"))
    reasons = "; ".join(caught.value.reasons)
    text = f"plugin {plugin_id} is not swapped: the new version does not fit: {reasons}"
    check(caught.value, SwapRefused, text, plugin_id=plugin_id, widens=False)
    assert "obedient_plugin" in reasons


@provokes(SwapFailed, RuntimeError)
def test_swap_failed(live: PluginSystem, fault: Callable[..., Path], tmp_path: Path, plugin_id: int) -> None:
    """A new version that can't be loaded leaves the old one in its place."""
    live.load(bundle := fault("obedient_plugin", plugin_id=plugin_id))
    broken = shutil.copytree(bundle, tmp_path / "broken")
    (broken / "plugin.py").write_text("raise ValueError('as told')")
    with pytest.raises(SwapFailed) as caught:
        live.swap(plugin_id, broken)
    error = caught.value
    text = f"plugin {plugin_id} is not swapped ({error.step}): {error.reason}; the old version goes on"
    check(error, SwapFailed, text, plugin_id=plugin_id)
    assert "ValueError: as told" in error.reason
    assert live.request(DATA, header(plugin_id, b"a")) == b"a"


# What a plugin is configured with.


def test_a_configuration_that_no_plugin_can_be_given_is_refused(live: PluginSystem, plugin_id: int) -> None:
    """Values that CBOR can't hold are named by their key, whether they are found here or at the plugin actor."""
    for value in (object(), 1 << 70):
        with pytest.raises(NyxPluginError, match="config"):
            live.load("builtin:echo", plugin_id=plugin_id, config={"value": value})
    assert plugin_id not in live.loaded_plugins()
