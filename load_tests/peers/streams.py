"""Peers that hand messages over without an answer: how often the receiver acknowledges is left to the user."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from .futures import rotation
from .work import Receiver, frames, half, one_at_a_time, windowed


class StreamPeer:
    """A sender that says after how many messages it wants to be told."""

    def start(self, directory: Path) -> None:
        """Start the receiver."""
        raise NotImplementedError

    def send(self, message: Any) -> None:
        """Hand over one message: frames as bytes or a list, or the number of messages for an acknowledgement."""
        raise NotImplementedError

    def acknowledged(self) -> int:
        """Wait for what the receiver says: how many frames it has decoded."""
        raise NotImplementedError

    def call(self, count: int) -> list[float]:
        """Send frames one at a time."""
        self.send(1)
        [frame] = frames(1)

        def once() -> None:
            self.send(frame)
            self.acknowledged()

        return one_at_a_time(once, count)

    def pipeline(self, count: int, window: int) -> float:
        """Send one frame for each message."""
        return self._stream(frames(min(count, 1000)), count, window)

    def batch(self, count: int, size: int, window: int) -> float:
        """Send lists."""
        return self._stream([frames(size)], count, window)

    def processed(self) -> int:
        """Ask the receiver."""
        self.send(1)
        self.send([])
        return self.acknowledged()

    def _stream(self, messages: list[Any], count: int, window: int) -> float:
        at_once, turn = half(window), rotation(messages)

        def acknowledged() -> int:
            self.acknowledged()
            return at_once

        self.send(at_once)
        return windowed(lambda: self.send(turn()), acknowledged, count, window)


def receive(get: Any, put: Any) -> None:
    """Take messages until the end of the process, which comes with that of its parent; the receiver's whole life."""
    receiver, at_once, taken = Receiver(), 1, 0
    parent = os.getppid()
    while os.getppid() == parent:
        message = get()
        if isinstance(message, int):
            at_once, taken = message, 0
            continue
        count, taken = receiver.take(message), taken + 1
        if taken == at_once:
            put(count)
            taken = 0
