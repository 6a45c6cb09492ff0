"""What a sink has received of a flood, in a file into which others look while the sink is busy."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

import attrs

_LAYOUT = struct.Struct("=3Q")


@attrs.frozen
class Received:
    """How many messages have come: different ones, those that had come before, those after one with a higher number."""

    different: int = 0
    doubled: int = 0
    late: int = 0

    @property
    def total(self) -> int:
        """All that have come, doubles too."""
        return self.different + self.doubled


class Tally:
    """Counts numbered messages; ``messages`` is how many there will be, numbered from 0."""

    def __init__(self, path: Path, messages: int) -> None:
        path.write_bytes(bytes(_LAYOUT.size))
        with path.open("r+b") as file:
            self._shown = mmap.mmap(file.fileno(), _LAYOUT.size)
        self._seen = bytearray(messages)
        self._highest = -1
        self._counts = [0, 0, 0]

    def add(self, number: int) -> None:
        """Count one message, and show it in the file."""
        self._counts[self._seen[number]] += 1
        self._counts[2] += number < self._highest
        self._seen[number] = 1
        self._highest = max(self._highest, number)
        _LAYOUT.pack_into(self._shown, 0, *self._counts)


def look(path: Path) -> Received:
    """Read what has been counted so far: nothing where there is no file yet."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return Received()
    return Received(*_LAYOUT.unpack(data)) if data else Received()
