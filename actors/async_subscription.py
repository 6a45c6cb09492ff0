"""Subscriptions for asyncio: bounded queues that are read with ``async for``."""

from __future__ import annotations

from types import TracebackType

from .arguments import checked_wait
from .bridge import Bridge, Signal
from .events import Notice
from .subscription import Subscription


class AsyncSubscription:
    """Events and emitted frames, oldest first. When the queue is full the oldest is dropped and counted.

    ``async for`` yields until the subscription or the system is closed. Several tasks may read; each notice goes to
    one of them, and none is lost with a task that is cancelled.
    """

    def __init__(self, subscription: Subscription, bridge: Bridge) -> None:
        self._subscription = subscription
        self._bridge = bridge
        self._waiting: list[Signal] = []
        subscription.tell(self._on_change)

    async def __aenter__(self) -> AsyncSubscription:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    def __aiter__(self) -> AsyncSubscription:
        return self

    async def __anext__(self) -> Notice:
        item = await self.get()
        if item is None:
            raise StopAsyncIteration
        return item

    @property
    def dropped(self) -> int:
        """How many were lost so far, here or on the way, because nobody took them in time."""
        return self._subscription.dropped

    async def get(self, timeout: float | None = None) -> Notice | None:
        """Return the oldest; ``None`` after ``timeout`` seconds without any, or when closed and empty.

        Raises :class:`TypeError` and :class:`ValueError` for what is no time.
        """
        self._bridge.check()
        timeout = checked_wait(timeout)
        deadline = None if timeout is None else self._bridge.loop.time() + timeout
        while True:
            # In this order: what is closed gets nothing more.
            closed = self._subscription.closed
            item = self._subscription.get(0.0)
            left = None if deadline is None else deadline - self._bridge.loop.time()
            if item is not None or closed or (left is not None and left <= 0):
                return item
            await self._news(left)

    def close(self) -> None:
        """Take nothing more; what is queued can still be read. Idempotent."""
        self._subscription.close()

    async def _news(self, timeout: float | None) -> None:
        signal = self._bridge.signal()
        self._waiting.append(signal)
        try:
            if not self._subscription.ready:
                await signal.wait(timeout)
        finally:
            self._waiting.remove(signal)

    def _on_change(self) -> None:
        """In a thread of the session."""
        for signal in list(self._waiting):
            signal.post()
