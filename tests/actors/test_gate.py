"""Frames that look like others that have passed, and batches of them."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins.actors import gate as module
from nyx_plugins.actors.admission import admit, admit_all
from nyx_plugins.actors.frame_rules import FrameRules
from nyx_plugins.actors.frames import Frames
from nyx_plugins.actors.gate import Gate
from nyx_plugins.actors.messages import Route
from nyx_plugins.config.errors import NyxPluginError
from nyx_plugins.plugins import PluginHeader
from nyx_plugins.plugins.errors import FrameError, PermissionDenied, PluginNotLoaded, SandboxViolation
from nyx_plugins.plugins.policy import Policy

ALL = frozenset({"handshake", "data_access", "control", "error_reporting", "inter_plugin"})
ROUTE = Route(7, "p", "1.0", "ready", ALL, Policy(), 4, 1 << 20, 1)
WIDE = attrs.evolve(ROUTE, plugin_id=70_000)
RULES = FrameRules()
HEADERS = st.builds(
    lambda plugin_id, flags, data, end: PluginHeader(plugin_id, flags, data).encode() + end,
    st.sampled_from([7, 8, 70_000]),
    st.sampled_from([0, 1, 200]),
    st.sampled_from([b"", b"a", b"b", b"SBX:CONNECT no.example:1", bytes(30)]),
    st.sampled_from([b"", b"", b"", b"\0"]),
)
KINDS = st.sampled_from([0x51, 0x52, 0x53, 0x54, 0x55])


def _verdict(gate: Gate | None, routes: dict[int, Route], kind: int, header: bytes) -> object:
    try:
        if gate is not None:
            return gate.admit(kind, header)
        return admit(routes, kind, header, RULES, ())
    except NyxPluginError as error:
        return type(error), str(error)


@given(frames=st.lists(st.tuples(KINDS, HEADERS), max_size=20), more=st.booleans())
def test_a_gate_says_what_the_checks_say(frames: list[tuple[int, bytes]], more: bool) -> None:
    """Whatever has passed before: it may remember, and must not let pass what it has not checked."""
    routes = {7: ROUTE, 70_000: attrs.evolve(WIDE, permissions=ALL if more else frozenset({"control"}))}
    gate = Gate(routes, RULES)
    for kind, header in frames:
        assert _verdict(gate, routes, kind, header) == _verdict(None, routes, kind, header)


def test_changed_routes_are_looked_at_again() -> None:
    """What has passed does not pass any more once its permission is gone."""
    routes, header = {7: ROUTE}, PluginHeader(7, 0, b"x").encode()
    gate = Gate(routes, RULES)
    assert gate.admit(0x52, header) == gate.admit(0x52, PluginHeader(7, 0, b"y").encode())
    routes[7] = attrs.evolve(ROUTE, permissions=frozenset())
    gate.changed()
    with pytest.raises(PermissionDenied):
        gate.admit(0x52, header)


def test_only_so_many_looks_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sender of ever other lengths does not make its process grow; what is no header at all is refused as ever."""
    monkeypatch.setattr(module, "MOST_LOOKS", 3)
    gate = Gate({7: ROUTE}, RULES)
    for length in range(10):
        gate.admit(0x52, PluginHeader(7, 0, bytes(length)).encode())
        assert len(gate._passed) <= 3
    with pytest.raises(FrameError):
        gate.admit(0x52, "no bytes")  # type: ignore[arg-type]


def _frames(*frames: tuple[int, bytes]) -> Frames:
    rows = [(kind, PluginHeader(7, 0, data).encode(), len(data)) for kind, data in frames]
    return Frames.of([(seq, *row) for seq, row in enumerate(rows, 1)])


PLAIN = _frames((0x52, b"a"), (0x54, b"b"))


@pytest.mark.parametrize(
    ("route", "frames", "sender", "errors"),
    [
        (ROUTE, PLAIN, None, {}),
        (ROUTE, PLAIN, 7, {}),
        (ROUTE, PLAIN, 8, {1: PermissionDenied, 2: PermissionDenied}),
        (attrs.evolve(ROUTE, permissions=frozenset({"data_access"})), PLAIN, None, {2: PermissionDenied}),
        (attrs.evolve(ROUTE, state="starting"), PLAIN, None, {1: PluginNotLoaded, 2: PluginNotLoaded}),
        (ROUTE, _frames((0x53, b"SBX:CONNECT no.example:1"), (0x53, b"x")), None, {1: SandboxViolation}),
    ],
)
def test_a_batch_passes_as_its_frames_would(
    route: Route, frames: Frames, sender: int | None, errors: dict[int, type[Exception]]
) -> None:
    """Those that pass go on as they came; each other one has its error."""
    passed, rejected = admit_all({7: route}, 7, frames, RULES, sender)
    assert {seq: type(error) for seq, error in rejected} == errors
    assert passed == [frame for frame in frames if frame[0] not in errors]
    assert (passed is frames) == (not errors)
