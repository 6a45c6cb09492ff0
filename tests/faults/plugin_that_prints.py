"""Writes each data frame to standard output (or, when it begins with ``!``, standard error) and replies nothing."""

from __future__ import annotations

import sys

from nyx_plugins.plugins import Frame, Plugin


class Fault(Plugin):
    """Prints, where it should log; the frame ``flood`` prints 8 MiB that hold no line end."""

    def on_data(self, frame: Frame) -> None:
        """Print."""
        if frame.data == b"flood":
            print("x" * (8 << 20), end="", flush=True)
            return
        print(frame.data.decode(), file=sys.stderr if frame.data.startswith(b"!") else sys.stdout)
