"""The checks that a frame passes before it is accepted: one function, used by sessions and by the dispatcher.

The order is the wire format's: frame type, header, registered, loaded, permission, handshake, control preflight. Room
comes last and is the business of credit and mailbox.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import NamedTuple, TypeAlias

from ..config.errors import NyxPluginError
from ..plugins.access import check_control
from ..plugins.errors import (
    FrameError,
    HandshakeRefused,
    HandshakeRequired,
    InvalidFrameType,
    PermissionDenied,
    PluginFailed,
    PluginNotLoaded,
    PluginNotRegistered,
    PluginQuarantined,
    SandboxViolation,
    SystemStopped,
)
from ..plugins.header import split_header
from ..plugins.negotiation import Agreement, Disagreement, negotiate
from ..plugins.permissions import INTER_PLUGIN
from .frame_rules import FrameRules
from .frames import Frames, NewFrame
from .messages import Route

HANDSHAKE, CONTROL, ERROR = 0x51, 0x53, 0x54
REQUIRED = 0x01

AT_REST = "registered"
"""State of a plugin that is known from an earlier run and not loaded in this one."""

ACCEPTING = frozenset({"ready", "paused", "restarting"})
"""States in which a plugin's mailbox takes frames."""

STOPPING = "it is stopping"
"""Why a system that stops takes no more frames, while it finishes those that it has."""

Rejection: TypeAlias = tuple[int, BaseException]
"""The number of a frame, and why it is refused."""


class Admitted(NamedTuple):
    """What is known of a frame that passed."""

    route: Route
    data_length: int
    """Of its ``data``, in bytes."""
    agreement: Agreement | None = None
    """What a handshake comes to."""


def admit(
    routes: Mapping[int, Route], frame_type: int, header: bytes, rules: FrameRules, introduced: Container[int] | None
) -> Admitted:
    """Check one frame against the routes; raises the error of the first check that fails.

    ``introduced`` holds the plugins that its sender has come to terms with; ``None`` where that was checked before.
    """
    permission = rules.permission(frame_type)
    if permission is None:
        raise InvalidFrameType(frame_type)
    if header.__class__ is not bytes:
        raise FrameError(_not_bytes(header))
    plugin_id, flags, data = split_header(header, rules.max_header_bytes)
    route = routes.get(plugin_id)
    if route is None:
        raise PluginNotRegistered(plugin_id, required=bool(flags & REQUIRED))
    if route.state not in ACCEPTING:
        raise _not_accepting(route)
    if permission not in route.permissions:
        raise PermissionDenied(plugin_id, permission, frame_type)
    agreement = None if route.handshake is None else _introduction(route, frame_type, data, introduced)
    if frame_type == CONTROL:
        _preflight(route, data)
    return Admitted(route, len(data), agreement)


def _not_bytes(header: object) -> str:
    """Why a header is refused: what its sender can still change might be another by the time at which it is sent."""
    advice = ": pass bytes(header)" if isinstance(header, (bytearray, memoryview)) else ""
    return f"bytes or a PluginHeader expected, got {type(header).__name__}{advice}"


def _introduction(route: Route, frame_type: int, data: bytes, introduced: Container[int] | None) -> Agreement | None:
    """What a handshake comes to; other frames need that there was one."""
    assert route.handshake is not None
    if frame_type == HANDSHAKE:
        agreement = negotiate(route.handshake, data, len(data))
        if isinstance(agreement, Disagreement):
            raise HandshakeRefused(route.plugin_id, agreement.reason)
        return agreement
    if frame_type != ERROR and introduced is not None and route.plugin_id not in introduced:
        raise HandshakeRequired(route.plugin_id, frame_type)
    return None


def check_sender(routes: Mapping[int, Route], plugin_id: int, frame_type: int) -> None:
    """Raise :class:`PermissionDenied` if this plugin may not send frames to other plugins, or nobody knows of it."""
    if not may_send(routes, plugin_id):
        raise PermissionDenied(plugin_id, INTER_PLUGIN, frame_type)


def may_send(routes: Mapping[int, Route], plugin_id: int) -> bool:
    """Whether this plugin may send frames to other plugins."""
    route = routes.get(plugin_id)
    return route is not None and INTER_PLUGIN in route.permissions


def admit_all(
    routes: Mapping[int, Route], plugin_id: int, frames: Frames, rules: FrameRules, sender: int | None = None
) -> tuple[Frames, list[Rejection]]:
    """Check frames of a session for one plugin: those that pass, and all others.

    ``sender`` is the plugin that has sent them, if one has. Their session has checked each header: only where what is
    in it matters, it is looked at again.
    """
    if _all_pass(routes, plugin_id, frames, rules, sender):
        return frames, []
    passed: list[NewFrame] = []
    rejected: list[Rejection] = []
    for seq, frame_type, header, _ in frames:
        try:
            if sender is not None:
                check_sender(routes, sender, frame_type)
            admitted = admit(routes, frame_type, header, rules, None)
        except NyxPluginError as error:
            rejected.append((seq, error))
        else:
            passed.append((seq, frame_type, header, admitted.data_length))
    return Frames.of(passed), rejected


def _all_pass(
    routes: Mapping[int, Route], plugin_id: int, frames: Frames, rules: FrameRules, sender: int | None
) -> bool:
    """Whether nothing is against any of these, as far as their types tell."""
    route = routes.get(plugin_id)
    if route is None or route.state not in ACCEPTING or not (sender is None or may_send(routes, sender)):
        return False
    types = set(frames.types)
    looked_into = {CONTROL} if route.handshake is None else {CONTROL, HANDSHAKE}
    return types.isdisjoint(looked_into) and all(rules.permissions.get(kind) in route.permissions for kind in types)


def _preflight(route: Route, data: bytes) -> None:
    reason = check_control(route.policy, data)
    if reason is not None:
        raise SandboxViolation(route.plugin_id, data[:200].decode("utf-8", "replace"), reason)


def _not_accepting(route: Route) -> Exception:
    if route.stopping:
        return SystemStopped(STOPPING)
    if route.state == "quarantined":
        return PluginQuarantined(route.plugin_id, "its worker has broken its bounds too often")
    if route.state == "failed":
        return PluginFailed(route.plugin_id, "it was given up after too many failures", "dispatch")
    return PluginNotLoaded(route.plugin_id, route.state)
