"""The permissions that a plugin can hold, and the one that each frame type needs."""

from __future__ import annotations

HANDSHAKE = "handshake"
DATA_ACCESS = "data_access"
CONTROL = "control"
ERROR_REPORTING = "error_reporting"
INTER_PLUGIN = "inter_plugin"

ALL_PERMISSIONS = frozenset({HANDSHAKE, DATA_ACCESS, CONTROL, ERROR_REPORTING, INTER_PLUGIN})

PERMISSION_OF_FRAME_TYPE = {0x51: HANDSHAKE, 0x52: DATA_ACCESS, 0x53: CONTROL, 0x54: ERROR_REPORTING}
