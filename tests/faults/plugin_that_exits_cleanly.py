"""Ends its process with exit code 0 on the data frame ``crash``; any other frame is echoed."""

from __future__ import annotations

import sys

from nyx_plugins.plugins import Frame, Plugin


class Fault(Plugin):
    """Takes its leave in a handler."""

    def on_data(self, frame: Frame) -> bytes:
        """Echo, or exit."""
        if frame.data == b"crash":
            sys.exit(0)
        return frame.data
