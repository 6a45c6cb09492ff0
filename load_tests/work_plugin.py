"""The plugin of the load tests: it decodes a frame, takes the time that it is told to take, and replies if it is to.

A worker loads a copy of this file. Control frames, CBOR maps too, tell it to do something that a plugin should not.
"""

from __future__ import annotations

import time

import cbor2

from nyx_plugins.plugins import Context, Frame, Plugin

FLOOD_BYTES = 1024


class Work(Plugin):
    """Does as its configuration says."""

    def on_load(self, ctx: Context) -> None:
        """Read the configuration."""
        self.emit = ctx.emit
        self.decode = bool(ctx.config.get("decode", True))
        self.reply = bytes(ctx.config.get("reply_bytes", 0)) or None
        work_s = float(ctx.config.get("work_us", 0)) / 1e6
        self.sleep_s = work_s if ctx.config.get("work") == "sleep" else 0.0
        self.spin_s = work_s if ctx.config.get("work") == "spin" else 0.0

    def on_data(self, frame: Frame) -> bytes | None:
        """Do the work of one frame."""
        if self.decode:
            cbor2.loads(frame.data)
        if self.sleep_s:
            time.sleep(self.sleep_s)
        if self.spin_s:
            _spin(self.spin_s)
        return self.reply

    def on_control(self, frame: Frame) -> None:
        """Stall, spin or flood for some seconds."""
        order = cbor2.loads(frame.data)
        for_s = float(order["for_s"])
        match order["do"]:
            case "stall":
                time.sleep(for_s)
            case "spin":
                _spin(for_s)
            case "flood":
                self._flood(for_s)

    def _flood(self, for_s: float) -> None:
        end, data = time.monotonic() + for_s, bytes(FLOOD_BYTES)
        while time.monotonic() < end:
            self.emit(data)


def _spin(for_s: float) -> None:
    end = time.perf_counter() + for_s
    while time.perf_counter() < end:
        pass
