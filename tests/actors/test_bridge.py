"""News crosses into a loop: all of it, with few wakings, from any thread, and without harm when the loop has gone."""

from __future__ import annotations

import asyncio
import threading

import pytest

from nyx_plugins import PluginNotRegistered, WrongLoop
from nyx_plugins.actors.async_receipt import AsyncReceipt
from nyx_plugins.actors.bridge import Bridge
from nyx_plugins.actors.receipt import Receipt

LONG_S = 30.0


def count_wakings(bridge: Bridge) -> list[int]:
    """Note each waking of the loop, by the amount of news then."""
    wakings: list[int] = []
    original = bridge._deliver

    def counting() -> None:
        wakings.append(len(bridge._news))
        original()

    bridge._deliver = counting  # type: ignore[method-assign]  # to look on
    return wakings


def test_the_loop_is_woken_once_for_all_that_was_posted() -> None:
    """A hundred signals and one ring are one waking; ringing without news is none."""

    async def main() -> None:
        bridge = Bridge()
        wakings = count_wakings(bridge)
        bridge.ring()
        signals = [bridge.signal() for _ in range(100)]
        for signal in signals:
            signal.post()
            bridge.ring()
        await asyncio.gather(*(signal.wait(LONG_S) for signal in signals))
        bridge.ring()
        assert wakings == [100]

    asyncio.run(main())


def test_nothing_is_lost_between_threads() -> None:
    """Whatever several threads post and ring at the same time, every signal arrives."""

    async def main() -> None:
        bridge = Bridge()
        signals = [bridge.signal() for _ in range(4000)]

        def post(mine: list[int]) -> None:
            for number in mine:
                signals[number].post()
                bridge.ring()

        threads = [threading.Thread(target=post, args=([*range(start, 4000, 4)],)) for start in range(4)]
        for thread in threads:
            thread.start()
        async with asyncio.timeout(LONG_S):
            await asyncio.gather(*(signal.wait(None) for signal in signals))
        for thread in threads:
            thread.join(LONG_S)
        assert not bridge._news

    asyncio.run(main())


def test_a_signal_ends_with_the_time_too() -> None:
    """Who waits in vain goes on; what is posted to nobody does no harm."""

    async def main() -> None:
        bridge = Bridge()
        late, left = bridge.signal(), bridge.signal()
        await late.wait(0.0)
        late.post()
        waiting = asyncio.ensure_future(left.wait(None))
        await asyncio.sleep(0)
        waiting.cancel()
        left.post()
        bridge.ring()
        await asyncio.gather(waiting, return_exceptions=True)
        assert waiting.cancelled()

    asyncio.run(main())


def test_a_loop_that_has_gone_is_not_told() -> None:
    """News for nobody is thrown away."""

    async def make() -> Bridge:
        return Bridge()

    bridge = asyncio.run(make())

    async def elsewhere() -> None:
        with pytest.raises(WrongLoop, match="another event loop"):
            bridge.check()

    bridge._news.append(None)  # type: ignore[arg-type]  # nobody will look
    bridge.ring()
    assert not bridge._news
    with pytest.raises(WrongLoop, match="no event loop"):
        bridge.check()
    asyncio.run(elsewhere())


def test_a_receipt_tells_each_what_they_wait_for() -> None:
    """Acceptance wakes those who wait for it and nobody else; a refusal is raised to all."""

    async def main() -> None:
        bridge = Bridge()
        inner = Receipt(7, 1, 9, threading.Condition())
        receipt = AsyncReceipt(inner, bridge)
        accepted = asyncio.ensure_future(receipt.wait_accepted(LONG_S))
        outcome = asyncio.ensure_future(receipt.outcome(LONG_S))
        await asyncio.sleep(0)
        inner._accept()
        bridge.ring()
        await accepted
        assert not outcome.done()
        inner._settle(b"reply")
        bridge.ring()
        assert (await outcome).reply == b"reply"
        assert receipt._waits == []

    asyncio.run(main())


def test_a_refusal_on_the_way_is_raised_to_all_who_wait() -> None:
    """Whoever waits for acceptance or for the outcome gets it, and so does who asks later."""

    async def main() -> None:
        bridge = Bridge()
        inner = Receipt(7, 1, 9, threading.Condition())
        receipt = AsyncReceipt(inner, bridge)
        waits = [asyncio.ensure_future(receipt.wait_accepted()), asyncio.ensure_future(receipt.outcome())]
        await asyncio.sleep(0)
        error = PluginNotRegistered(7)
        inner._refuse(error)
        bridge.ring()
        raised = await asyncio.gather(*waits, return_exceptions=True)
        assert [(type(each), str(each)) for each in raised] == [(PluginNotRegistered, str(error))] * 2
        with pytest.raises(PluginNotRegistered):
            await receipt.outcome()
        assert (receipt.accepted, receipt.error) == (False, error)

    asyncio.run(main())
