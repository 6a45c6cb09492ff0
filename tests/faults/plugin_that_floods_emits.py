"""Emits as many numbered frames as its data frame says (a decimal number), then replies ``done``."""

from __future__ import annotations

from nyx_plugins.plugins import Frame, Plugin


class Fault(Plugin):
    """Emits more than anybody can take."""

    def on_data(self, frame: Frame) -> bytes:
        """Flood."""
        for number in range(int(frame.data)):
            self.ctx.emit(b"%d" % number)
        return b"done"
