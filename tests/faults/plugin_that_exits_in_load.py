"""Exits without a word in ``on_load``."""

from __future__ import annotations

import os

from nyx_plugins.plugins import Context, Plugin


class Fault(Plugin):
    """Is gone before it is ready."""

    def on_load(self, ctx: Context) -> None:
        """Exit with code 7."""
        os._exit(7)
