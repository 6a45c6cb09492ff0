"""Never returns from ``on_unload``; echoes data frames."""

from __future__ import annotations

import threading

from nyx_plugins.plugins import Frame, Plugin


class Fault(Plugin):
    """Does not want to go."""

    def on_data(self, frame: Frame) -> bytes:
        """Echo."""
        return frame.data

    def on_unload(self) -> None:
        """Hang."""
        threading.Event().wait()
