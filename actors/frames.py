"""Frames of one session in columns: as they travel between processes, and as mailboxes store them.

A frame costs a tuple only where somebody looks at it alone; who passes all of them on never does.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias, overload

NewFrame: TypeAlias = tuple[int, int, bytes, int]
"""A frame to append: sequence number, frame type, header, length in bytes of the data in the header."""

Columns: TypeAlias = tuple[Sequence[int] | int, bytes, bytes, bytes, bytes]


class Frames(Sequence[NewFrame]):
    """Immutable. ``seqs`` are the sequence numbers, ``types`` has a byte for each; ``headers`` are all in one piece.

    ``sizes`` and ``data_sizes`` are the lengths of the headers, and of the data in them.
    """

    __slots__ = ("_rows", "data_sizes", "headers", "seqs", "sizes", "types")

    def __init__(
        self, seqs: Sequence[int] | int, types: bytes, sizes: bytes, data_sizes: bytes, headers: bytes
    ) -> None:
        """Sizes as they travel, native u32, and u64 for those of data; of a range, the first number. See `of`."""
        self.seqs: Sequence[int] = range(seqs, seqs + len(types)) if isinstance(seqs, int) else seqs
        self.types = types
        self.sizes = array("I", sizes)
        self.data_sizes = array("Q", data_sizes)
        self.headers = headers
        self._rows: list[NewFrame] | None = None

    @classmethod
    def of(cls, rows: Sequence[NewFrame]) -> Frames:
        """Put frames into columns."""
        if not rows:
            return cls(range(0), b"", b"", b"", b"")
        return cls.of_columns(*zip(*rows, strict=True))

    @classmethod
    def of_columns(
        cls, seqs: Sequence[int], types: Iterable[int], headers: Sequence[bytes], data_sizes: Iterable[int]
    ) -> Frames:
        """Put columns together."""
        sizes = array("I", map(len, headers)).tobytes()
        return cls(_shortest(seqs), bytes(types), sizes, array("Q", data_sizes).tobytes(), b"".join(headers))

    def __reduce__(self) -> tuple[type[Frames], Columns]:
        return Frames, self.columns()

    def columns(self) -> Columns:
        """As they travel: the arguments of the constructor."""
        seqs = self.seqs.start if isinstance(self.seqs, range) else self.seqs
        return seqs, self.types, self.sizes.tobytes(), self.data_sizes.tobytes(), self.headers

    def __repr__(self) -> str:
        return f"Frames.of({self.rows()!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (Frames, tuple, list)):
            return NotImplemented
        return self.rows() == list(other)

    def __hash__(self) -> int:
        return hash((tuple(self.seqs), self.types, self.headers))

    def __len__(self) -> int:
        return len(self.types)

    def __iter__(self) -> Iterator[NewFrame]:
        return iter(self.rows())

    @overload
    def __getitem__(self, place: int) -> NewFrame: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[NewFrame]: ...
    def __getitem__(self, place: int | slice) -> NewFrame | Sequence[NewFrame]:
        return self.rows()[place]

    def rows(self) -> list[NewFrame]:
        """Each frame by itself."""
        if self._rows is None:
            headers = cut(self.headers, self.sizes)
            self._rows = list(zip(self.seqs, self.types, headers, self.data_sizes, strict=True))
        return self._rows


def seqs_of(frames: Sequence[NewFrame]) -> Sequence[int]:
    """The sequence numbers of frames, in columns or not."""
    return frames.seqs if isinstance(frames, Frames) else [frame[0] for frame in frames]


def cut(whole: bytes, sizes: Iterable[int]) -> list[bytes]:
    """Cut pieces of these sizes off, one after the other."""
    pieces, start = [], 0
    for size in sizes:
        end = start + size
        pieces.append(whole[start:end])
        start = end
    return pieces


def _shortest(seqs: Sequence[int]) -> Sequence[int]:
    """Ascending numbers without a gap are a range, which is small wherever it goes."""
    if not seqs:
        return range(0)
    first, last = seqs[0], seqs[-1]
    if last - first != len(seqs) - 1:
        return seqs
    whole = range(first, last + 1)
    return whole if list(seqs) == list(whole) else seqs
