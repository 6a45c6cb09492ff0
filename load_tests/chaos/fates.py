"""What is known of each frame, in a few bytes each: what its client was told, and what the workers did with it."""

from __future__ import annotations

from array import array
from collections.abc import Iterator

import attrs

from .busy_plugin import FINE
from .records import Line, Told

_MOST = 255


@attrs.frozen
class Fate:
    """One frame: the last that its client was told, and the workers' counts."""

    told: Told
    accepted: bool = False
    """Whether its client was told so, or how it ended."""
    cause: str = ""
    wish: int = FINE
    begun: int = 0
    ended: int = 0
    last: int = 0
    """In how many workers it was the last frame: only in those can it be suspect."""
    killed: bool = False
    """Whether its client was killed, and so may not have heard what became of it."""

    @property
    def untold(self) -> bool:
        """Whether its client never heard of an end."""
        return self.told <= Told.ACCEPTED


class Fates:
    """All frames of one client for one plugin, by their numbers from 1 on."""

    def __init__(self, killed: bool) -> None:
        self.killed = killed
        self._told, self._accepted, self._wish = bytearray(1), bytearray(1), bytearray(1)
        self._cause, self._causes = bytearray(1), [""]
        self._begun, self._ended, self._last = bytearray(1), bytearray(1), bytearray(1)
        self._offered_ns = array("Q", [0])

    def __len__(self) -> int:
        return len(self._told) - 1

    def __contains__(self, number: int) -> bool:
        return 0 < number < len(self._told)

    def __iter__(self) -> Iterator[tuple[int, Fate]]:
        for number in range(1, len(self._told)):
            yield number, self.fate(number)

    def fate(self, number: int) -> Fate:
        """Return what is known of one frame."""
        return Fate(
            Told(self._told[number]),
            bool(self._accepted[number]),
            self._causes[self._cause[number]],
            self._wish[number],
            self._begun[number],
            self._ended[number],
            self._last[number],
            self.killed,
        )

    def offered_ns(self, number: int) -> int:
        """Return when a frame was offered."""
        return self._offered_ns[number]

    def offer(self, line: Line) -> bool:
        """Add the next frame; whether its number is the next."""
        if line.number != len(self._told):
            return False
        for column in (self._accepted, self._cause, self._begun, self._ended, self._last):
            column.append(0)
        self._told.append(Told.OFFERED)
        self._wish.append(line.wish)
        self._offered_ns.append(line.time_ns)
        return True

    def tell(self, line: Line) -> bool:
        """Note what the client was told; whether that can follow what it was told before."""
        before = self._told[line.number]
        if before > Told.ACCEPTED or line.told <= before:
            return False
        self._told[line.number] = line.told
        self._accepted[line.number] |= line.told is not Told.REFUSED
        self._cause[line.number] = self._number_of(line.cause)
        return before != Told.ACCEPTED or line.told is not Told.REFUSED

    def begin(self, number: int) -> None:
        """A worker has begun this frame."""
        self._begun[number] = min(self._begun[number] + 1, _MOST)

    def end(self, number: int) -> None:
        """A worker has ended this frame."""
        self._ended[number] = min(self._ended[number] + 1, _MOST)

    def be_last(self, number: int) -> None:
        """A worker did nothing after this frame."""
        self._last[number] = min(self._last[number] + 1, _MOST)

    def _number_of(self, cause: str) -> int:
        if cause not in self._causes:
            self._causes.append(cause)
        return self._causes.index(cause)
