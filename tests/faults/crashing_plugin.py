"""Exits at once, without a word, on the data frame ``crash``; any other frame is echoed."""

from __future__ import annotations

import os

from nyx_plugins.plugins import Frame, Plugin


class Fault(Plugin):
    """Dies in a handler."""

    def on_data(self, frame: Frame) -> bytes:
        """Echo, or die."""
        if frame.data == b"crash":
            os._exit(13)
        return frame.data
