"""Runs each data frame as Python, and replies with what the code leaves in ``result``, as text."""

from __future__ import annotations

from nyx_plugins.plugins import Frame, Plugin


class Fault(Plugin):
    """Executes."""

    def on_data(self, frame: Frame) -> bytes:
        """Run one frame's code."""
        names = {"ctx": self.ctx, "result": ""}
        exec(frame.data, names)
        return str(names["result"]).encode()
