"""Logs as many lines as its data frame says (a decimal number), then replies ``done``."""

from __future__ import annotations

from nyx_plugins.plugins import Frame, Plugin


class Fault(Plugin):
    """Logs more than anybody can read."""

    def on_data(self, frame: Frame) -> bytes:
        """Flood."""
        for number in range(int(frame.data)):
            self.ctx.logger.info("flood %d", number)
        return b"done"
