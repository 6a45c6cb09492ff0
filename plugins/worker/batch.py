"""Frames on their way to a worker: their types, where each header ends, and all headers in one piece."""

from __future__ import annotations

from sys import byteorder

from .protocol import BATCH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .protocol import Message

    Item = tuple[int, bytes]
    """A frame for a worker: its type and its header."""


class Batch:
    """Behaves as the sequence of (frame type, header); a frame is a value of its own only where somebody looks at it.

    ``types`` has a byte for each frame; ``ends`` says where its header ends in ``headers``.
    """

    __slots__ = ("ends", "headers", "types")

    def __init__(self, types: bytes, ends: Sequence[int], headers: bytes) -> None:
        self.types = types
        self.ends = ends
        self.headers = headers

    @classmethod
    def of(cls, items: Iterable[Item]) -> Batch:
        """Put frames together."""
        types, headers = zip(*items, strict=True)
        ends, end = [], 0
        for header in headers:
            end += len(header)
            ends.append(end)
        return cls.of_message(bytes(types), b"".join(end.to_bytes(8, byteorder) for end in ends), b"".join(headers))

    def message(self, first_index: int) -> Message:
        """Return the message that hands it over."""
        return [BATCH, first_index, self.types, bytes(self.ends), self.headers]

    @classmethod
    def of_message(cls, types: bytes, ends: bytes, headers: bytes) -> Batch:
        """Take the fields of a BATCH."""
        return cls(types, memoryview(ends).cast("Q"), headers)

    def __len__(self) -> int:
        return len(self.types)

    def __iter__(self) -> Iterator[Item]:
        headers, start = self.headers, 0
        for frame_type, end in zip(self.types, self.ends, strict=True):
            yield frame_type, headers[start:end]
            start = end

    def __eq__(self, other: object) -> bool:
        return list(self) == (list(other) if isinstance(other, Batch) else other)

    __hash__ = None  # type: ignore[assignment]  # as that of a list

    def __repr__(self) -> str:
        return f"Batch of {list(self)!r}"
