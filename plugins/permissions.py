"""The permissions that a plugin can hold, and the one that each frame type needs."""

from __future__ import annotations

from collections.abc import Mapping

from ..config.frame_types import FrameTypeSettings

HANDSHAKE = "handshake"
DATA_ACCESS = "data_access"
CONTROL = "control"
ERROR_REPORTING = "error_reporting"
INTER_PLUGIN = "inter_plugin"

ALL_PERMISSIONS = frozenset({HANDSHAKE, DATA_ACCESS, CONTROL, ERROR_REPORTING, INTER_PLUGIN})

PERMISSION_OF_FRAME_TYPE: Mapping[int, str] = {0x51: HANDSHAKE, 0x52: DATA_ACCESS, 0x53: CONTROL, 0x54: ERROR_REPORTING}
"""What the protocol itself has."""


def permission_table(own: Mapping[str, FrameTypeSettings]) -> dict[int, str]:
    """The permission of every frame type of a system, which may have types of its ``own``."""
    return {**PERMISSION_OF_FRAME_TYPE, **{item.type: item.permission for item in own.values()}}


def known_permissions(own: Mapping[str, FrameTypeSettings]) -> frozenset[str]:
    """Every permission that a system knows."""
    return ALL_PERMISSIONS.union(item.permission for item in own.values())
