"""The checks that a frame passes before it is accepted: one function, used by sessions and by the dispatcher.

The order is the wire format's: frame type, header, registered, loaded, permission, control preflight. Room comes last
and is the business of credit and mailbox.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ..plugins.access import check_control
from ..plugins.errors import (
    InvalidFrameType,
    PermissionDenied,
    PluginFailed,
    PluginNotLoaded,
    PluginNotRegistered,
    PluginQuarantined,
    SandboxViolation,
)
from ..plugins.header import split_header
from ..plugins.permissions import PERMISSION_OF_FRAME_TYPE
from .messages import Route

CONTROL = 0x53
REQUIRED = 0x01

AT_REST = "registered"
"""State of a plugin that is known from an earlier run and not loaded in this one."""

ACCEPTING = frozenset({"ready", "paused", "restarting"})
"""States in which a plugin's mailbox takes frames."""


class Admitted(NamedTuple):
    """What is known of a frame that passed: its route, and the length of its ``data`` in bytes."""

    route: Route
    data_length: int


def admit(routes: Mapping[int, Route], frame_type: int, header: bytes, max_header_bytes: int) -> Admitted:
    """Check one frame against the routes; raises the error of the first check that fails."""
    permission = PERMISSION_OF_FRAME_TYPE.get(frame_type)
    if permission is None:
        raise InvalidFrameType(frame_type)
    plugin_id, flags, data = split_header(header, max_header_bytes)
    route = routes.get(plugin_id)
    if route is None:
        raise PluginNotRegistered(plugin_id, required=bool(flags & REQUIRED))
    if route.state not in ACCEPTING:
        raise _not_accepting(route)
    if permission not in route.permissions:
        raise PermissionDenied(plugin_id, permission, frame_type)
    if frame_type == CONTROL:
        _preflight(route, data)
    return Admitted(route, len(data))


def _preflight(route: Route, data: bytes) -> None:
    reason = check_control(route.policy, data)
    if reason is not None:
        raise SandboxViolation(route.plugin_id, data[:200].decode("utf-8", "replace"), reason)


def _not_accepting(route: Route) -> Exception:
    if route.state == "quarantined":
        return PluginQuarantined(route.plugin_id, "its worker has broken its bounds too often")
    if route.state == "failed":
        return PluginFailed(route.plugin_id, "it was given up after too many failures", "dispatch")
    return PluginNotLoaded(route.plugin_id, route.state)
