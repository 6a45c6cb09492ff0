"""A task may be cancelled wherever it waits: nothing is lost, leaked or left unusable by that."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from nyx_plugins import AsyncPluginSystem, EventKind, NyxPluginError, PluginHeader

HANDSHAKE, DATA = 0x51, 0x52
P = 7
LONG_S = 30.0


def header(data: bytes = b"") -> bytes:
    """Encode a header."""
    return PluginHeader(P, 0, data).encode()


async def cancelled(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait for their ends."""
    for task in tasks:
        task.cancel()
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in ends)


def waiting(system: AsyncPluginSystem) -> int:
    """Count what the session has in its books for those who wait."""
    session = system._running._session
    lines = sum(len(channel.waiting) for channel in session._traffic._channels.values())
    return lines + len(session._inquiries) + len(session._drains)


def test_who_waits_for_room_takes_nothing_along(
    run: Callable[..., Any], load: Callable[..., Any], turns: Callable[..., Any], has_room_for: Callable[..., Any]
) -> None:
    """The frames of cancelled tasks are never sent, those of the others are, in order, and all the room is there."""

    async def main(system: AsyncPluginSystem) -> None:
        await load(system, capacity=1)
        await system.pause(P)
        await system.dispatch(HANDSHAKE, header())
        tasks = [asyncio.create_task(system.request(HANDSHAKE, header(), LONG_S)) for _ in range(9)]
        await turns()
        assert waiting(system) == 9
        await cancelled(tasks[0], tasks[4], tasks[8])
        assert waiting(system) == 6
        await system.resume(P)
        left = [task for task in tasks if not task.cancelled()]
        assert await asyncio.gather(*left) == [b"2", b"3", b"4", b"5", b"6", b"7"]
        assert (await system.plugin_stats(P)).accepted == 7
        await has_room_for(system, 1)

    run(main)


def test_a_small_frame_does_not_wait_for_a_large_one_that_has_gone(
    run: Callable[..., Any], load: Callable[..., Any], turns: Callable[..., Any]
) -> None:
    """When the first in line leaves, the next may fit at once."""

    async def main(system: AsyncPluginSystem) -> None:
        await load(system, capacity=10, capacity_bytes=65_536)
        await system.pause(P)
        await system.dispatch(DATA, header(bytes(60_000)))
        large = asyncio.create_task(system.dispatch(DATA, header(bytes(60_000)), LONG_S))
        small = asyncio.create_task(system.dispatch(DATA, header(b"x"), LONG_S))
        await turns()
        assert waiting(system) == 2
        await cancelled(large)
        assert (await small).accepted
        assert waiting(system) == 0

    run(main)


def test_a_time_limit_of_asyncio_is_a_cancellation(
    run: Callable[..., Any], load: Callable[..., Any], has_room_for: Callable[..., Any]
) -> None:
    """``asyncio.timeout`` and ``wait_for`` end each wait with TimeoutError, and nothing stays in the books."""

    async def main(system: AsyncPluginSystem) -> None:
        await load(system, capacity=1)
        await system.pause(P)
        receipt = await system.dispatch(DATA, header())
        calls = (
            lambda: system.dispatch(DATA, header(), LONG_S),
            lambda: system.request(DATA, header(), LONG_S),
            lambda: system.dispatch_many([(DATA, header())] * 500, timeout=LONG_S),
            lambda: system.drain(LONG_S),
            lambda: receipt.outcome(LONG_S),
        )
        for call in calls:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await call()
            assert waiting(system) == 0
        await system.resume(P)
        assert (await receipt.outcome(LONG_S)).kind == "processed"
        await has_room_for(system, 1)
        assert (await system.plugin_stats(P)).accepted == 2

    run(main)


def test_who_has_been_let_in_without_knowing_has_sent_the_frame(
    run: Callable[..., Any], load: Callable[..., Any], turns: Callable[..., Any], has_room_for: Callable[..., Any]
) -> None:
    """A task that is cancelled between the two leaves the frame on its way; its outcome is accounted, its room free."""

    async def main(system: AsyncPluginSystem) -> None:
        await load(system, capacity=1)
        await system.pause(P)
        await system.dispatch(DATA, header(b"first"))
        task = asyncio.create_task(system.dispatch(DATA, header(b"second"), LONG_S))
        await turns()
        # Blocks the loop on purpose: it can't hear of what the session's threads see meanwhile.
        system._running.resume(P)
        system._running.drain(LONG_S)
        await cancelled(task)
        await system.drain(LONG_S)
        assert (await system.plugin_stats(P)).processed == 2
        await has_room_for(system, 1)

    run(main)


def test_a_frame_that_was_sent_stays_on_its_way(
    run: Callable[..., Any], load: Callable[..., Any], turns: Callable[..., Any]
) -> None:
    """Cancelling a request, or a wait for its outcome, takes nothing back; drain still waits for it."""

    async def main(system: AsyncPluginSystem) -> None:
        await load(system)
        await system.pause(P)
        receipt = await system.dispatch(DATA, header(b"a"))
        tasks = [asyncio.create_task(call) for call in (system.request(DATA, header(b"b"), LONG_S), receipt.outcome())]
        other = asyncio.create_task(receipt.outcome())
        await turns()
        await cancelled(*tasks)
        assert (receipt._waits == []) is False
        await system.resume(P)
        assert (await other).reply == b"a"
        await system.drain(LONG_S)
        stats = await system.plugin_stats(P)
        assert (stats.accepted, stats.processed) == (2, 2)
        assert receipt._waits == []

    run(main)


def test_what_was_asked_for_is_done_even_so(
    run: Callable[..., Any], load: Callable[..., Any], turns: Callable[..., Any]
) -> None:
    """A load whose task is cancelled goes on; the session hears the late answer without harm."""

    async def main(system: AsyncPluginSystem) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await load(system)
        notices = system.subscribe()
        while not system.is_plugin_loaded(P):
            await asyncio.sleep(0)
        notices.close()
        assert await system.request(DATA, header(b"x")) == b"x"
        drain = asyncio.create_task(system.drain(LONG_S))
        stats = asyncio.create_task(system.plugin_stats(P))
        await asyncio.sleep(0)
        for task in (drain, stats):
            task.cancel()
        await asyncio.gather(drain, stats, return_exceptions=True)
        assert waiting(system) == 0
        assert await system.request(DATA, header(b"y")) == b"y"

    run(main)


def test_a_task_group_ends_together(run: Callable[..., Any], load: Callable[..., Any]) -> None:
    """When one task fails, its group's other tasks are cancelled where they wait, and the system goes on."""

    async def fail() -> None:
        await asyncio.sleep(0)
        raise ZeroDivisionError

    async def main(system: AsyncPluginSystem) -> None:
        await load(system, capacity=1)
        await system.pause(P)
        await system.dispatch(DATA, header())
        with pytest.raises(ExceptionGroup) as caught:
            async with asyncio.TaskGroup() as group:
                for _ in range(50):
                    group.create_task(system.dispatch(DATA, header(), LONG_S))
                group.create_task(fail())
        assert [type(error) for error in caught.value.exceptions] == [ZeroDivisionError]
        assert waiting(system) == 0
        await system.resume(P)
        await system.drain(LONG_S)
        assert (await system.plugin_stats(P)).accepted == 1

    run(main)


@pytest.mark.parametrize("seed", range(3))
def test_a_storm_of_cancellations_loses_nothing(
    run: Callable[..., Any], load: Callable[..., Any], has_room_for: Callable[..., Any], seed: int
) -> None:
    """Whenever tasks are cancelled, every accepted frame has an outcome, and all the room is there again."""
    rng = random.Random(seed)

    async def one(system: AsyncPluginSystem) -> None:
        text = rng.choice([b"x", b"raise", bytes(20_000)])
        calls: list[Callable[[], Awaitable[Any]]] = [
            lambda: system.dispatch(DATA, header(text), LONG_S),
            lambda: system.request(DATA, header(text), LONG_S),
            lambda: system.dispatch_many([(DATA, header(text))] * rng.randrange(12), timeout=LONG_S),
        ]
        try:
            async with asyncio.timeout(rng.choice([0, 0.001, 0.01, None])):
                await rng.choice(calls)()
        except (TimeoutError, NyxPluginError):
            return

    async def main(system: AsyncPluginSystem) -> None:
        await load(system, capacity=4, capacity_bytes=65_536)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(system)) for _ in range(200)]
            await asyncio.sleep(0.01)
            for task in rng.sample(tasks, 50):
                task.cancel()
        await system.drain(LONG_S)
        assert waiting(system) == 0
        stats = await system.plugin_stats(P)
        assert stats.accepted == stats.processed + stats.failed
        assert (stats.in_mailbox, stats.bytes_held) == (0, 0)
        await has_room_for(system, 4)

    run(main)


def test_a_start_that_is_cancelled_leaves_nothing(transport: str, runtime_base: Any) -> None:
    """What the thread has started is closed as soon as it is there; the object can be started again."""
    system = AsyncPluginSystem(transport=transport)

    async def main() -> None:
        task = asyncio.create_task(system.__aenter__())
        await asyncio.sleep(0)
        await cancelled(task)
        async with system:
            await system.load("builtin:echo")

    asyncio.run(main())
    for thread in threading.enumerate():
        if thread.name in ("nyx-plugins-start", "nyx-plugins-close"):
            thread.join(LONG_S)
    assert list(runtime_base.iterdir()) == []


def test_a_close_that_is_cancelled_goes_on(transport: str, runtime_base: Any) -> None:
    """Closing again waits for the end of what was begun, in any loop."""

    async def main() -> AsyncPluginSystem:
        system = await AsyncPluginSystem.start(transport=transport)
        task = asyncio.create_task(system.close())
        await asyncio.sleep(0)
        await cancelled(task)
        return system

    system = asyncio.run(main())
    assert asyncio.run(system.close()).killed == ()
    assert list(runtime_base.iterdir()) == []


def test_a_load_is_heard_of_by_its_event(run: Callable[..., Any], load: Callable[..., Any]) -> None:
    """Whoever has given up waiting for a load can wait for what becomes of it."""

    async def main(system: AsyncPluginSystem) -> None:
        async with system.subscribe() as notices:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await load(system)
            async for notice in notices:
                if getattr(notice, "kind", None) is EventKind.READY:
                    break
        assert system.loaded_plugins() == [P]

    run(main)
