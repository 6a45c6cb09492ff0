"""Keeps 4 MiB more with each data frame, which it echoes."""

from __future__ import annotations

from nyx_plugins.plugins import Frame, Plugin


class Fault(Plugin):
    """Leaks, a little at a time."""

    def __init__(self) -> None:
        self.kept: list[bytearray] = []

    def on_data(self, frame: Frame) -> bytes:
        """Echo, and let go of nothing."""
        self.kept.append(bytearray(b"x") * (4 << 20))
        return frame.data
