"""Raises in ``on_load``."""

from __future__ import annotations

from nyx_plugins.plugins import Context, Plugin


class Fault(Plugin):
    """Refuses to start."""

    def on_load(self, ctx: Context) -> None:
        """Raise."""
        raise RuntimeError("the tables are missing")
