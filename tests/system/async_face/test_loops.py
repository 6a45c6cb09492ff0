"""Event loops come and go: a system belongs to one, and outlives none of them by accident."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nyx_plugins import (
    AsyncPluginSystem,
    AsyncReceipt,
    PluginHeader,
    ServiceNotRunning,
    SystemStopped,
    WrongLoop,
)
from nyx_plugins.actors.service_file import Claim

HANDSHAKE, DATA = 0x51, 0x52
P = 7
LONG_S = 30.0


def header(data: bytes = b"") -> bytes:
    """Encode a header."""
    return PluginHeader(P, 0, data).encode()


def test_one_loop_after_the_other(run: Callable[..., Any], load: Callable[..., Any], tmp_path: Path) -> None:
    """Each loop can have a system of its own, and two in one loop don't disturb each other."""

    async def main(system: AsyncPluginSystem) -> bytes | None:
        await system.load("builtin:echo", plugin_id=P)
        async with AsyncPluginSystem(transport="inline") as other:
            await other.load("builtin:echo", plugin_id=P)
            replies = await asyncio.gather(*(one.request(DATA, header(b"x")) for one in (system, other) * 5))
        assert replies == [b"x"] * 10
        return await system.request(DATA, header(b"end"))

    assert [run(main), run(main)] == [b"end", b"end"]


def test_another_loop_is_refused(transport: str, runtime_base: Path) -> None:
    """Using a system, a receipt or a subscription elsewhere raises WrongLoop; close may be awaited in any loop."""

    async def begin() -> tuple[AsyncPluginSystem, AsyncReceipt]:
        system = await AsyncPluginSystem.start(transport=transport)
        await system.load("builtin:echo", plugin_id=P)
        await system.pause(P)
        return system, await system.dispatch(DATA, header())

    async def elsewhere(system: AsyncPluginSystem, receipt: AsyncReceipt) -> None:
        calls = (
            lambda: system.dispatch(DATA, header()),
            lambda: system.dispatch_many([]),
            lambda: system.plugins(),
            lambda: system.drain(),
            lambda: receipt.outcome(),
            lambda: notices.get(),
        )
        for call in calls:
            with pytest.raises(WrongLoop, match="another event loop runs here"):
                await call()
        for nowait in (system.subscribe, lambda: system.dispatch_nowait(DATA, header())):
            with pytest.raises(WrongLoop):
                nowait()
        await system.close(0.0)

    async def listen(system: AsyncPluginSystem) -> Any:
        return system.subscribe()

    with asyncio.Runner() as one, asyncio.Runner() as other:
        system, receipt = one.run(begin())
        notices = one.run(listen(system))
        with pytest.raises(WrongLoop, match="no event loop runs here"):
            system.dispatch_nowait(DATA, header())
        assert system.loaded_plugins() == [P]
        other.run(elsewhere(system, receipt))
    assert list(runtime_base.iterdir()) == []


def test_a_loop_that_ends_in_the_middle(transport: str, runtime_base: Path) -> None:
    """What comes for tasks that were lost with their loop does no harm, and the system can still be closed."""
    tasks: list[asyncio.Task[Any]] = []

    async def begin() -> AsyncPluginSystem:
        system = await AsyncPluginSystem.start(transport=transport)
        await system.load("builtin:echo", plugin_id=P, capacity=1)
        await system.pause(P)
        tasks.extend(asyncio.create_task(system.request(DATA, header(), LONG_S)) for _ in range(20))
        await asyncio.sleep(0)
        return system

    system = asyncio.run(begin())
    assert all(task.cancelled() for task in tasks)
    system._running.resume(P)
    system._running.drain(LONG_S)
    assert system._running.plugin_stats(P).accepted == 1
    asyncio.run(system.close())
    assert list(runtime_base.iterdir()) == []


def test_a_loop_that_is_closed_with_tasks_in_it(transport: str, runtime_base: Path) -> None:
    """A loop that nobody lets finish its tasks is told nothing any more; the session's threads go on."""
    loop = asyncio.new_event_loop()
    system = loop.run_until_complete(AsyncPluginSystem.start(transport=transport))
    loop.run_until_complete(system.load("builtin:echo", plugin_id=P))
    loop.run_until_complete(system.pause(P))
    receipt = loop.run_until_complete(system.dispatch(DATA, header()))
    task = loop.create_task(receipt.outcome())
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    system._running.resume(P)
    system._running.drain(LONG_S)
    assert receipt.done and not task.done()
    assert system._running.request(DATA, header(b"x")) == b"x"
    asyncio.run(system.close())
    assert list(runtime_base.iterdir()) == []
    # It will never end, and nobody has to be told.
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # asyncio's own switch
    task.get_coro().close()  # type: ignore[union-attr]  # a coroutine has this


def test_an_error_in_the_middle_closes_the_system(run: Callable[..., Any], load: Callable[..., Any]) -> None:
    """The error comes out of ``async with`` after the system has gone, whatever its tasks were waiting for."""
    tasks: list[asyncio.Task[Any]] = []

    async def main(system: AsyncPluginSystem) -> None:
        await load(system, capacity=1)
        await system.pause(P)
        await system.dispatch(DATA, header())
        tasks.extend(asyncio.create_task(system.dispatch(DATA, header(), LONG_S)) for _ in range(3))
        await asyncio.sleep(0)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(main)
    assert all(task.done() for task in tasks)
    assert all(task.cancelled() or task.exception() is not None for task in tasks)


def test_no_thread_stays(run: Callable[..., Any]) -> None:
    """When a system is closed, all of its threads have ended."""
    before = set(threading.enumerate())

    async def main(system: AsyncPluginSystem) -> None:
        await system.load("builtin:echo", plugin_id=P)

    run(main)
    left = {thread for thread in threading.enumerate() if thread not in before}
    for thread in left:
        # The one that has told of its result may not have ended yet.
        thread.join(LONG_S)
        assert not thread.is_alive()


@pytest.mark.needs_worker(reason="an inline system can't be connected to")
def test_a_program_with_a_loop_connects_to_a_service(transport: str, runtime_base: Path) -> None:
    """It can do what the owner can; closing leaves the service running; without a service there is an error."""
    claim = Claim(runtime_base / "service")

    async def main() -> None:
        async with AsyncPluginSystem() as own:
            await own.publish(claim)
            async with await AsyncPluginSystem.connect(claim.path) as other:
                assert other.host_pid == own.host_pid
                await other.load("builtin:echo", plugin_id=P)
                # The other one hears of it by itself.
                while not own.is_plugin_loaded(P):
                    await asyncio.sleep(0)
                assert await own.request(DATA, header(b"x")) == b"x"
            assert await own.request(DATA, header(b"y")) == b"y"
        with pytest.raises(ServiceNotRunning):
            await AsyncPluginSystem.connect(claim.path)

    asyncio.run(main())
    claim.release()


def test_a_system_that_was_closed_is_not_started_again(transport: str, runtime_base: Path) -> None:
    """Closing one that was never started does nothing but that."""
    system = AsyncPluginSystem(transport=transport)

    async def main() -> None:
        assert (await system.close()).killed == ()
        async with system:
            pass
        with pytest.raises(SystemStopped):
            async with system:
                pass

    asyncio.run(main())
