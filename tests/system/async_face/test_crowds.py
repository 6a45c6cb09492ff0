"""Ten thousand tasks at once: few messages, few wakings, no thread, each gets what is its own, in linear time."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from nyx_plugins import AsyncPluginSystem, PluginHeader
from nyx_plugins.actors import messages as m
from nyx_plugins.actors.bridge import Bridge
from nyx_plugins.actors.channel import Channel

HANDSHAKE, DATA = 0x51, 0x52
P = 7
LONG_S = 50.0
CROWD = 10_000

pytestmark = pytest.mark.needs_worker(reason="inline runs each frame at once, so that there is nothing to coalesce")


def header(data: bytes = b"") -> bytes:
    """Encode a header."""
    return PluginHeader(P, 0, data).encode()


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count what the crowd causes: tries to find room, and wakings of the loop."""
    found: Counter[str] = Counter()

    def count(where: type, name: str) -> None:
        original = getattr(where, name)

        def counting(*args: Any) -> Any:
            found[name] += 1
            return original(*args)

        monkeypatch.setattr(where, name, counting)

    count(Channel, "offer")
    count(Bridge, "_deliver")
    return found


def count_messages(system: AsyncPluginSystem, counts: Counter[str]) -> None:
    """Count the messages with frames that go to the dispatcher."""
    endpoint = system._running._session._endpoint
    original = endpoint.send

    def counting(target: Any, message: Any) -> None:
        counts["submit"] += isinstance(message, m.Submit)
        original(target, message)

    endpoint.send = counting  # type: ignore[method-assign]  # to look on


@pytest.mark.parametrize("capacity", [100, CROWD])
def test_a_crowd_shares_messages_and_wakings(
    run: Callable[..., Any], load: Callable[..., Any], counts: Counter[str], capacity: int
) -> None:
    """Every task gets its own reply; messages, wakings and tries are few, and the mailbox never overflows."""

    async def main(system: AsyncPluginSystem) -> None:
        await load(system, capacity=capacity, capacity_bytes=64 << 20)
        count_messages(system, counts)
        counts.clear()
        threads = threading.active_count()
        replies = await asyncio.gather(*(system.request(DATA, header(b"%d" % n), LONG_S) for n in range(CROWD)))
        assert replies == [b"%d" % number for number in range(CROWD)]
        assert threading.active_count() == threads
        assert counts["submit"] <= CROWD // 20
        assert counts["_deliver"] <= CROWD // 5
        assert counts["offer"] <= 2 * CROWD
        stats = await system.plugin_stats(P)
        assert (stats.processed, stats.in_mailbox) == (CROWD, 0)
        assert stats.peak <= capacity
        assert (await system.dispatch_stats()).dispatch_errors == 0

    run(main)


def test_receipts_of_a_crowd(run: Callable[..., Any], load: Callable[..., Any]) -> None:
    """Every dispatch returns a receipt of its own, in the order of the tasks, and each has an outcome."""

    async def main(system: AsyncPluginSystem) -> None:
        await load(system)
        receipts = await asyncio.gather(*(system.dispatch(HANDSHAKE, header(), LONG_S) for _ in range(CROWD)))
        assert [receipt.seq for receipt in receipts] == list(range(1, CROWD + 1))
        outcomes = await asyncio.gather(*(receipt.outcome(LONG_S) for receipt in receipts))
        assert [outcome.reply for outcome in outcomes] == [b"%d" % number for number in range(1, CROWD + 1)]

    run(main)


def test_a_crowd_that_gives_up(
    run: Callable[..., Any], load: Callable[..., Any], counts: Counter[str], has_room_for: Callable[..., Any]
) -> None:
    """Ten thousand tasks that are cancelled while they wait leave nothing, in as many steps as there are tasks."""

    async def main(system: AsyncPluginSystem) -> None:
        await load(system, capacity=2)
        await system.pause(P)
        await system.dispatch_many([(HANDSHAKE, header())] * 2)
        counts.clear()
        tasks = [asyncio.create_task(system.dispatch(HANDSHAKE, header(), LONG_S)) for _ in range(CROWD)]
        await asyncio.sleep(0)
        channel = system._running._session._traffic._channels[P]
        assert len(channel.waiting) == CROWD
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert len(channel.waiting) == 0
        assert counts["offer"] <= 2 * CROWD
        await system.resume(P)
        await system.drain(LONG_S)
        await has_room_for(system, 2)
        assert (await system.plugin_stats(P)).accepted == 4

    run(main)


def test_the_others_have_their_turns(run: Callable[..., Any], load: Callable[..., Any]) -> None:
    """While one task sends without end, others go on."""

    async def main(system: AsyncPluginSystem) -> None:
        await load(system, capacity=CROWD)
        sending = asyncio.create_task(system.dispatch_many([(DATA, header())] * CROWD, timeout=LONG_S))
        turns = 0
        while not sending.done():
            turns += 1
            await asyncio.sleep(0)
        assert turns >= CROWD // 256
        assert all(receipt.accepted for receipt in sending.result())  # type: ignore[union-attr]  # no errors

    run(main)
