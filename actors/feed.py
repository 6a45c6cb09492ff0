"""The frames of an iterator on their way: sent as they come, and together where several have come meanwhile."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator

from .series import GO_FRAMES, Go, Piece, Sendable, Series


class Feed:
    """Frames wait here until whoever sends anything takes them first, with the session's lock held.

    ``send`` decides on them; ``tell`` sees to it that somebody looks at them.
    """

    def __init__(
        self, series: Series, send: Callable[[Iterable[Sendable]], list[Piece]], tell: Callable[[], None]
    ) -> None:
        self._series = series
        self._send = send
        self._tell = tell
        self._due: deque[Sendable] = deque()
        self._error: Exception | None = None

    def flow(self) -> None:
        """Send what is there, for the caller: it is told there what came of it, errors too. The lock is held."""
        if self._due and self._error is None:
            try:
                self._series.add(self._send(self._taken()))
            except Exception as error:
                # None of those behind it are sent either.
                self._error = error

    def goes(self, frames: Iterable[Sendable]) -> Iterator[Go]:
        """Take what comes. The first frame is the caller's to send; of others it has to see to it that they flow.

        What comes before an error of their iterator goes before it.
        """
        rest = iter(frames)
        for frame in rest:
            yield [frame], 1
            break
        while True:
            count = 0
            try:
                for frame in rest:
                    self._due.append(frame)
                    count += 1
                    if count >= GO_FRAMES or self._series.is_crowded or self._error is not None:
                        break
                    self._tell()
                else:
                    break
            except BaseException:
                yield [], count
                raise
            yield [], count
            self._check()
        yield [], count
        self._check()

    def _taken(self) -> Iterator[Sendable]:
        while self._due:
            yield self._due.popleft()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error
