"""Ids and versions that loads compete for or need."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nyx_plugins import PluginHeader, PluginSystem
from nyx_plugins.config.settings import PluginSettings
from nyx_plugins.plugins.errors import AlreadyLoaded, DependencyMissing


@pytest.fixture
def system(lent: PluginSystem) -> PluginSystem:
    """Return a running system without plugins."""
    return lent


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
