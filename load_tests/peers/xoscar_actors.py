"""xoscar: an actor in a process of a pool of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import xoscar

from .futures import rotation
from .work import Receiver, frames

Value = TypeVar("Value")


class Taker(xoscar.Actor):
    """The receiver."""

    def __init__(self) -> None:
        super().__init__()
        self._receiver = Receiver()

    def take(self, message: bytes | list[bytes]) -> int:
        """Take one message."""
        return self._receiver.take(message)


class XoscarPeer:
    """Awaits calls, up to the window at once."""

    def start(self, directory: Path) -> None:
        """Start a pool with one process besides this one, and the actor there."""
        self._loop = asyncio.new_event_loop()
        self._run(self._open())

    async def _open(self) -> None:
        self._pool = await xoscar.create_actor_pool(
            "127.0.0.1", n_process=1, subprocess_start_method="spawn", use_uvloop=False
        )
        where = xoscar.allocate_strategy.ProcessIndex(1)
        self._actor = await xoscar.create_actor(Taker, address=self._pool.external_address, allocate_strategy=where)
        await self._actor.take([])

    def call(self, count: int) -> list[float]:
        """Send frames one at a time."""
        return self._run(self._call(count))

    async def _call(self, count: int) -> list[float]:
        [frame], times = frames(1), list[float]()
        for _ in range(count):
            begun = time.perf_counter()
            await self._actor.take(frame)
            times.append(time.perf_counter() - begun)
        return times

    def pipeline(self, count: int, window: int) -> float:
        """Send one frame for each call."""
        return self._run(self._stream(frames(min(count, 1000)), count, window))

    def batch(self, count: int, size: int, window: int) -> float:
        """Send lists."""
        return self._run(self._stream([frames(size)], count, window))

    async def _stream(self, messages: list[Any], count: int, window: int) -> float:
        begun, turn = time.perf_counter(), rotation(messages)
        for _ in range(count // window):
            await asyncio.gather(*(self._actor.take(turn()) for _ in range(window)))
        return time.perf_counter() - begun

    def processed(self) -> int:
        """Ask the actor."""
        return int(self._run(self._actor.take([])))

    def stop(self) -> None:
        """Stop the pool."""
        self._run(self._pool.stop())
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, Value]) -> Value:
        return self._loop.run_until_complete(work)
