"""For tests of the face for asyncio: a loop with a system in it for each test, and the obedient plugin."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from nyx_plugins import AsyncPluginSystem, AsyncReceipt, MailboxFull, PluginHeader, Settings

HANDSHAKE, DATA = 0x51, 0x52
P = 7
LONG_S = 30.0

Main = Callable[[AsyncPluginSystem], Coroutine[Any, Any, Any]]


@pytest.fixture
def run(transport: str, runtime_base: Path) -> Iterator[Callable[..., Any]]:
    """Return a function that runs a coroutine with a system of its own, in a loop of its own; nothing may be left."""

    def go(main: Main, settings: Settings | None = None) -> Any:
        async def whole() -> Any:
            async with AsyncPluginSystem(settings or Settings(), transport=transport) as system:
                return await main(system)

        return asyncio.run(whole())

    yield go
    assert list(runtime_base.iterdir()) == []


@pytest.fixture
def load(fault: Callable[..., Path]) -> Callable[..., Awaitable[None]]:
    """Return a function that loads the obedient plugin as plugin ``P``."""

    async def one(system: AsyncPluginSystem, **options: Any) -> None:
        await system.load(fault("obedient_plugin", plugin_id=P), **options)

    return one


@pytest.fixture
def has_room_for() -> Callable[[AsyncPluginSystem, int], Awaitable[None]]:
    """Return a function that proves that exactly so many frames fit now."""

    async def prove(system: AsyncPluginSystem, capacity: int) -> None:
        await system.pause(P)
        frames = [(HANDSHAKE, PluginHeader(P, 0, b""))] * (capacity + 1)
        results = await system.dispatch_many(frames, wait=False)
        assert [type(result) for result in results] == [AsyncReceipt] * capacity + [MailboxFull]
        await system.resume(P)
        await system.drain(LONG_S)

    return prove


@pytest.fixture
def turns() -> Callable[[], Awaitable[None]]:
    """Return a function that lets every task go on until it waits for something from outside."""

    async def some() -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    return some
