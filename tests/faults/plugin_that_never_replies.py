"""Never returns from the data frame ``crash``, and uses no CPU meanwhile; any other frame is echoed."""

from __future__ import annotations

import threading

from nyx_plugins.plugins import Frame, Plugin


class Fault(Plugin):
    """Waits for what does not come."""

    def on_data(self, frame: Frame) -> bytes:
        """Echo, or wait."""
        if frame.data == b"crash":
            threading.Event().wait()
        return frame.data
