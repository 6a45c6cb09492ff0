"""Tells what it was given: the type and the data of each frame. A handshake that says ``no`` fails."""

from __future__ import annotations

from nyx_plugins.plugins import Frame, Plugin


class Fault(Plugin):
    """Replies to every frame, of whatever type."""

    def on_handshake(self, frame: Frame) -> bytes:
        """Agree, unless the name is ``no``."""
        if b"dname" in frame.data and frame.data.endswith(b"bno"):
            raise ValueError("not with you")
        return b"welcome"

    def on_data(self, frame: Frame) -> bytes:
        """Tell."""
        return self._told("data", frame)

    def on_control(self, frame: Frame) -> bytes:
        """Tell."""
        return self._told("control", frame)

    def on_error(self, frame: Frame) -> bytes:
        """Tell."""
        return self._told("error", frame)

    def on_frame(self, frame: Frame) -> bytes:
        """Tell."""
        return self._told("frame", frame)

    def _told(self, handler: str, frame: Frame) -> bytes:
        return b"%s 0x%02x " % (handler.encode(), frame.type) + frame.data
