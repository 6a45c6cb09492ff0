"""Who waits until every frame of a session has its outcome."""

from __future__ import annotations

from .pending import Pending
from .traffic import Traffic


class Drains:
    """Of one session, whose lock is held in each call."""

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic
        self._waiting: set[Pending[None]] = set()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self) -> Pending[None]:
        """Return what is done then, and fails if the system takes outcomes with it."""
        drained: Pending[None] = Pending()
        self._waiting.add(drained)
        self.settle()
        return drained

    def settle(self) -> None:
        """Tell who waits, if there is nothing left to wait for."""
        lost = self._traffic.stopped if self._traffic.lost else None
        if not self._waiting or (lost is None and self._traffic.outstanding()):
            return
        for drained in self._waiting:
            drained.succeed(None) if lost is None else drained.fail(lost)
        self._waiting.clear()

    def forget(self, drained: Pending[None]) -> None:
        """Nobody waits for this any more."""
        self._waiting.discard(drained)
