"""The checks in their order: frame type, header, registered, loaded, permission, control preflight."""

from __future__ import annotations

import attrs
import pytest

from nyx_plugins.actors.admission import admit
from nyx_plugins.actors.frame_rules import FrameRules
from nyx_plugins.actors.messages import Route
from nyx_plugins.plugins import PluginHeader
from nyx_plugins.plugins.errors import (
    FrameError,
    InvalidFrameType,
    PermissionDenied,
    PluginFailed,
    PluginNotLoaded,
    PluginNotRegistered,
    PluginQuarantined,
    SandboxViolation,
    SystemStopped,
)
from nyx_plugins.plugins.policy import Policy

ALL = frozenset({"handshake", "data_access", "control", "error_reporting"})
ROUTE = Route(7, "p", "1.0", "ready", ALL, Policy(network=("example.com:80",)), 4, 1 << 20, 1)
RULES = FrameRules()


def _header(data: bytes = b"", plugin_id: int = 7, flags: int = 0) -> bytes:
    return PluginHeader(plugin_id, flags, data).encode()


def test_a_good_frame_is_admitted_with_its_route_and_length() -> None:
    """What the dispatcher needs further on is found once."""
    assert admit({7: ROUTE}, 0x52, _header(b"12345"), RULES, None) == (ROUTE, 5, None)


@pytest.mark.parametrize("frame_type", [0x00, 0x4F, 0x50, 0x55, 0x5F, 0x60, 0xFF, -1, 1 << 40])
def test_reserved_and_foreign_frame_types_are_refused_before_all_else(frame_type: int) -> None:
    """A wrong type is the error even where the header is garbage and nobody is registered."""
    with pytest.raises(InvalidFrameType):
        admit({}, frame_type, b"garbage", RULES, None)


def test_a_malformed_header_comes_before_the_registry() -> None:
    """A header that can't be read is a frame error, whoever it was for."""
    with pytest.raises(FrameError):
        admit({}, 0x52, b"garbage", RULES, None)
    with pytest.raises(FrameError):
        admit({7: ROUTE}, 0x52, _header(bytes(5000)), FrameRules(4096), None)


def test_an_unknown_plugin_owes_a_close_where_the_frame_is_required() -> None:
    """The REQUIRED bit decides whether the peer is owed a CLOSE."""
    with pytest.raises(PluginNotRegistered) as plain:
        admit({}, 0x52, _header(plugin_id=2, flags=0xFE), RULES, None)
    assert plain.value.close is None
    with pytest.raises(PluginNotRegistered) as required:
        admit({}, 0x52, _header(plugin_id=2, flags=0x01), RULES, None)
    assert required.value.close == bytes.fromhex("000700000002")


@pytest.mark.parametrize(
    ("state", "error"),
    [
        ("starting", PluginNotLoaded),
        ("draining", PluginNotLoaded),
        ("failed", PluginFailed),
        ("quarantined", PluginQuarantined),
    ],
)
def test_a_plugin_that_takes_no_frames_says_its_state(state: str, error: type[Exception]) -> None:
    """State comes before permission."""
    route = attrs.evolve(ROUTE, state=state, permissions=frozenset())
    with pytest.raises(error):
        admit({7: route}, 0x52, _header(), RULES, None)


def test_a_system_that_stops_says_so_instead_of_what_its_plugins_do() -> None:
    """Whoever sends meanwhile has nothing to do with one plugin or another."""
    with pytest.raises(SystemStopped, match="it is stopping"):
        admit({7: attrs.evolve(ROUTE, state="draining", stopping=True)}, 0x52, _header(), RULES, None)


@pytest.mark.parametrize("state", ["ready", "paused", "restarting"])
def test_mailboxes_take_frames_while_their_plugin_can_not(state: str) -> None:
    """Paused and restarting plugins accept; their mailboxes fill."""
    assert admit({7: attrs.evolve(ROUTE, state=state)}, 0x52, _header(), RULES, None)


@pytest.mark.parametrize(
    ("frame_type", "permission"),
    [(0x51, "handshake"), (0x52, "data_access"), (0x53, "control"), (0x54, "error_reporting")],
)
def test_each_frame_type_needs_its_permission(frame_type: int, permission: str) -> None:
    """The error names the missing permission and the frame type."""
    route = attrs.evolve(ROUTE, permissions=ALL - {permission})
    with pytest.raises(PermissionDenied) as denied:
        admit({7: route}, frame_type, _header(b"SBX:nonsense"), RULES, None)
    assert (denied.value.permission, denied.value.frame_type) == (permission, frame_type)


def test_control_requests_are_checked_against_the_policy_and_other_data_is_not() -> None:
    """Only control frames are looked into."""
    assert admit({7: ROUTE}, 0x53, _header(b"SBX:CONNECT Example.COM:80"), RULES, None)
    assert admit({7: ROUTE}, 0x52, _header(b"SBX:CONNECT elsewhere:80"), RULES, None)
    with pytest.raises(SandboxViolation) as denied:
        admit({7: ROUTE}, 0x53, _header(b"SBX:CONNECT elsewhere:80"), RULES, None)
    assert denied.value.request == "SBX:CONNECT elsewhere:80"
