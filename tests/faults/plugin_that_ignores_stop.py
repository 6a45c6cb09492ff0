"""Blocks every signal and never returns from ``on_unload``, in which it burns CPU; echoes data frames."""

from __future__ import annotations

import signal

from nyx_plugins.plugins import Context, Frame, Plugin


class Fault(Plugin):
    """Has to be killed."""

    def on_load(self, ctx: Context) -> None:
        """Listen to nobody."""
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())

    def on_data(self, frame: Frame) -> bytes:
        """Echo."""
        return frame.data

    def on_unload(self) -> None:
        """Go on."""
        while True:
            pass
