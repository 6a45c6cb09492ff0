"""Exits at once, without a word, in its n-th data frame; its configuration says ``n``. All before it are echoed."""

from __future__ import annotations

import os

from nyx_plugins.plugins import Context, Frame, Plugin


class Fault(Plugin):
    """Lasts for a while."""

    def on_load(self, ctx: Context) -> None:
        """Start counting."""
        self.left = ctx.config["n"]

    def on_data(self, frame: Frame) -> bytes:
        """Echo, or die."""
        self.left -= 1
        if self.left == 0:
            os._exit(13)
        return frame.data
