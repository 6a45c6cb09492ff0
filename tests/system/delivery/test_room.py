"""After whatever has happened, all the room of a mailbox is there again."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from nyx_plugins import DispatchTimeout, PluginHeader, PluginSystem, Receipt

DATA, CONTROL = 0x52, 0x53
P = 7
LONG_S = 30.0


def header(data: bytes = b"", plugin_id: int = P) -> bytes:
    """Encode a header."""
    return PluginHeader(plugin_id, 0, data).encode()


def data_frames(*texts: bytes) -> list[tuple[int, bytes]]:
    """Make data frames for plugin ``P``."""
    return [(DATA, header(text)) for text in texts]


def burst(system: PluginSystem, rng: random.Random) -> list[Receipt]:
    """Send more than may fit, good and bad, without waiting."""
    texts = [rng.choice([b"x", b"raise", bytes(20_000)]) for _ in range(rng.randrange(12))]
    results = system.dispatch_many(data_frames(*texts), wait=False)
    return [result for result in results if isinstance(result, Receipt)]


def paused_burst(system: PluginSystem, rng: random.Random) -> list[Receipt]:
    """Fill the mailbox, and let some wait in vain."""
    system.pause(P)
    receipts = burst(system, rng)
    results = system.dispatch_many(data_frames(*[bytes(20_000)] * 9), timeout=0.01)
    assert isinstance(results[-1], DispatchTimeout)
    system.resume(P)
    # Where time was up between room and acceptance, the frame is on its way.
    both = [getattr(result, "receipt", result) for result in results]
    return receipts + [receipt for receipt in both if receipt is not None]


def overtaken_burst(system: PluginSystem, rng: random.Random) -> list[Receipt]:
    """Revoke while frames are on their way."""
    receipts = burst(system, rng)
    system.revoke(P, "data_access")
    system.grant(P, "data_access")
    return receipts


def refused_burst(system: PluginSystem, rng: random.Random) -> list[Receipt]:
    """Send what nobody takes."""
    frames = [(DATA, b"\xa0"), (0x60, header()), (DATA, header(plugin_id=99)), (CONTROL, header(b"SBX:"))]
    assert not any(isinstance(result, Receipt) for result in system.dispatch_many(frames))
    return []


def crash(system: PluginSystem, rng: random.Random) -> list[Receipt]:
    """Kill the worker with frames before and behind the fatal one."""
    return [*burst(system, rng), system.dispatch(DATA, header(b"exit"), LONG_S), *burst(system, rng)]


@pytest.mark.parametrize("seed", range(3))
def test_no_room_is_lost(
    load: Callable[..., PluginSystem],
    transport: str,
    seed: int,
    fates: Callable[..., Any],
    has_room_for: Callable[..., None],
    wait_event: Callable[..., Any],
) -> None:
    """After any mix of frames, refusals, time-outs, pauses, revokes and a crash, the whole capacity is there again."""
    rng = random.Random(seed)
    system = load(capacity=8, capacity_bytes=65_536)
    steps = [burst, paused_burst, overtaken_burst, refused_burst] * 3
    steps += [crash] if transport == "unix" else []
    rng.shuffle(steps)
    receipts = []
    with system.subscribe() as subscription:
        for step in steps:
            receipts += step(system, rng)
            if step is crash:
                wait_event(subscription, "restarted", P, LONG_S)
    ends = fates(receipts)
    assert set(ends) <= {"processed", "failed", "dead_lettered", "PermissionDenied"}
    assert ends["dead_lettered"] == steps.count(crash)
    system.drain(LONG_S)
    stats = system.plugin_stats(P)
    assert stats.accepted == stats.processed + stats.failed + stats.dead_lettered
    assert (stats.accepted, stats.in_mailbox, stats.bytes_held) == (ends.total() - ends["PermissionDenied"], 0, 0)
    has_room_for(system, 8)
