"""Frame types that the configuration names: who may get them, and where they arrive."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nyx_plugins import (
    FrameTypeSettings,
    InvalidFrameType,
    ManifestError,
    PermissionDenied,
    PluginHeader,
    PluginSystem,
    Settings,
)

P = 1
OWN = Settings(
    frame_types={
        "telemetry": FrameTypeSettings(0x55, "telemetry"),
        "probe": FrameTypeSettings(0x50, "data_access"),
    }
)
ASKS = 'permissions = ["data_access", "telemetry"]'


def header(data: bytes = b"") -> bytes:
    """Encode a header."""
    return PluginHeader(P, 0, data).encode()


@pytest.fixture
def talking(fault: Callable[..., Path]) -> Path:
    """Return a bundle that asks for a permission that the protocol does not have."""
    bundle = fault("talking_plugin")
    manifest = bundle / "plugin.toml"
    lines = [ASKS if line.startswith("permissions") else line for line in manifest.read_text().splitlines()]
    manifest.write_text("\n".join(lines))
    return bundle


def test_frames_of_a_named_type_arrive_in_on_frame(make_system: Callable[..., PluginSystem], talking: Path) -> None:
    """With the permission that the configuration gives them, a new one or one of the protocol."""
    system = make_system(OWN)
    assert system.load(talking).permissions == {"data_access", "telemetry"}
    assert system.request(0x55, header(b"a")) == b"frame 0x55 a"
    assert system.request(0x50, header(b"b")) == b"frame 0x50 b"
    assert system.request(0x52, header(b"c")) == b"data 0x52 c"
    stats = system.plugin_stats(P)
    assert (stats.processed, stats.failed) == (3, 0)


def test_a_type_that_nobody_has_named_is_refused(make_system: Callable[..., PluginSystem], talking: Path) -> None:
    """By its number, also where others are named."""
    system = make_system(OWN)
    system.load(talking)
    for frame_type in (0x56, 0x5F, 0x4F, 0x60):
        with pytest.raises(InvalidFrameType, match=f"0x{frame_type:02x}"):
            system.dispatch(frame_type, header())


def test_a_permission_of_ones_own_is_granted_and_revoked(
    make_system: Callable[..., PluginSystem], talking: Path
) -> None:
    """Like those of the protocol; one that nobody has named is refused before anything is asked."""
    system = make_system(OWN)
    system.load(talking)
    system.revoke(P, "telemetry")
    with pytest.raises(PermissionDenied, match="no permission 'telemetry', which frame type 0x55 needs"):
        system.dispatch(0x55, header())
    assert system.request(0x50, header()) == b"frame 0x50 "
    system.grant(P, "telemetry")
    assert system.request(0x55, header()) == b"frame 0x55 "
    with pytest.raises(ValueError, match=r"unknown permission 'telemetri': expected one of .*telemetry"):
        system.grant(P, "telemetri")


def test_another_version_may_ask_for_it_too(make_system: Callable[..., PluginSystem], talking: Path) -> None:
    """A swap knows the permissions that a load knows."""
    system = make_system(OWN)
    system.load(talking)
    assert system.swap(P, talking, dry_run=True).differences == ()
    assert system.swap(P, talking).swapped
    assert system.request(0x55, header(b"a")) == b"frame 0x55 a"


def test_a_permission_that_a_system_does_not_know_refuses_the_bundle(
    make_system: Callable[..., PluginSystem], talking: Path
) -> None:
    """With the manifest's key; nothing is left of the load."""
    system = make_system()
    with pytest.raises(ManifestError, match=r"permissions\[1\]: must be one of .* not 'telemetry'"):
        system.load(talking)
    assert system.plugins() == []


def test_a_reload_of_the_settings_leaves_the_types_as_they_are(make_system: Callable[..., PluginSystem]) -> None:
    """Sessions and dispatcher are started with them."""
    system = make_system(OWN)
    system.reconfigure(Settings())
    assert system.settings.frame_types == OWN.frame_types
