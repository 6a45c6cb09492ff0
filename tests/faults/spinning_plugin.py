"""Never returns from the data frame ``crash``, and burns CPU meanwhile; any other frame is echoed."""

from __future__ import annotations

from nyx_plugins.plugins import Frame, Plugin


class Fault(Plugin):
    """Exceeds any wall time; logs ``spinning`` first."""

    def on_data(self, frame: Frame) -> bytes:
        """Echo, or spin."""
        if frame.data == b"crash":
            self.ctx.logger.info("spinning")
            while True:
                pass
        return frame.data
