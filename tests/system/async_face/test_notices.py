"""Events and emitted frames as async iterators."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nyx_plugins import AsyncPluginSystem, Emitted, Event, EventKind, PluginHeader, SystemStopped

DATA = 0x52
P = 7
LONG_S = 30.0


def header(data: bytes = b"") -> bytes:
    """Encode a header."""
    return PluginHeader(P, 0, data).encode()


async def settled(system: AsyncPluginSystem, load: Any) -> None:
    """Load a plugin and wait until its events are past."""
    async with system.subscribe() as notices:
        await load
        async for notice in notices:
            if getattr(notice, "kind", None) is EventKind.READY:
                break


def test_events_and_emits_come_in_order(run: Callable[..., Any], load: Callable[..., Any]) -> None:
    """A loop over a subscription sees the life of a plugin and what it emits, each in its order."""

    async def main(system: AsyncPluginSystem) -> None:
        async with system.subscribe() as notices:
            await load(system)
            await system.dispatch(DATA, header(b"emit 3"))
            seen: list[Any] = []
            async for notice in notices:
                seen.append(notice)
                if len(seen) == 5:
                    break
        assert [one.data for one in seen if isinstance(one, Emitted)] == [b"0", b"1", b"2"]
        kinds = [one.kind for one in seen if isinstance(one, Event)]
        assert kinds == [EventKind.LOADED, EventKind.READY]
        assert await notices.get() is None

    run(main)


def test_the_loop_ends_with_the_system(run: Callable[..., Any], load: Callable[..., Any]) -> None:
    """Whoever listens until the end hears of the end, and later there is nothing to subscribe to."""

    async def main(system: AsyncPluginSystem) -> None:
        await load(system)
        notices = system.subscribe()

        async def listen() -> list[Any]:
            return [notice async for notice in notices]

        listening = asyncio.create_task(listen())
        await asyncio.sleep(0)
        await system.close()
        assert all(isinstance(notice, Event) for notice in await listening)
        with pytest.raises(SystemStopped):
            system.subscribe()

    run(main)


def test_who_does_not_listen_loses_the_oldest(run: Callable[..., Any], load: Callable[..., Any]) -> None:
    """The queue is bounded, and what it has lost is counted."""

    async def main(system: AsyncPluginSystem) -> None:
        await settled(system, load(system))
        notices, all_of_them = system.subscribe(2), system.subscribe()
        await system.request(DATA, header(b"emit 5"))
        for _ in range(5):
            await all_of_them.get(LONG_S)
        kept = [await notices.get(0), await notices.get(0), await notices.get(0)]
        assert [getattr(notice, "data", None) for notice in kept] == [b"3", b"4", None]
        assert (notices.dropped, all_of_them.dropped) == (3, 0)

    run(main)


def test_nothing_is_lost_with_a_reader_that_is_cancelled(
    run: Callable[..., Any], load: Callable[..., Any], turns: Callable[..., Any]
) -> None:
    """Several tasks may read; each notice goes to one of those that are left."""

    async def main(system: AsyncPluginSystem) -> None:
        await settled(system, load(system))
        notices = system.subscribe()
        readers = [asyncio.create_task(notices.get()) for _ in range(6)]
        await turns()
        readers[0].cancel()
        await system.request(DATA, header(b"emit 5"))
        found = await asyncio.gather(*readers[1:])
        assert sorted(notice.data for notice in found if isinstance(notice, Emitted)) == [b"0", b"1", b"2", b"3", b"4"]
        assert readers[0].cancelled()
        assert notices._waiting == []

    run(main)


def test_time_limits(run: Callable[..., Any]) -> None:
    """Without a notice ``get`` returns None in time, and a limit of asyncio holds too."""

    async def main(system: AsyncPluginSystem) -> None:
        async with system.subscribe() as notices:
            assert await notices.get(0.01) is None
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(notices.get(), 0.01)
            assert notices._waiting == []

    run(main)


def test_a_flood_is_read_as_fast_as_it_is_let_in(run: Callable[..., Any], fault: Callable[..., Path]) -> None:
    """Of a flood of emits all are read or counted as dropped, and the loop wakes up far fewer times."""

    async def main(system: AsyncPluginSystem) -> None:
        await settled(system, system.load(fault("plugin_that_floods_emits", plugin_id=P)))
        async with system.subscribe() as notices:
            flood = asyncio.create_task(system.request(DATA, header(b"5000"), LONG_S))
            count = 0
            async for notice in notices:
                assert isinstance(notice, Emitted)
                count += 1
                if notice.data == b"4999":
                    break
            assert await flood == b"done"
            assert count + notices.dropped == 5000

    run(main)
