"""Policies of running plugins: what a plugin's entry says counts, and everybody can see where each value came from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nyx_plugins import PluginHeader, PluginSystem, PolicyRefused, SandboxViolation
from nyx_plugins.config import Ceiling, PluginSettings, SandboxOverride, Settings

CONTROL = 0x53
SETTINGS = Settings(ceiling=Ceiling(network=("*.example.com",), deny_network=("evil.example.com",)))


def load(system: PluginSystem, bundle: Path, **override: object) -> object:
    """Load a plugin with an entry; returns what load_many gives for it."""
    [result] = system.load_many([PluginSettings(str(bundle), sandbox=SandboxOverride(**override))])  # type: ignore[arg-type]  # by name
    return result


def test_the_entry_of_a_plugin_is_in_its_policy_and_in_force(
    make_system: Callable[..., PluginSystem], fault: Callable[..., Path]
) -> None:
    """An entry widens within the ceiling; what the ceiling denies stays denied; the origins are told."""
    system = make_system(SETTINGS)
    load(system, fault("obedient_plugin", '[sandbox]\nnetwork = ["a.example.com"]\n'), network=("*.example.com:443",))
    policy = system.plugin_info(1).policy
    assert policy is not None
    assert (policy.network, policy.origins["network"]) == (("*.example.com:443",), "plugin entry")
    assert policy.origins["deny_network"] == "ceiling"
    allowed = system.dispatch(CONTROL, PluginHeader(1, 0, b"SBX:CONNECT b.example.com:443"))
    assert allowed.outcome(30.0).kind == "processed"
    for denied in (b"evil.example.com:443", b"a.example.com:80", b"127.0.0.1:443"):
        with pytest.raises(SandboxViolation):
            system.dispatch(CONTROL, PluginHeader(1, 0, b"SBX:CONNECT " + denied))


def test_an_entry_beyond_the_ceiling_is_refused(
    make_system: Callable[..., PluginSystem], fault: Callable[..., Path]
) -> None:
    """Nothing is loaded then, and the reason blames the entry."""
    system = make_system(SETTINGS)
    refused = load(system, fault("obedient_plugin"), network=("example.org",), threads=65)
    assert isinstance(refused, PolicyRefused)
    assert refused.reasons == (
        "network (plugin entry): 'example.org' is not covered by the ceiling's (*.example.com)",
        "threads (plugin entry): 65 is above the ceiling's 64",
    )
    assert not system.is_plugin_loaded(1)
