"""Errors about frames: what no plugin gets, and what a handshake has to precede."""

from __future__ import annotations

from ...config.errors import NyxPluginError
from .close import unsupported


class InvalidFrameType(NyxPluginError, ValueError):
    """The frame type is no plugin frame: neither 0x51 to 0x54 nor one that the configuration names (``[frame_types]``).

    Send another type, or configure this one (0x50 and 0x55 to 0x5F can be).
    """

    def __init__(self, frame_type: object) -> None:
        self.frame_type = frame_type
        is_number = isinstance(frame_type, int) and not isinstance(frame_type, bool)
        shown = f"0x{frame_type:02x}" if is_number else f"({type(frame_type).__name__}, not int)"
        super().__init__(
            f"frame type {shown} is not a plugin frame: expected 0x51 to 0x54, or one that the configuration names"
        )


class FrameError(NyxPluginError, ValueError):
    """Bytes are no valid frame: ``what`` is wrong at byte ``offset``. The sender must mend its encoder."""

    def __init__(self, what: str, offset: int = 0) -> None:
        self.what = what
        self.offset = offset
        super().__init__(f"malformed frame at byte {offset}: {what}")


class HandshakeRequired(NyxPluginError, ConnectionError):
    """The plugin takes frames of this type only after a handshake of the same sender that it has processed.

    Send a handshake frame (0x51) first and wait for its outcome (``confirm="processed"``).
    """

    def __init__(self, plugin_id: int, frame_type: int) -> None:
        self.plugin_id = plugin_id
        self.frame_type = frame_type
        super().__init__(
            f"plugin {plugin_id} takes frames of type 0x{frame_type:02x} only after a handshake: send one (0x51), and"
            " go on once it is processed"
        )


class HandshakeRefused(NyxPluginError, ConnectionError):
    """A handshake does not come to terms with the plugin (``reason``). Offer what it understands.

    ``close`` is the payload of the CLOSE (0x07, unsupported capability) that the peer is owed.
    """

    def __init__(self, plugin_id: int, reason: str) -> None:
        self.plugin_id = plugin_id
        self.reason = reason
        self.close: bytes = unsupported(plugin_id)
        super().__init__(
            f"plugin {plugin_id} refuses the handshake: {reason}; the peer is owed CLOSE {self.close.hex()}"
        )
