"""Who has asked a worker for its plugin's state, and gets it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TypeAlias

from ..plugins.worker.answers import SnapshotDone, SnapshotPart, SwapFailed
from ..plugins.worker.protocol import ProtocolError

SnapshotAnswer: TypeAlias = SnapshotPart | SnapshotDone | SwapFailed
OnSnapshot: TypeAlias = Callable[[SnapshotAnswer], None]


class Snapshots:
    """Of one worker, in the order in which it was asked."""

    def __init__(self) -> None:
        self._asked: deque[OnSnapshot] = deque()

    def add(self, answer: OnSnapshot) -> None:
        """It is asked, and this gets what it says."""
        self._asked.append(answer)

    def forget(self) -> None:
        """Nobody waits for the state any more; it may still come."""
        self._asked = deque(_ignore for _ in self._asked)

    @property
    def is_due(self) -> bool:
        """Whether the worker has been asked, and has not said all."""
        return bool(self._asked)

    def clear(self) -> None:
        """The worker is gone."""
        self._asked.clear()

    def answered(self, message: SnapshotAnswer) -> None:
        """Pass on what the worker says. Raises :class:`ProtocolError` if it was not asked."""
        if not self._asked:
            raise ProtocolError("it was not asked for its state")
        answer = self._asked[0] if isinstance(message, SnapshotPart) else self._asked.popleft()
        answer(message)


def _ignore(message: SnapshotAnswer) -> None:
    """Let what nobody waits for any more come to nothing."""
