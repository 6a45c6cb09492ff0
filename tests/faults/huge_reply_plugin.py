"""Replies with as many bytes as its data frame says (a decimal number)."""

from __future__ import annotations

from nyx_plugins.plugins import Frame, Plugin


class Fault(Plugin):
    """Replies at length."""

    def on_data(self, frame: Frame) -> bytes:
        """Reply."""
        return bytes(int(frame.data))
