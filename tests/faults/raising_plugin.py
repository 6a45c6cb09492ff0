"""Raises on the data frame ``raise``; any other frame is echoed."""

from __future__ import annotations

from nyx_plugins.plugins import Frame, Plugin


class Fault(Plugin):
    """Raises in a handler."""

    def on_data(self, frame: Frame) -> bytes:
        """Echo, or raise."""
        if frame.data == b"raise":
            raise ValueError("this frame is not to my taste")
        return frame.data
