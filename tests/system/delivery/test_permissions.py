"""Permissions are in force when the call returns, and outlive the system; requirements are met first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nyx_plugins import (
    DependencyMissing,
    PermissionDenied,
    PluginFailed,
    PluginHeader,
    PluginNotLoaded,
    PluginNotRegistered,
    PluginSystem,
)

HANDSHAKE, DATA = 0x51, 0x52
P = 7
LONG_S = 30.0


def header(data: bytes = b"", plugin_id: int = P) -> bytes:
    """Encode a header."""
    return PluginHeader(plugin_id, 0, data).encode()


def test_a_revoked_permission_is_in_force_when_revoke_returns(
    load: Callable[..., PluginSystem],
    counted: Callable[..., Any],
    hammer: Callable[..., Any],
    fates: Callable[..., Any],
) -> None:
    """Under four hammering threads no frame is accepted after revoke, and every denial is counted as a violation."""
    system = load(capacity=300)
    books = counted(system)
    crowd = hammer(system, until=PermissionDenied)
    system.revoke(P, "data_access")
    accepted = system.plugin_stats(P).accepted
    receipts, raised = crowd.join()
    ends = fates(receipts)
    assert system.plugin_stats(P).accepted == accepted == ends["processed"] == books.dispatched
    assert set(ends) <= {"processed", "PermissionDenied"}
    denied = ends["PermissionDenied"] + raised["PermissionDenied"]
    assert books.refused["PermissionDenied"] == system.plugin_stats(P).permission_violations == denied
    assert "data_access" not in system.plugin_info(P).permissions


def test_a_granted_permission_is_in_force_when_grant_returns(load: Callable[..., PluginSystem]) -> None:
    """A frame sent right after grant is accepted, as often as one tries."""
    system = load(permissions=["data_access"])
    for number in range(1, 11):
        with pytest.raises(PermissionDenied):
            system.dispatch_nowait(HANDSHAKE, header())
        system.grant(P, "handshake")
        assert system.dispatch_nowait(HANDSHAKE, header()).outcome(LONG_S).reply == b"%d" % number
        system.revoke(P, "handshake")
    info = system.plugin_info(P)
    assert (info.requested, info.permissions) == ({"data_access"}, {"data_access"})


def test_frames_in_the_mailbox_outlive_a_revoke(load: Callable[..., PluginSystem]) -> None:
    """What was accepted before is processed: permission is needed to be accepted."""
    system = load()
    system.pause(P)
    receipt = system.dispatch(DATA, header(b"before"))
    system.revoke(P, "data_access")
    system.resume(P)
    assert receipt.outcome(LONG_S).reply == b"before"


def test_permissions_of_nobody_and_of_no_name(shared: PluginSystem) -> None:
    """Changing them is refused with the culprit, and what there is instead."""
    with pytest.raises(PluginNotRegistered):
        shared.grant(P, "control")
    with pytest.raises(ValueError, match="unknown permission 'root': expected one of control, data_access"):
        shared.grant(P, "root")


def test_a_revoke_survives_a_restart(make_system: Callable[..., PluginSystem], tmp_path: Path) -> None:
    """With a state directory the registration stays when the system is closed, and so does what was revoked."""
    first = make_system(state_dir=tmp_path / "state")
    digest = first.load("builtin:echo", plugin_id=P).digest
    first.revoke(P, "data_access")
    first.grant(P, "inter_plugin")
    first.close()
    second = make_system(state_dir=tmp_path / "state")
    info = second.plugin_info(P)
    assert (info.state, info.name, info.version, info.digest) == ("registered", "echo", "1.0.0", digest)
    assert info.permissions == {"handshake", "control", "error_reporting", "inter_plugin"}
    assert second.loaded_plugins() == []
    with pytest.raises(PluginNotLoaded) as resting:
        second.dispatch(DATA, header())
    assert resting.value.state == "registered"
    assert second.load("builtin:echo", plugin_id=P).permissions == info.permissions
    with pytest.raises(PermissionDenied):
        second.dispatch(DATA, header())
    assert second.request(HANDSHAKE, header(b"still here")) == b"still here"


def test_unloading_ends_a_registration(make_system: Callable[..., PluginSystem], tmp_path: Path) -> None:
    """What was unloaded is forgotten, revoked permissions included."""
    first = make_system(state_dir=tmp_path / "state")
    first.load("builtin:echo", plugin_id=P)
    first.revoke(P, "data_access")
    first.unload(P)
    first.close()
    second = make_system(state_dir=tmp_path / "state")
    with pytest.raises(PluginNotRegistered):
        second.plugin_info(P)
    second.load("builtin:echo", plugin_id=P)
    assert second.request(DATA, header(b"anew")) == b"anew"


def test_a_registration_of_an_earlier_run_can_be_removed(
    make_system: Callable[..., PluginSystem], fault: Callable[..., Path], tmp_path: Path
) -> None:
    """A load that fails leaves it as it was; unloading what is not loaded forgets it."""
    first = make_system(state_dir=tmp_path / "state")
    first.load("builtin:echo", plugin_id=P)
    first.close()
    second = make_system(state_dir=tmp_path / "state")
    with pytest.raises(PluginFailed):
        second.load(fault("plugin_that_fails_to_load", plugin_id=P))
    assert second.plugin_info(P).name == "echo"
    second.unload(P)
    for use in (lambda: second.plugin_info(P), lambda: second.dispatch(DATA, header()), lambda: second.unload(P)):
        with pytest.raises(PluginNotRegistered):
            use()


def test_other_permissions_asked_for_start_anew(make_system: Callable[..., PluginSystem], tmp_path: Path) -> None:
    """What was granted stands for what was asked for then: a plugin that asks for more gets what it asks for."""
    first = make_system(state_dir=tmp_path / "state")
    first.load("builtin:echo", plugin_id=P, permissions=["handshake"])
    first.revoke(P, "handshake")
    first.close()
    second = make_system(state_dir=tmp_path / "state")
    info = second.load("builtin:echo", plugin_id=P, permissions=["handshake", "control"])
    assert info.permissions == {"handshake", "control"}


def test_a_plugin_is_loaded_after_those_it_requires(shared: PluginSystem, fault: Callable[..., Path]) -> None:
    """Without them, or with another version, it is refused and leaves nothing; paused ones are there."""
    bundle = fault("obedient_plugin", '[requires]\necho = ">=1,<2"\nkv = ">=2"\n', plugin_id=P)
    with pytest.raises(DependencyMissing) as missing:
        shared.load(bundle)
    assert missing.value.plugin_id == P
    assert missing.value.missing == ("echo >=1,<2 (not loaded)", "kv >=2 (not loaded)")
    shared.load("builtin:echo", plugin_id=8)
    shared.load("builtin:kv", plugin_id=9)
    with pytest.raises(DependencyMissing, match=r"plugin 7 requires kv >=2 \(loaded: 1\.0\.0\)"):
        shared.load(bundle)
    assert shared.loaded_plugins() == [8, 9]
    with pytest.raises(PluginNotRegistered):
        shared.plugin_info(P)
    (bundle / "plugin.toml").write_text((bundle / "plugin.toml").read_text().replace(">=2", ">=0.9"))
    shared.pause(8)
    assert shared.load(bundle).state == "ready"
