"""What a lane has put down and the disk has not taken yet: only then may the worker's mark go, which tells of it."""

from __future__ import annotations

from collections.abc import Callable


class Unwritten:
    """Of one lane, and true as long as there is anything. Where nothing is kept on a disk, nothing is ever added.

    ``when_written`` is called once the disk has taken all, if somebody has waited for that.
    """

    def __init__(self, when_written: Callable[[], None]) -> None:
        self._when_written = when_written
        self._count = 0
        self._is_awaited = False

    def __bool__(self) -> bool:
        return self._count > 0

    def add(self) -> Callable[[], None]:
        """Something is on its way; returns what is to be called when it is on the disk."""
        self._count += 1
        return self._written

    def wait(self) -> None:
        """Somebody wants to go on once all is on the disk."""
        self._is_awaited = True

    def _written(self) -> None:
        self._count -= 1
        if not self._count and self._is_awaited:
            self._is_awaited = False
            self._when_written()
