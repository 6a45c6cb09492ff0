"""The errors of frames that are refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nyx_plugins import PluginHeader, PluginSystem, Receipt
from nyx_plugins.plugins.errors import (
    FrameError,
    HandshakeRefused,
    HandshakeRequired,
    InvalidFrameType,
    PermissionDenied,
    PluginNotLoaded,
    PluginNotRegistered,
    SandboxViolation,
)

from .conftest import CONTROL, DATA, check, header, provokes, refusals


@provokes(InvalidFrameType, ValueError)
@pytest.mark.parametrize("frame_type", [0x50, 0x55, 0x5F, 0, 0x152])
def test_invalid_frame_type(frame_type: int, live: PluginSystem) -> None:
    """A frame type that is not 0x51 to 0x54 is refused before anything else is looked at."""
    for error in refusals(live, frame_type, b"no header either"):
        expected = "expected 0x51 to 0x54, or one that the configuration names"
        text = f"frame type 0x{frame_type:02x} is not a plugin frame: {expected}"
        check(error, InvalidFrameType, text, frame_type=frame_type)


@pytest.mark.parametrize("frame_type", [82.0, True, None, "R", [], {}, b"R"], ids=repr)
def test_a_frame_type_that_is_no_number(frame_type: Any, live: PluginSystem) -> None:
    """Equal to one or not, it is refused at the caller, also behind others that pass, and the system goes on."""
    text = f"frame type ({type(frame_type).__name__}, not int) is not a plugin frame"
    good = (DATA, header(1002, b"x"))
    for error in refusals(live, frame_type, header(1002, b"x")):
        assert isinstance(error, InvalidFrameType)
        assert str(error).startswith(text)
    for frames in ([good, (frame_type, good[1])], iter([good, good, (frame_type, good[1])])):
        *accepted, error = live.dispatch_many(frames)
        assert isinstance(error, InvalidFrameType)
        assert all(isinstance(receipt, Receipt) for receipt in accepted)
    assert live.request(*good) == b"x"


@provokes(FrameError, ValueError)
def test_frame_error(live: PluginSystem) -> None:
    """A malformed header is refused with what is wrong, and where."""
    good = header(1002, b"x")
    for error in refusals(live, DATA, good + b"!"):
        assert isinstance(error, FrameError)
        assert error.offset == len(good)
        check(error, FrameError, f"malformed frame at byte {len(good)}: {error.what}", what=error.what)
    with pytest.raises(FrameError):
        PluginHeader(1 << 32, 0, b"")


@provokes(PluginNotRegistered, LookupError)
def test_plugin_not_registered(live: PluginSystem) -> None:
    """An id that nobody has is refused; a REQUIRED frame carries the CLOSE that its peer is owed."""
    for error in refusals(live, DATA, header(2)):
        check(error, PluginNotRegistered, "plugin 2 is not registered", plugin_id=2, close=None)
    close = bytes.fromhex("000700000002")
    text = "plugin 2 is not registered; the frame was REQUIRED, so the peer is owed CLOSE 000700000002"
    for error in refusals(live, DATA, header(2, flags=1)):
        check(error, PluginNotRegistered, text, plugin_id=2, close=close)
    for ask in (live.plugin_stats, live.plugin_info, live.unload, live.pause, live.resume):
        with pytest.raises(PluginNotRegistered) as caught:
            ask(2)
        check(caught.value, PluginNotRegistered, "plugin 2 is not registered", plugin_id=2)
    for change in (live.grant, live.revoke):
        with pytest.raises(PluginNotRegistered):
            change(2, "control")


@provokes(PluginNotLoaded, LookupError)
def test_plugin_not_loaded(
    live: PluginSystem, fault: Callable[..., Path], plugin_id: int, wait_event: Callable[..., Any]
) -> None:
    """What asks a registered plugin for something that its state does not allow says which state it is."""
    live.load(fault("plugin_that_exits_cleanly", '[restart]\npolicy = "temporary"\n', plugin_id))
    with live.subscribe() as events:
        live.dispatch(DATA, header(plugin_id, b"crash"))
        wait_event(events, "failed", plugin_id)
    with pytest.raises(PluginNotLoaded) as caught:
        live.pause(plugin_id)
    text = (
        f"plugin {plugin_id} has failed: its state is 'failed'; reset it first, or unload it and load another version"
    )
    check(caught.value, PluginNotLoaded, text, plugin_id=plugin_id, state="failed")


@provokes(PluginNotLoaded, LookupError)
def test_plugin_not_ready(live: PluginSystem, plugin_id: int) -> None:
    """Of one that is loaded, the error does not say the contrary, but what is in the way and what to do."""
    live.load("builtin:echo", plugin_id=plugin_id)
    live.pause(plugin_id)
    with pytest.raises(PluginNotLoaded) as caught:
        live.scale(plugin_id, 2)
    text = f"plugin {plugin_id} is paused: its state has to be 'ready' for that; resume it first"
    check(caught.value, PluginNotLoaded, text, plugin_id=plugin_id, state="paused")
    live.resume(plugin_id)


@provokes(PermissionDenied, PermissionError)
def test_permission_denied(live: PluginSystem) -> None:
    """A frame whose permission the plugin lacks is refused; the error names both."""
    text = "plugin 1003 has no permission 'control', which frame type 0x53 needs"
    for error in refusals(live, CONTROL, header(1003)):
        check(error, PermissionDenied, text, plugin_id=1003, permission="control", frame_type=CONTROL)


@provokes(SandboxViolation, PermissionError)
def test_sandbox_violation(live: PluginSystem) -> None:
    """A control frame that asks for what the policy does not allow is refused; the error holds the request."""
    request = "SBX:OPEN /etc/passwd"
    for error in refusals(live, CONTROL, header(1002, request.encode())):
        assert isinstance(error, SandboxViolation)
        assert "/etc/passwd" in error.reason
        text = f"plugin 1002: {request!r} denied by policy: {error.reason}"
        check(error, SandboxViolation, text, plugin_id=1002, request=request)


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_a_header_that_can_change_while_it_waits(kind: Callable[[bytes], Any], live: PluginSystem) -> None:
    """What was checked has to be what is sent: such a one is refused, with what to pass."""
    for error in refusals(live, DATA, kind(header(1002, b"x"))):
        what = f"bytes or a PluginHeader expected, got {kind.__name__}: pass bytes(header)"
        check(error, FrameError, f"malformed frame at byte 0: {what}", what=what)


class Boastful(bytes):
    """Says that it is longer than it is."""

    def __len__(self) -> int:
        return 1000


def test_a_header_that_tells_lies(live: PluginSystem) -> None:
    """Of bytes counts what they are, and the frames behind them are whole."""
    raw = Boastful(header(1002, b"x"))
    receipts = [live.dispatch_nowait(DATA, raw), *live.dispatch_many([(DATA, raw), (DATA, header(1002, b"x"))])]
    assert [receipt.outcome(30.0).reply for receipt in receipts if isinstance(receipt, Receipt)] == [b"x"] * 3


@provokes(HandshakeRequired, ConnectionError)
def test_handshake_required(live: PluginSystem, plugin_id: int) -> None:
    """Data for a plugin that wants to be greeted first is refused."""
    live.load("builtin:echo", plugin_id=plugin_id, require_handshake=True)
    text = (
        f"plugin {plugin_id} takes frames of type 0x52 only after a handshake: send one (0x51), and go on once it is"
        " processed"
    )
    for error in refusals(live, DATA, header(plugin_id)):
        check(error, HandshakeRequired, text, plugin_id=plugin_id, frame_type=DATA)


@provokes(HandshakeRefused, ConnectionError)
def test_handshake_refused(live: PluginSystem, plugin_id: int) -> None:
    """A greeting that comes to nothing is refused; the error carries the CLOSE."""
    live.load("builtin:echo", plugin_id=plugin_id, require_handshake=True)
    close = b"\0\7" + plugin_id.to_bytes(4, "big")
    reason = "its data is no handshake: truncated: an item is due"
    text = f"plugin {plugin_id} refuses the handshake: {reason}; the peer is owed CLOSE {close.hex()}"
    for error in refusals(live, 0x51, header(plugin_id)):
        check(error, HandshakeRefused, text, plugin_id=plugin_id, reason=reason, close=close)
