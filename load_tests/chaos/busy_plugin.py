"""The plugin of the chaos run: it writes down each frame before and after it handles it, and does what the frame says.

A worker loads a copy of this file; the run imports it for the formats of frames and records.
"""

from __future__ import annotations

import os
import struct
import time
from typing import Any

from nyx_plugins.plugins import Context, Frame, Plugin

# What a frame holds: client, number, key, class and wish. Clients count their frames for each plugin from 1 on.
PAYLOAD = struct.Struct("<IQIBB")
# What a worker writes down: kind, class, client, number, key, and when (monotonic nanoseconds).
RECORD = struct.Struct("<BBIQIQ")
BEGUN, ENDED = 1, 2
FINE, RAISE, DIE, DAWDLE = 0, 1, 2, 3
DAWDLE_S = 0.004


class Busy(Plugin):
    """Has a file of its own, which nobody else writes, for each worker."""

    def on_load(self, ctx: Context) -> None:
        """Begin a new file, named by plugin, time and process."""
        name = f"{ctx.plugin_id}-{time.monotonic_ns()}-{os.getpid()}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
        self.file = os.open(os.path.join(ctx.config["records"], name), flags, 0o600)
        self.handled = 0

    def on_data(self, frame: Frame) -> bytes:
        """Handle a frame, between two records; the reply is its number."""
        client, number, key, rank, wish = PAYLOAD.unpack(frame.data[: PAYLOAD.size])
        os.write(self.file, RECORD.pack(BEGUN, rank, client, number, key, time.monotonic_ns()))
        if wish == DIE:
            os._exit(13)
        if wish == DAWDLE:
            time.sleep(DAWDLE_S)
        self.handled += 1
        os.write(self.file, RECORD.pack(ENDED, rank, client, number, key, time.monotonic_ns()))
        if wish == RAISE:
            raise ValueError("as told")
        return b"%d" % number

    on_control = on_data

    def snapshot(self) -> int:
        """Hand over how many frames there were."""
        return self.handled

    def restore(self, state: Any, version: int) -> None:
        """Go on counting."""
        self.handled = state
