"""Frames of one channel that wait for their turn to be sent, in order: each by itself, or a stretch of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from .frames import Frames, NewFrame
from .stretch import Stretch


class Departures:
    """Not thread-safe: the session holds its lock."""

    def __init__(self) -> None:
        self._line: deque[NewFrame | Stretch] = deque()
        self._count = 0
        self._gone = 0
        """How many frames of the first stretch are sent."""

    def __len__(self) -> int:
        return self._count

    def add(self, frame: NewFrame) -> None:
        """Put a frame at the end."""
        self._line.append(frame)
        self._count += 1

    def add_stretch(self, stretch: Stretch) -> None:
        """Put a stretch at the end."""
        self._line.append(stretch)
        self._count += len(stretch)

    def replace(self, frames: Iterable[NewFrame]) -> None:
        """Send these, and nothing else."""
        self._line = deque(frames)
        self._count, self._gone = len(self._line), 0

    def seqs(self) -> Iterator[int]:
        """The numbers of all of them."""
        gone = self._gone
        for item in self._line:
            if isinstance(item, Stretch):
                yield from range(item.first + gone, item.stop)
                gone = 0
            else:
                yield item[0]

    def take(self, most: int) -> Columns:
        """Take up to ``most`` frames from the front."""
        columns = Columns()
        while self._line and len(columns.seqs) < most:
            item = self._line[0]
            if isinstance(item, Stretch):
                self._take_part(item, most - len(columns.seqs), columns)
            else:
                columns.add(self._line.popleft())  # type: ignore[arg-type]  # it is the same item
        self._count -= len(columns.seqs)
        return columns

    def _take_part(self, stretch: Stretch, most: int, columns: Columns) -> None:
        start, stop = self._gone, min(len(stretch), self._gone + most)
        columns.add_part(stretch, start, stop)
        self._gone = stop
        if stop == len(stretch):
            self._line.popleft()
            self._gone = 0


class Columns:
    """Frames about to travel: what each has, by itself."""

    __slots__ = ("_data_sizes", "_headers", "_types", "seqs")

    def __init__(self) -> None:
        self.seqs: list[int] = []
        self._types: list[int] = []
        self._headers: list[bytes] = []
        self._data_sizes: list[int] = []

    def add(self, frame: NewFrame) -> None:
        """Put a frame at the end."""
        seq, frame_type, header, data_size = frame
        self.seqs.append(seq)
        self._types.append(frame_type)
        self._headers.append(header)
        self._data_sizes.append(data_size)

    def add_part(self, stretch: Stretch, start: int, stop: int) -> None:
        """Put the frames of these places at the end."""
        self.seqs += range(stretch.first + start, stretch.first + stop)
        self._types += stretch.types[start:stop]
        self._headers += stretch.headers[start:stop]
        self._data_sizes += stretch.data_sizes[start:stop]

    def only(self, goes: Callable[[int], bool]) -> Columns:
        """Leave out those whose numbers do not go."""
        left = Columns()
        for frame in zip(self.seqs, self._types, self._headers, self._data_sizes, strict=True):
            if goes(frame[0]):
                left.add(frame)
        return left

    def frames(self) -> Frames:
        """As they travel."""
        return Frames.of_columns(self.seqs, self._types, self._headers, self._data_sizes)
