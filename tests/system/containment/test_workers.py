"""Handlers that raise, and workers that end: what is lost, and who goes on."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nyx_plugins import PluginSystem

from .conftest import DATA, NUMBERS, data, outcomes, processed, send

# Handlers that raise.


def test_a_plugin_that_raises_fails_that_frame_and_goes_on(system: PluginSystem, fault: Callable[..., Path]) -> None:
    """A handler that raises fails its frame with type and text, is counted, and the next frame is processed."""
    system.load(fault("raising_plugin"))
    good, bad, next_one = send(system, 1, b"a", b"raise", b"b")
    assert outcomes([good, next_one]) == processed(b"a", b"b")
    assert bad.outcome(30.0).reason == "ValueError: this frame is not to my taste"
    stats = system.plugin_stats(1)
    assert (stats.errors, stats.processed, stats.failed, stats.dead_lettered, stats.restarts) == (1, 2, 1, 0, 0)


def test_a_reply_beyond_the_limit_fails_its_frame_only(system: PluginSystem, fault: Callable[..., Path]) -> None:
    """A reply larger than max_reply_bytes becomes a failure that names both sizes."""
    system.load(fault("huge_reply_plugin"))
    huge, small = send(system, 1, b"1048577", b"1048576")
    assert huge.outcome(30.0).reason == "ReplyTooLarge: reply of 1,048,577 bytes: the limit is 1,048,576"
    assert outcomes([small]) == processed(bytes(1_048_576))


# Workers that end.


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("crashing_plugin", "exited with code 13"),
        ("segfaulting_plugin", "killed by SIGSEGV"),
        ("plugin_that_exits_cleanly", "exited with code 0"),
        ("spinning_plugin", "exceeded its wall time of 1 s per frame"),
        ("plugin_that_closes_its_socket", "closed its socket"),
    ],
)
def test_a_worker_that_ends_loses_exactly_the_frame_it_had_in_hand(
    name: str,
    cause: str,
    shared: PluginSystem,
    journaled: Callable[..., Any],
    plugin_id: int,
    wait_event: Callable[..., Any],
) -> None:
    """Whatever ends a worker: it is back at once, the suspect frame is dead-lettered, all others run once, in order."""
    # Only who spins is to be ended for it, and not with a frame that waits for a processor.
    wall_time_s = 1.0 if "wall time" in cause else 60.0
    journal = journaled(shared, name, f"[sandbox]\nwall_time_s = {wall_time_s}\n")
    with shared.subscribe() as events:
        frames = [*NUMBERS[:20], b"crash", *NUMBERS[20:]]
        receipts = send(shared, plugin_id, *frames)
        seen = [receipt.outcome(30.0) for receipt in receipts]
        restarted = wait_event(events, "restarted", plugin_id)
        wait_event(events, "ready", plugin_id)
    assert [str(outcome.kind) for outcome in seen] == ["processed"] * 20 + ["dead_lettered"] + ["processed"] * 30
    assert all(
        outcome.reply_lost or outcome.reply == frame
        for outcome, frame in zip(seen, frames, strict=True)
        if frame != b"crash"
    )
    assert cause in seen[20].reason
    assert journal() == frames
    assert [event.kind for event in restarted] == ["crashed", "restarted"]
    assert cause in restarted[0].reason
    stats = shared.plugin_stats(plugin_id)
    assert (stats.accepted, stats.processed, stats.dead_lettered, stats.in_mailbox) == (51, 50, 1, 0)
    assert (stats.restarts, stats.state) == (1, "ready")


def test_a_worker_killed_from_outside_is_restarted_and_loses_the_frame_in_hand(
    shared: PluginSystem,
    journaled: Callable[..., Any],
    plugin_id: int,
    census: Callable[..., Any],
    plugin_log: Any,
    wait_event: Callable[..., Any],
) -> None:
    """kill -9 of a worker in the middle of a frame: that frame is dead-lettered, the rest are processed in order."""
    journal = journaled(shared, "spinning_plugin")
    with shared.subscribe() as events:
        receipts = send(shared, plugin_id, b"1", b"crash", b"2", b"3")
        plugin_log.wait_for("spinning")
        os.kill(census(shared).worker(plugin_id), signal.SIGKILL)
        assert [kind for kind, _ in outcomes(receipts)] == ["processed", "dead_lettered", "processed", "processed"]
        wait_event(events, "restarted", plugin_id)
    assert receipts[1].outcome(0).reason == "crash: worker killed by SIGKILL (out of memory, or from outside)"
    assert journal() == [b"1", b"crash", b"2", b"3"]


def test_an_idle_worker_killed_from_outside_loses_nothing(
    shared: PluginSystem,
    fault: Callable[..., Path],
    plugin_id: int,
    census: Callable[..., Any],
    wait_event: Callable[..., Any],
) -> None:
    """kill -9 of a worker that has nothing in hand costs no frame."""
    shared.load(fault("crashing_plugin", plugin_id=plugin_id))
    assert outcomes(send(shared, plugin_id, b"before")) == processed(b"before")
    with shared.subscribe() as events:
        os.kill(census(shared).worker(plugin_id), signal.SIGKILL)
        receipts = send(shared, plugin_id, *NUMBERS)
        wait_event(events, "restarted", plugin_id)
    assert outcomes(receipts) == processed(*NUMBERS)
    assert shared.plugin_stats(plugin_id).dead_lettered == 0


def test_a_worker_that_left_a_child_with_its_socket_is_missed_when_it_ends(
    shared: PluginSystem,
    fault: Callable[..., Path],
    plugin_id: int,
    ends: Callable[..., Any],
    wait_event: Callable[..., Any],
) -> None:
    """A forked child that holds the worker's socket open neither hides the worker's end nor outlives it."""
    shared.load(fault("plugin_that_forks", plugin_id=plugin_id))
    children = ends([int(shared.request(DATA, data(plugin_id, verb)[0][1])) for verb in (b"fork", b"escape")])
    with shared.subscribe() as events:
        receipts = send(shared, plugin_id, b"crash", b"next")
        wait_event(events, "restarted", plugin_id, timeout=30.0)
    assert [kind for kind, _ in outcomes(receipts)] == ["dead_lettered", "processed"]
    assert children.still_there(30.0) == []


def test_unloading_ends_what_a_plugin_has_started(
    shared: PluginSystem, fault: Callable[..., Path], plugin_id: int, ends: Callable[..., Any]
) -> None:
    """Processes that a plugin forked, even into a session of their own, end with its unload."""
    shared.load(fault("plugin_that_forks", plugin_id=plugin_id))
    children = ends([int(shared.request(DATA, data(plugin_id, verb)[0][1])) for verb in (b"fork", b"escape")])
    shared.unload(plugin_id)
    assert children.still_there(30.0) == []


def test_a_plugin_at_its_memory_limit_fails_the_frame_only(
    shared: PluginSystem, fault: Callable[..., Path], plugin_id: int
) -> None:
    """Memory beyond the policy's limit is a MemoryError in the handler, and no more than that."""
    shared.load(fault("memory_hungry_plugin", "[sandbox]\nmemory_bytes = 134217728\n", plugin_id))
    greedy, modest = send(shared, plugin_id, b"eat", b"modest")
    assert greedy.outcome(30.0).reason.startswith("MemoryError")
    assert outcomes([modest]) == processed(b"modest")
