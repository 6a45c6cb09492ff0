"""Does what the data frame says, good or bad: ``raise``, ``exit``, ``wait``, ``emit N``. Anything else is echoed."""

from __future__ import annotations

import os
from pathlib import Path

from nyx_plugins.plugins import Context, Frame, Plugin


class Fault(Plugin):
    """Waits for as long as nobody has opened and closed the pipe ``gate`` of its configuration."""

    def on_load(self, ctx: Context) -> None:
        """Start counting."""
        self.handshakes = 0

    def on_handshake(self, frame: Frame) -> bytes:
        """Reply with how many handshakes there were."""
        self.handshakes += 1
        return b"%d" % self.handshakes

    def on_data(self, frame: Frame) -> bytes:
        """Do as told."""
        word, _, rest = frame.data.partition(b" ")
        if word == b"raise":
            raise ValueError("as told")
        if word == b"exit":
            os._exit(13)
        if word == b"wait":
            Path(self.ctx.config["gate"]).read_bytes()
        if word == b"emit":
            for number in range(int(rest)):
                self.ctx.emit(b"%d" % number, frame_type=0x53, flags=7)
        return frame.data
