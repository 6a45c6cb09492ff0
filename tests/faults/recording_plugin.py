"""Writes down each frame before it is handled, with its type and the process; then does what it says, or echoes it."""

from __future__ import annotations

import os
from pathlib import Path

from nyx_plugins.plugins import Frame, Plugin


class Fault(Plugin):
    """``spin`` never returns, ``exit`` ends the worker, ``exit once`` does the first time."""

    def on_data(self, frame: Frame) -> bytes:
        """Note it, and do as told."""
        return self.handle(frame)

    def on_control(self, frame: Frame) -> bytes:
        """Likewise."""
        return self.handle(frame)

    def handle(self, frame: Frame) -> bytes:
        """Note a frame, and do as told."""
        with Path(self.ctx.config["journal"]).open("ab") as journal:
            journal.write(b"%d|%d|%s\n" % (os.getpid(), frame.type, frame.data))
        if frame.data == b"spin":
            self.ctx.logger.info("spinning")
            while True:
                pass
        if frame.data == b"exit" or (frame.data == b"exit once" and not self.is_second(frame.data)):
            os._exit(13)
        return frame.data

    def is_second(self, data: bytes) -> bool:
        """Whether this frame has been here before."""
        return Path(self.ctx.config["journal"]).read_bytes().count(b"|" + data + b"\n") > 1
