"""The plugin of the swap measurement: it counts frames that come in order, and those that do not."""

from __future__ import annotations

from typing import Any

from nyx_plugins.plugins import Frame, Plugin


class Counting(Plugin):
    """Each data frame holds its number, from 1 on; the reply to a control frame tells the state."""

    def __init__(self) -> None:
        self.last = self.out_of_order = 0

    def on_data(self, frame: Frame) -> None:
        """Count one."""
        number = int.from_bytes(frame.data, "big")
        self.out_of_order += number != self.last + 1
        self.last = number

    def on_control(self, frame: Frame) -> bytes:
        """Tell."""
        return b"%d %d" % (self.last, self.out_of_order)

    def snapshot(self) -> list[int]:
        """Hand the count over."""
        return [self.last, self.out_of_order]

    def restore(self, state: Any, version: int) -> None:
        """Go on counting."""
        self.last, self.out_of_order = state
