"""Many threads at once: nothing is lost, doubled or out of order, and the counters add up."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from nyx_plugins import PluginHeader, PluginStats, PluginSystem

HANDSHAKE, DATA = 0x51, 0x52
P = 7
LONG_S = 30.0


def header(data: bytes = b"", plugin_id: int = P) -> bytes:
    """Encode a header."""
    return PluginHeader(plugin_id, 0, data).encode()


def data_frames(*texts: bytes) -> list[tuple[int, bytes]]:
    """Make data frames for plugin ``P``."""
    return [(DATA, header(text)) for text in texts]


def adds_up(stats: PluginStats) -> bool:
    """Whether each accepted frame is somewhere."""
    return stats.accepted == stats.processed + stats.failed + stats.dead_lettered + stats.in_mailbox


def test_sixteen_threads_send_at_once(load: Callable[..., PluginSystem], counted: Callable[..., Any]) -> None:
    """Each thread's frames are processed in its order, none is lost or doubled, and the counts are exact."""
    system = load(capacity=40)
    books = counted(system)

    def send(_: int) -> list[int]:
        receipts = [system.dispatch(HANDSHAKE, header(), LONG_S) for _ in range(25)]
        return [int(receipt.outcome(LONG_S).reply or 0) for receipt in receipts]

    with ThreadPoolExecutor(16) as pool:
        seen = list(pool.map(send, range(16)))
    assert all(numbers == sorted(numbers) for numbers in seen)
    assert sorted(itertools.chain(*seen)) == list(range(1, 401))
    stats = system.plugin_stats(P)
    assert (stats.accepted, stats.processed, stats.in_mailbox) == (400, 400, 0)
    assert stats.peak <= 40
    assert (books.dispatched, books.refused) == (400, {})


def test_threads_that_do_not_wait_keep_their_order(load: Callable[..., PluginSystem]) -> None:
    """Frames sent without waiting are processed in the order in which their thread sent them."""
    system = load(capacity=2000)

    def send(_: int) -> list[int]:
        receipts = [system.dispatch_nowait(HANDSHAKE, header()) for _ in range(125)]
        return [int(receipt.outcome(LONG_S).reply or 0) for receipt in receipts]

    with ThreadPoolExecutor(16) as pool:
        seen = list(pool.map(send, range(16)))
    assert all(numbers == sorted(numbers) for numbers in seen)
    assert sorted(itertools.chain(*seen)) == list(range(1, 2001))


def test_the_counters_add_up_at_any_moment(load: Callable[..., PluginSystem]) -> None:
    """Accepted is processed, failed, dead-lettered and in the mailbox, whenever one looks."""
    system = load(capacity=64)
    texts = [b"x", b"y", b"raise"] * 500
    with ThreadPoolExecutor(2) as pool:
        senders = [pool.submit(system.dispatch_many, data_frames(*texts), timeout=LONG_S) for _ in range(2)]
        looks = [system.plugin_stats(P)]
        while not all(sender.done() for sender in senders):
            looks.append(system.plugin_stats(P))
    system.drain(LONG_S)
    looks.append(system.plugin_stats(P))
    assert all(map(adds_up, looks))
    assert [look.accepted for look in looks] == sorted(look.accepted for look in looks)
    assert max(look.in_mailbox for look in looks) <= 64
    assert (looks[-1].processed, looks[-1].failed, looks[-1].in_mailbox) == (2000, 1000, 0)
