"""What ``dispatch_many`` returns: what came of each frame, in order, made where somebody looks at it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import TypeAlias, overload

from ..config.errors import NyxPluginError
from .receipt import Receipt
from .stretch import Stretch
from .woven import Woven

Result: TypeAlias = Receipt | NyxPluginError


class Dispatched(Sequence[Result]):
    """A receipt, or why there is none, for each frame; compares as a list does."""

    __slots__ = ("_ends", "_parts")

    def __init__(self, pieces: Iterable[Result | Stretch | Woven]) -> None:
        self._parts: list[Sequence[Result]] = [
            piece if isinstance(piece, (Stretch, Woven)) else (piece,) for piece in pieces
        ]
        self._ends = list(accumulate(map(len, self._parts)))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    @overload
    def __getitem__(self, place: int) -> Result: ...
    @overload
    def __getitem__(self, place: slice) -> list[Result]: ...
    def __getitem__(self, place: int | slice) -> Result | list[Result]:
        places = range(len(self))[place]
        return self._at(places) if isinstance(places, int) else [self._at(each) for each in places]

    def __iter__(self) -> Iterator[Result]:
        for part in self._parts:
            yield from part

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, (Dispatched, list)) else NotImplemented

    def __add__(self, other: Iterable[Result]) -> list[Result]:
        return [*self, *other]

    def __radd__(self, other: Iterable[Result]) -> list[Result]:
        return [*other, *self]

    __hash__ = None  # type: ignore[assignment]  # as that of a list

    def __repr__(self) -> str:
        return repr(list(self))

    def _at(self, place: int) -> Result:
        part = bisect_right(self._ends, place)
        return self._parts[part][place - self._ends[part]]
