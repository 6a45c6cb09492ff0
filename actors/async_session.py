"""A session as tasks of one event loop use it: they wait without a thread, and may be cancelled at any time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Any, TypeVar

from ..config.errors import NyxPluginError
from ..plugins.errors import DispatchTimeout
from . import questions
from .async_receipt import AsyncReceipt
from .async_subscription import AsyncSubscription
from .bridge import Bridge
from .messages import Extra
from .pending import Pending
from .questions import Ask
from .receipt import Confirm, Receipt
from .series import Header, Sendable, checked_entries, each, encoded
from .session import Session
from .waiting import Waiter

T = TypeVar("T")

# After so many frames of one call the other tasks have their turn.
TURN_FRAMES = 256


class AsyncSession:
    """One session in the loop in which this is made."""

    def __init__(self, session: Session, bridge: Bridge) -> None:
        self._session = session
        self._bridge = bridge
        session.after_news(bridge.ring)

    def check(self) -> None:
        """Raise :class:`WrongLoop` outside of its loop."""
        self._bridge.check()

    def deadline(self, timeout: float) -> float:
        """Return the time in ``timeout`` seconds, by the loop's clock."""
        return self._bridge.loop.time() + timeout

    def left(self, deadline: float) -> float:
        """Return the seconds that are left; 0 afterwards."""
        return max(0.0, deadline - self._bridge.loop.time())

    # Frames.

    def offer(self, frame_type: int, header: Header, extra: Extra | None = None) -> AsyncReceipt:
        """Send a frame without waiting."""
        return AsyncReceipt(self._session.offer(frame_type, encoded(header), extra), self._bridge)

    async def enter(
        self,
        frame_type: int,
        header: Header,
        deadline: float,
        timeout: float,
        extra: Extra | None = None,
        confirm: Confirm = "accepted",
    ) -> AsyncReceipt:
        """Send a frame, waiting for room; a task that is cancelled while it waits has sent nothing."""
        try:
            entry = self._session.enter(frame_type, encoded(header), extra, confirm == "accepted")
        finally:
            self._session.flush()
        if isinstance(entry, Waiter):
            entry = await self.result(entry, self.left(deadline), timeout)
        elif entry.decided:
            await asyncio.sleep(0)
        return AsyncReceipt(entry, self._bridge)

    async def enter_many(
        self, frames: Iterable[Sendable], are_there: bool, deadline: float, timeout: float
    ) -> list[AsyncReceipt | NyxPluginError]:
        """Send frames, waiting for room and acceptance; a task that is cancelled sends none of those that wait."""
        sent = 0
        with self._session.series(frames, timeout, are_there) as (series, goes):
            for go, count in goes:
                series.send(go)
                self._session.flush()
                while (waiter := series.in_the_way()) is not None:
                    await self._wait_for_room(waiter, deadline, timeout)
                sent = await self._take_turns(sent + count)
            return checked_entries(
                [await self._accepted_or_error(entry, deadline, timeout) for entry in each(series.entries)]
            )

    async def offer_many(self, frames: Iterable[Sendable], are_there: bool) -> list[AsyncReceipt | NyxPluginError]:
        """Send frames without waiting for room."""
        sent = 0
        with self._session.series(frames, None, are_there) as (series, goes):
            for go, count in goes:
                series.send(go)
                self._session.flush()
                sent = await self._take_turns(sent + count)
            return [self._wrapped(entry) for entry in each(series.entries) if not isinstance(entry, Waiter)]

    @staticmethod
    async def _take_turns(sent: int) -> int:
        """Count what was sent since the others had their turn, which they have when it is much."""
        if sent < TURN_FRAMES:
            return sent
        await asyncio.sleep(0)
        return 0

    async def _wait_for_room(self, waiter: Waiter, deadline: float, timeout: float) -> None:
        await self._wait(waiter, self.left(deadline))
        self._session.expire(waiter, timeout)

    async def _accepted_or_error(
        self, entry: Receipt | Waiter | NyxPluginError, deadline: float, timeout: float
    ) -> AsyncReceipt | NyxPluginError:
        if isinstance(entry, NyxPluginError):
            return entry
        try:
            if isinstance(entry, Waiter):
                entry = await self.result(entry, self.left(deadline), timeout)
            receipt = AsyncReceipt(entry, self._bridge)
            await receipt.wait_accepted(self.left(deadline), asked=timeout)
        except NyxPluginError as error:
            return error
        return receipt

    def _wrapped(self, entry: Receipt | NyxPluginError) -> AsyncReceipt | NyxPluginError:
        return AsyncReceipt(entry, self._bridge) if isinstance(entry, Receipt) else entry

    # Everything else.

    async def ask(self, ask: Ask) -> Any:
        """Return the answer to a question; a task that is cancelled leaves what it has asked for to be done."""
        began, deadline = time.monotonic(), self.deadline(ask.timeout_s)
        while True:
            wait_s = questions.AGAIN_S if ask.again else ask.timeout_s
            try:
                return await self.result(self._session.post(ask), wait_s, ask.timeout_s)
            except DispatchTimeout:
                if not ask.again or not self.left(deadline):
                    raise
                ask = ask.repeated(began)

    async def drain(self, timeout: float) -> None:
        """Wait until every frame has its outcome."""
        await self.result(self._session.drained(), timeout, timeout)

    def subscribe(self, capacity: int) -> AsyncSubscription:
        """Return a queue of events and emitted frames."""
        return AsyncSubscription(self._session.subscribe(capacity), self._bridge)

    async def result(self, pending: Pending[T], wait_s: float, timeout: float) -> T:
        """Wait up to ``wait_s`` seconds, and return or raise what came of it; the error speaks of ``timeout``."""
        try:
            await self._wait(pending, wait_s)
            self._session.expire(pending, timeout)
            return pending.result()
        finally:
            self._session.give_up(pending)

    async def _wait(self, pending: Pending[Any], wait_s: float) -> None:
        signal = self._bridge.signal()
        pending.tell(signal.post)
        if pending.done:
            # As it is on `inline`: the others have their turn even so.
            await asyncio.sleep(0)
        else:
            await signal.wait(wait_s)
