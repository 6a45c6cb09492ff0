"""The types of plugin frames. Plugins import this, in workers as well, so it needs the standard library only."""

from __future__ import annotations

import enum


class FrameType(enum.IntEnum):
    """The frame types that have a handler; 0x50 and 0x55 to 0x5F are reserved."""

    HANDSHAKE = 0x51
    DATA = 0x52
    CONTROL = 0x53
    ERROR = 0x54
