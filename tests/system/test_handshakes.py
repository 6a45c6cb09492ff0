"""Plugins that talk to nobody before a handshake."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nyx_plugins import (
    Agreement,
    Capability,
    Difference,
    Handshake,
    HandshakeRefused,
    HandshakeRequired,
    PluginFailed,
    PluginHeader,
    PluginSystem,
)
from nyx_plugins.plugins.wire import REQUIRED

P = 1
HANDSHAKE, DATA, CONTROL, ERROR = 0x51, 0x52, 0x53, 0x54
NEEDS = "require_handshake = true\n[handshake]\nversions = [1, 3]\ncapabilities = [1, 2, 7]\n"


def header(data: bytes = b"") -> bytes:
    """Encode a header."""
    return PluginHeader(P, 0, data).encode()


def greeting(version: int = 1, name: str = "me", *capabilities: tuple[int, int]) -> bytes:
    """Encode the header of a handshake; capabilities are (id, flags)."""
    entries = tuple(Capability(number, flags, b"") for number, flags in capabilities)
    return header(Handshake(version, name, entries).encode())


@pytest.fixture
def system(lent: PluginSystem, fault: Callable[..., Path]) -> PluginSystem:
    """Return a system with a plugin that requires a handshake."""
    lent.load(fault("talking_plugin", NEEDS))
    return lent


def test_data_and_control_wait_for_a_handshake(system: PluginSystem) -> None:
    """Only errors may be reported before; once the plugin has processed a handshake, everything may come."""
    before = system.dispatch_stats().refused.get("HandshakeRequired", 0)
    for frame_type in (DATA, CONTROL):
        with pytest.raises(HandshakeRequired, match=f"0x{frame_type:02x} only after a handshake"):
            system.dispatch(frame_type, header())
    assert system.request(ERROR, header(b"oh")) == b"error 0x54 oh"
    assert system.request(HANDSHAKE, greeting()) == b"welcome"
    assert system.request(DATA, header(b"hello")) == b"data 0x52 hello"
    assert system.request(CONTROL, header(b"hello")) == b"control 0x53 hello"
    assert system.dispatch_stats().refused["HandshakeRequired"] == before + 2
    assert system.plugin_stats(P).permission_violations == 0


def test_what_both_understand_stands_on_the_receipt(system: PluginSystem) -> None:
    """The highest version that is not above the peer's, and the capabilities that both have."""
    receipt = system.dispatch(HANDSHAKE, greeting(2, "node", (7, REQUIRED), (9, 0), (1, 0)), confirm="processed")
    assert receipt.agreement == Agreement(1, "node", (7, 1))
    newer = system.dispatch(HANDSHAKE, greeting(65_535), confirm="processed")
    assert newer.agreement == Agreement(3, "me", ())


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (greeting(0), r"version 0 is older than what the plugin understands \(1, 3\)"),
        (greeting(1, "me", (1, REQUIRED), (9, REQUIRED), (10, REQUIRED)), "requires capability 0x0009"),
        (header(b"probe"), "its data is no handshake"),
        (header(), "its data is no handshake"),
    ],
)
def test_a_handshake_without_common_ground_is_refused(system: PluginSystem, frame: bytes, reason: str) -> None:
    """The error carries the CLOSE that the peer is owed; the plugin never sees the frame, and still takes no data."""
    with pytest.raises(HandshakeRefused, match=reason) as refused:
        system.dispatch(HANDSHAKE, frame)
    assert refused.value.close == bytes.fromhex("000700000001")
    with pytest.raises(HandshakeRequired):
        system.dispatch(DATA, header())
    assert system.plugin_stats(P).accepted == 0


def test_a_handshake_that_the_plugin_itself_refuses_is_none(system: PluginSystem) -> None:
    """Its handler has the last word."""
    with pytest.raises(PluginFailed, match="not with you"):
        system.dispatch(HANDSHAKE, greeting(name="no"), confirm="processed")
    with pytest.raises(HandshakeRequired):
        system.dispatch(DATA, header())


def test_a_plugin_that_is_loaded_again_knows_nobody(system: PluginSystem, fault: Callable[..., Path]) -> None:
    """A handshake is with one plugin, from its load to its unload."""
    system.request(HANDSHAKE, greeting())
    system.unload(P)
    bundle = fault("talking_plugin", NEEDS, plugin_id=2)
    system.load(bundle, plugin_id=P)
    with pytest.raises(HandshakeRequired):
        system.dispatch(DATA, header())


def test_another_version_brings_its_own_rules(system: PluginSystem, fault: Callable[..., Path]) -> None:
    """They hold when the swap returns, whether it requires a handshake, none, or another one; the report says so."""
    report = system.swap(P, fault("talking_plugin", plugin_id=2))
    assert report.differences == (Difference("require_handshake", "true becomes false", None),)
    assert system.request(DATA, header(b"a")) == b"data 0x52 a"
    system.swap(P, fault("talking_plugin", NEEDS, plugin_id=3))
    system.request(HANDSHAKE, greeting())
    assert system.request(DATA, header(b"b")) == b"data 0x52 b"
    report = system.swap(P, fault("talking_plugin", NEEDS.replace("1, 3", "5"), plugin_id=4))
    assert report.differences == (Difference("handshake.versions", "1, 3 becomes 5", None),)
    with pytest.raises(HandshakeRequired):
        system.dispatch(DATA, header())
    with pytest.raises(HandshakeRefused, match=r"version 3 is older than what the plugin understands \(5\)"):
        system.dispatch(HANDSHAKE, greeting(3))
    assert system.dispatch(HANDSHAKE, greeting(5), confirm="processed").agreement == Agreement(5, "me")
    assert system.request(DATA, header(b"c")) == b"data 0x52 c"


def test_the_operator_decides_whether_one_is_required(lent: PluginSystem, fault: Callable[..., Path]) -> None:
    """What is said at the load goes before the manifest; then other bytes are a handshake too."""
    lent.load(fault("talking_plugin", NEEDS), require_handshake=False)
    assert lent.request(DATA, header(b"a")) == b"data 0x52 a"
    assert lent.request(HANDSHAKE, header(b"anything")) == b"welcome"
    lent.load(fault("talking_plugin", plugin_id=2), require_handshake=True)
    with pytest.raises(HandshakeRequired):
        lent.dispatch(DATA, PluginHeader(2, 0, b"").encode())
