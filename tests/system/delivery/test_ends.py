"""Unloading and closing with frames on their way: every receipt comes to its end."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from nyx_plugins import (
    Event,
    EventKind,
    FateUnknown,
    PluginFailed,
    PluginHeader,
    PluginNotLoaded,
    PluginNotRegistered,
    PluginSystem,
    Receipt,
    Settings,
    SystemStopped,
)
from nyx_plugins.config.settings import Durability, SystemSettings

DATA = 0x52
P = 7
ECHO = 1002
LONG_S = 30.0


def header(data: bytes = b"", plugin_id: int = P) -> bytes:
    """Encode a header."""
    return PluginHeader(plugin_id, 0, data).encode()


def data_frames(*texts: bytes) -> list[tuple[int, bytes]]:
    """Make data frames for plugin ``P``."""
    return [(DATA, header(text)) for text in texts]


def test_unloading_finishes_what_was_accepted(load: Callable[..., PluginSystem], fates: Callable[..., Any]) -> None:
    """Frames in the mailbox of a paused plugin are processed before it is gone; later ones find nobody."""
    system = load()
    system.pause(P)
    receipts = [system.dispatch_nowait(DATA, header(b"%d" % number)) for number in range(20)]
    system.unload(P)
    assert fates(receipts) == {"processed": 20}
    with pytest.raises(PluginNotRegistered):
        system.dispatch(DATA, header())
    for call in (system.plugin_stats, system.plugin_info, system.pause, system.unload):
        with pytest.raises(PluginNotRegistered):
            call(P)


@pytest.mark.needs_worker(reason="inline, an unload waits for the handler that is at work")
def test_what_was_handled_when_time_is_up_is_no_dead_letter(load: Callable[..., PluginSystem], gate: Any) -> None:
    """Of a list that a worker has in hand, the frames before the one at which it is killed have run: only the rest is
    dead-lettered."""
    system = load(f'[sandbox]\nread_paths = ["{gate.path.parent}"]\n', config={"gate": str(gate.path)})
    system.pause(P)
    receipts = [system.dispatch_nowait(*frame) for frame in data_frames(b"before", b"wait", b"after")]
    for receipt in receipts:
        receipt.wait_accepted(LONG_S)
    system.resume(P)
    with gate:
        system.unload(P, timeout=0.05)
    kinds = [str(receipt.outcome(LONG_S).kind) for receipt in receipts]
    assert kinds == ["processed", "dead_lettered", "dead_lettered"]
    assert {receipt.outcome().reason for receipt in receipts[1:]} == {"unloaded"}


def test_unloading_under_fire_leaves_no_receipt_open(
    load: Callable[..., PluginSystem],
    counted: Callable[..., Any],
    hammer: Callable[..., Any],
    fates: Callable[..., Any],
) -> None:
    """Each frame of four hammering threads is processed or refused, and exactly the processed ones are counted."""
    system = load(capacity=300)
    books = counted(system)
    crowd = hammer(system, until=PluginNotRegistered)
    system.unload(P, timeout=LONG_S)
    receipts, raised = crowd.join()
    ends = fates(receipts)
    assert set(ends) <= {"processed", "PluginNotLoaded", "PluginNotRegistered"}
    assert books.dispatched == ends["processed"]
    del ends["processed"]
    assert books.refused == ends + raised


def test_a_reloaded_plugin_has_all_its_room(
    load: Callable[..., PluginSystem],
    fault: Callable[..., Path],
    hammer: Callable[..., Any],
    has_room_for: Callable[..., None],
) -> None:
    """Frames of an earlier life under the same id cost the later one nothing."""
    system = load(capacity=10)
    crowd = hammer(system, until=PluginNotRegistered, threads=2, times=1)
    system.unload(P, timeout=LONG_S)
    crowd.join()
    system.load("builtin:echo", plugin_id=P, capacity=10)
    has_room_for(system, 10)


@pytest.mark.needs_worker(reason="on inline a handler that waits makes everybody wait")
def test_unloading_dead_letters_what_does_not_end_in_time(load: Callable[..., PluginSystem], gate: Any) -> None:
    """When the drain time is over, the frame in hand and those behind it are dead-lettered, and the plugin is gone."""
    system = load(f'[sandbox]\nread_paths = ["{gate.path.parent}"]\n', config={"gate": str(gate.path)})
    receipts = [system.dispatch(*frame) for frame in data_frames(b"wait", b"behind", b"it")]
    with gate:
        system.unload(P, timeout=0.05)
    outcomes = [receipt.outcome(LONG_S) for receipt in receipts]
    assert {(outcome.kind, outcome.reason) for outcome in outcomes} == {("dead_lettered", "unloaded")}
    assert not system.is_plugin_loaded(P)


@pytest.mark.needs_worker(reason="a plugin actor that is stopped takes a process")
@pytest.mark.parametrize("durability", ["memory", "disk"])
def test_unloading_dead_letters_what_a_silent_plugin_actor_has(
    durability: Durability,
    make_system: Callable[..., PluginSystem],
    census: Callable[..., Any],
    tmp_path: Path,
) -> None:
    """One that does not answer is killed, and another says what became of its frames: each can be delivered again."""
    system = make_system(Settings(SystemSettings(stop_timeout_s=0.2, state_dir=str(tmp_path / "state"))))
    system.load("builtin:echo", durability=durability)
    system.pause(ECHO)
    receipts = [system.dispatch(DATA, header(text, ECHO)) for text in (b"1", b"2", b"3")]
    os.kill(census(system).plugin_actor(ECHO), signal.SIGSTOP)
    system.unload(ECHO, timeout=0.0)
    ends = [receipt.outcome(LONG_S) for receipt in receipts]
    assert [(str(end.kind), end.reason) for end in ends] == [("dead_lettered", "unloaded")] * 3
    assert [letter.reason for letter in system.dead_letters(ECHO)] == ["unloaded"] * 3
    system.load("builtin:echo", durability=durability)
    assert system.plugin_stats(ECHO).accepted == 0
    assert len(system.redeliver(ECHO).accepted) == 3
    system.drain(LONG_S)
    assert system.plugin_stats(ECHO).processed == 3


@pytest.mark.needs_worker(reason="on inline a handler that waits makes everybody wait")
def test_closing_ends_everything_that_waits(
    make_system: Callable[..., PluginSystem], fault: Callable[..., Path], gate: Any
) -> None:
    """Close dead-letters what is unfinished and wakes those who wait for room, for outcomes and for events."""
    system = make_system()
    bundle = fault("obedient_plugin", plugin_id=P, sandbox=f'read_paths = ["{gate.path.parent}"]')
    system.load(bundle, capacity=1, config={"gate": str(gate.path)})
    subscription = system.subscribe()
    in_hand = system.dispatch(DATA, header(b"wait"))
    with ThreadPoolExecutor(3) as pool, gate:
        for_room = pool.submit(system.dispatch, DATA, header(b"no room"), LONG_S)
        for_outcome = pool.submit(in_hand.outcome, LONG_S)
        for_events = pool.submit(list, subscription)
        system.close(timeout=0.05)
        assert (for_outcome.result(LONG_S).kind, for_outcome.result().reason) == ("dead_lettered", "system stopped")
        assert isinstance(for_room.exception(LONG_S), (PluginNotLoaded, PluginNotRegistered, SystemStopped))
        assert Event(EventKind.UNLOADED, P) in for_events.result(LONG_S)


@pytest.mark.needs_worker(reason="on inline the plugin actor can't be killed alone")
def test_frames_of_a_plugin_that_was_given_up_come_to_their_end(
    load: Callable[..., PluginSystem], census: Callable[..., Any], wait_event: Callable[..., Any]
) -> None:
    """When its plugin actor is not started again, its frames are dead-lettered; its counters can be asked for."""
    system = load(manifest='[restart]\npolicy = "temporary"\n')
    system.pause(P)
    receipts = [system.dispatch(DATA, header()) for _ in range(3)]
    with system.subscribe() as subscription:
        os.kill(census(system).plugin_actor(P), signal.SIGKILL)
        wait_event(subscription, "failed", P)
    outcomes = [receipt.outcome(LONG_S) for receipt in receipts]
    assert {(outcome.kind, outcome.reason) for outcome in outcomes} == {("dead_lettered", "failed plugin")}
    with pytest.raises(PluginFailed):
        system.dispatch(DATA, header())
    stats = system.plugin_stats(P)
    assert (stats.state, stats.accepted, stats.dead_lettered, stats.worker_pid) == ("failed", 3, 3, None)
    system.drain(LONG_S)
    system.unload(P)


@pytest.mark.needs_worker(reason="on inline there is no host process")
def test_drain_tells_when_the_system_took_the_outcomes_with_it(make_system: Callable[..., PluginSystem]) -> None:
    """When the host process is killed, the receipts, and who waits in drain, get SystemStopped."""
    system = make_system()
    system.load("builtin:echo", plugin_id=P)
    system.pause(P)
    receipt = system.dispatch(DATA, header())
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(system.drain, LONG_S)
        os.kill(system.host_pid, signal.SIGKILL)
        with pytest.raises(SystemStopped, match="its host process ended"):
            waiting.result(LONG_S)
    with pytest.raises(SystemStopped, match="its host process ended"):
        receipt.outcome(LONG_S)
    assert receipt.accepted


@pytest.mark.needs_worker(reason="on inline there is no host process")
def test_many_frames_at_the_end_of_their_system(make_system: Callable[..., PluginSystem]) -> None:
    """Who sends them when the host process is killed still gets a receipt or an error for each, and each is true."""
    system = make_system()
    system.load("builtin:echo", plugin_id=P, capacity=5)
    system.pause(P)

    def frames() -> Iterator[tuple[int, bytes]]:
        yield from data_frames(*[b"accepted"] * 5)
        while system.plugin_stats(P).in_mailbox < 5:
            pass
        yield from data_frames(*[b"waits for room"] * 15)
        os.kill(system.host_pid, signal.SIGKILL)

    entries = system.dispatch_many(frames(), timeout=LONG_S)
    accepted, others = entries[:5], entries[5:]
    for entry in accepted:
        receipt = entry.receipt if isinstance(entry, FateUnknown) else entry
        assert isinstance(receipt, Receipt)
        with pytest.raises(FateUnknown) as unknown:
            receipt.outcome(0)
        assert unknown.value.receipt is receipt
    assert [type(entry) for entry in others] == [SystemStopped] * 15


def test_a_closed_system_says_so(make_system: Callable[..., PluginSystem]) -> None:
    """After close, which may be called again, every call raises SystemStopped."""
    system = make_system()
    system.load("builtin:echo", plugin_id=P)
    receipt = system.dispatch(DATA, header(b"last"))
    system.close()
    system.close()
    assert receipt.outcome(0).reply == b"last"
    calls: list[Callable[[], object]] = [
        lambda: system.dispatch(DATA, header()),
        lambda: system.dispatch_nowait(DATA, header()),
        lambda: system.dispatch_many(data_frames(b"x")),
        lambda: system.dispatch_many(data_frames(b"x"), wait=False),
        lambda: system.request(DATA, header()),
        lambda: system.load("builtin:kv"),
        lambda: system.unload(P),
        lambda: system.revoke(P, "control"),
        lambda: system.plugin_stats(P),
        system.dispatch_stats,
        system.subscribe,
    ]
    for call in calls:
        with pytest.raises(SystemStopped, match="the plugin system has stopped: it was closed"):
            call()
    system.drain(0)
