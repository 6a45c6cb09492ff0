"""Takes 256 MiB of memory on the data frame ``eat`` and keeps them; any other frame is echoed."""

from __future__ import annotations

from nyx_plugins.plugins import Frame, Plugin


class Fault(Plugin):
    """Leaks."""

    def on_data(self, frame: Frame) -> bytes:
        """Echo, or leak."""
        if frame.data == b"eat":
            self.eaten = bytearray(256 << 20)
        return frame.data
