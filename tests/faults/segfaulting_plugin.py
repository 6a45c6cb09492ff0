"""Reads from address 0 on the data frame ``crash``; any other frame is echoed."""

from __future__ import annotations

import ctypes

from nyx_plugins.plugins import Frame, Plugin


class Fault(Plugin):
    """Is ended by the kernel in a handler."""

    def on_data(self, frame: Frame) -> bytes:
        """Echo, or crash the interpreter."""
        return ctypes.string_at(0) if frame.data == b"crash" else frame.data
