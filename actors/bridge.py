"""From the threads of a session into an event loop: news is gathered, and the loop is woken once for all of it."""

from __future__ import annotations

import asyncio
from collections import deque

from ..plugins.errors import WrongLoop


class Bridge:
    """Into the loop in which it is made; :meth:`post` and :meth:`ring` may be called from any thread."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._news: deque[Signal] = deque()
        self._rung = False

    def check(self) -> None:
        """Raise :class:`WrongLoop` unless this is called from within the loop."""
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:
            raise WrongLoop("no event loop runs here") from None
        if here is not self.loop:
            raise WrongLoop("another event loop runs here")

    def signal(self) -> Signal:
        """Return what one task can wait for."""
        return Signal(self)

    def post(self, signal: Signal) -> None:
        """Wake whoever waits for ``signal`` when the bell is rung next."""
        self._news.append(signal)

    def ring(self) -> None:
        """See to it that what was posted arrives. Nothing happens when nothing was, or when the loop is closed."""
        if not self._news or self._rung:
            return
        self._rung = True
        try:
            self.loop.call_soon_threadsafe(self._deliver)
        except RuntimeError:
            # The loop is closed, and with it went all who waited.
            self._news.clear()
            self._rung = False

    def _deliver(self) -> None:
        # What is posted from here on rings again.
        self._rung = False
        for _ in range(len(self._news)):
            self._news.popleft().resolve()


class Signal:
    """One wait of one task."""

    __slots__ = ("_bridge", "_future")

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._future: asyncio.Future[None] = bridge.loop.create_future()

    def post(self) -> None:
        """It has happened; from any thread."""
        self._bridge.post(self)

    def resolve(self) -> None:
        """Let the task go on; in the loop only."""
        if not self._future.done():
            self._future.set_result(None)

    async def wait(self, timeout: float | None) -> None:
        """Return once it has happened, or ``timeout`` seconds (``None``: for ever) are over."""
        timer = None if timeout is None else self._bridge.loop.call_later(timeout, self.resolve)
        try:
            await self._future
        finally:
            if timer is not None:
                timer.cancel()
