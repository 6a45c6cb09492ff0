"""Replies to every frame with its data."""

from __future__ import annotations

from nyx_plugins.plugins import Frame, Plugin


class Echo(Plugin):
    """Sends back what it gets, whatever the frame's type."""

    def on_handshake(self, frame: Frame) -> bytes:
        """Reply with the data."""
        return frame.data

    def on_data(self, frame: Frame) -> bytes:
        """Reply with the data."""
        return frame.data

    def on_control(self, frame: Frame) -> bytes:
        """Reply with the data."""
        return frame.data

    def on_error(self, frame: Frame) -> bytes:
        """Reply with the data."""
        return frame.data
