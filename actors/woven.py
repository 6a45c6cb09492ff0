"""Receipts of frames for several plugins that one call has mixed: those for each plugin are a stretch of their own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar, overload

from .receipt import Receipt
from .stretch import Stretch

T = TypeVar("T")


class Woven(Sequence[Receipt]):
    """In the order of the call; ``turns`` says for each frame which of the ``stretches`` has the receipt, in order."""

    __slots__ = ("_turns", "stretches")

    def __init__(self, stretches: Sequence[Stretch], turns: Sequence[int]) -> None:
        self.stretches = stretches
        self._turns = turns

    def __len__(self) -> int:
        return len(self._turns)

    @overload
    def __getitem__(self, place: int) -> Receipt: ...
    @overload
    def __getitem__(self, place: slice) -> list[Receipt]: ...
    def __getitem__(self, place: int | slice) -> Receipt | list[Receipt]:
        if isinstance(place, slice):
            return list(self)[place]
        place = range(len(self))[place]
        turn = self._turns[place]
        return self.stretches[turn][self._turns[:place].count(turn)]

    def __iter__(self) -> Iterator[Receipt]:
        return in_turns(self.stretches, self._turns)

    def __repr__(self) -> str:
        return f"<Woven {', '.join(map(repr, self.stretches))}>"


def in_turns(rows: Iterable[Iterable[T]], turns: Iterable[int]) -> Iterator[T]:
    """Yield what the rows have, always the next one of the row whose turn it is."""
    rest = [iter(row) for row in rows]
    return (next(rest[turn]) for turn in turns)
