"""Exits without a word in ``on_unload``; echoes data frames."""

from __future__ import annotations

import os

from nyx_plugins.plugins import Frame, Plugin


class Fault(Plugin):
    """Goes without a word."""

    def on_data(self, frame: Frame) -> bytes:
        """Echo."""
        return frame.data

    def on_unload(self) -> None:
        """Exit with code 13."""
        os._exit(13)
