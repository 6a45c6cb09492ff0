"""The frames of an iterator on their way: sent as they come, and together where several have come meanwhile."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from ..plugins.errors import DispatchTimeout
from .series import GO_FRAMES, Go, Piece, Sendable, Series


class Feed:
    """Frames wait here until whoever sends anything takes them first, with the session's lock held.

    ``send`` decides on them; ``tell`` sees to it that somebody looks at them. After ``timeout`` seconds (``None``:
    never) the iterator is asked for no more, and a :class:`DispatchTimeout` takes the place of the rest.
    """

    def __init__(
        self,
        series: Series,
        send: Callable[[Iterable[Sendable]], list[Piece]],
        tell: Callable[[], None],
        timeout: float | None = None,
    ) -> None:
        self._series = series
        self._send = send
        self._tell = tell
        self._due: deque[Sendable] = deque()
        self._error: Exception | None = None
        self._timeout = timeout
        self._deadline = math.inf if timeout is None else time.monotonic() + timeout

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
        rest, may_be_more = iter(frames), True
        for frame in rest:
            yield [frame], 1
            break
        while may_be_more and time.monotonic() < self._deadline:
            count = 0
            try:
                for frame in rest:
                    self._due.append(frame)
                    count += 1
                    if count >= GO_FRAMES or self._series.is_crowded or self._error is not None:
                        break
                    self._tell()
                    if time.monotonic() >= self._deadline:
                        break
                else:
                    may_be_more = False
            except BaseException:
                yield [], count
                raise
            yield [], count
            self._check()
        if may_be_more:
            self._series.add([DispatchTimeout(None, "the end of the iterator of frames", self._timeout or 0.0)])

    def _taken(self) -> Iterator[Sendable]:
        while self._due:
            yield self._due.popleft()

    def _check(self) -> None:
        if self._error is not None:
            raise self._error
