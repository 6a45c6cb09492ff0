"""Peers whose calls give a future each."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any, TypeVar

from .work import frames, half, one_at_a_time, windowed

Message = TypeVar("Message")


class FuturesPeer:
    """A sender that keeps the futures of what is not acknowledged, and waits for the older half of them."""

    def start(self, directory: Path) -> None:
        """Start the receiver."""
        raise NotImplementedError

    def submit(self, message: bytes | list[bytes]) -> Any:
        """Send one message; return its future."""
        raise NotImplementedError

    def wait(self, futures: Sequence[Any]) -> None:
        """Wait until these are done; raises what one of them has raised."""
        for future in futures:
            future.result()

    def call(self, count: int) -> list[float]:
        """Send frames one at a time."""
        [frame] = frames(1)
        return one_at_a_time(lambda: self.wait([self.submit(frame)]), count)

    def pipeline(self, count: int, window: int) -> float:
        """Send one frame for each call."""
        return self._stream(frames(min(count, 1000)), count, window)

    def batch(self, count: int, size: int, window: int) -> float:
        """Send lists."""
        return self._stream([frames(size)], count, window)

    def _stream(self, messages: Sequence[bytes | list[bytes]], count: int, window: int) -> float:
        pending, turn = deque[Any](), rotation(messages)

        def acknowledged() -> int:
            oldest = [pending.popleft() for _ in range(min(half(window), len(pending)))]
            self.wait(oldest)
            return len(oldest)

        return windowed(lambda: pending.append(self.submit(turn())), acknowledged, count, window)


def rotation(messages: Sequence[Message]) -> Callable[[], Message]:
    """Return a function that gives these messages in turn."""
    return cycle(messages).__next__
