"""The work that all do: frames, a receiver, and a sender with a window."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import cbor2

from nyx_plugins.load_tests.payload import cbor_map

FRAME_BYTES = 200


def frames(count: int, size: int = FRAME_BYTES) -> list[bytes]:
    """Return CBOR maps that are objects of their own: a pickle holds a repeated object only once."""
    one = bytearray(cbor_map(size))
    return [bytes(one) for _ in range(count)]


class Receiver:
    """Decodes and counts frames."""

    def __init__(self) -> None:
        self.count = 0

    def take(self, message: bytes | Sequence[bytes]) -> int:
        """Take one frame or a list of them; return how many there have been."""
        many = (message,) if isinstance(message, bytes) else message
        for each in many:
            cbor2.loads(each)
        self.count += len(many)
        return self.count


def one_at_a_time(once: Callable[[], object], count: int) -> list[float]:
    """Do something again and again; return how long each took."""
    clock, times = time.perf_counter, list[float]()
    for _ in range(count):
        begun = clock()
        once()
        times.append(clock() - begun)
    return times


def windowed(send: Callable[[], object], acknowledged: Callable[[], int], count: int, window: int) -> float:
    """Send so many times with at most ``window`` not acknowledged; return the time until all are.

    ``acknowledged`` waits for the next acknowledgement and returns for how many messages it is.
    """
    begun, room = time.perf_counter(), window
    for _ in range(count):
        while room <= 0:
            room += acknowledged()
        send()
        room -= 1
    while room < window:
        room += acknowledged()
    return time.perf_counter() - begun


def half(window: int) -> int:
    """Return how many messages are acknowledged at once where that is left to the user."""
    return max(1, window // 2)
