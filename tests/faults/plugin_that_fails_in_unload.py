"""Raises in ``on_unload``; echoes data frames."""

from __future__ import annotations

from nyx_plugins.plugins import Frame, Plugin


class Fault(Plugin):
    """Goes with a complaint."""

    def on_data(self, frame: Frame) -> bytes:
        """Echo."""
        return frame.data

    def on_unload(self) -> None:
        """Raise."""
        raise RuntimeError("the tables can't be put away")
