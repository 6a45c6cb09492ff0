"""Plugins that lie, flood and misbehave: what they do costs nobody but themselves."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nyx_plugins import PluginHeader, PluginSystem
from nyx_plugins.actors.events import Emitted

DATA = 0x52
NEIGHBOUR = 1002
NUMBERS = [b"%d" % number for number in range(50)]


def data(plugin_id: int, *texts: bytes) -> list[tuple[int, bytes]]:
    """Make data frames."""
    return [(DATA, PluginHeader(plugin_id, 0, text).encode()) for text in texts]


def send(system: PluginSystem, plugin_id: int, *texts: bytes) -> list[Any]:
    """Send data frames; returns their receipts."""
    return system.dispatch_many(data(plugin_id, *texts), timeout=30.0)


def outcomes(receipts: list[Any]) -> list[tuple[str, bytes | None]]:
    """Wait for the outcomes; a kind and a reply for each."""
    return [(str(outcome.kind), outcome.reply) for outcome in (receipt.outcome(30.0) for receipt in receipts)]


def processed(*texts: bytes) -> list[tuple[str, bytes | None]]:
    """Say what outcomes echoed frames have."""
    return [("processed", text) for text in texts]


# Workers that lie.


def garbage() -> dict[str, bytes]:
    """Say what breaks the protocol, and how."""
    return {
        "length 0": bytes(4),
        "a length beyond the limit": b"\xff\xff\xff\xff",
        "no CBOR": b"\0\0\0\1\xff",
        "a tag": b"\0\0\0\3\xc1\x81\x0b",
        "no array": b"\0\0\0\1\x0b",
        "an unknown kind": b"\0\0\0\3\x81\x18\x63",
        "the wrong fields": b"\0\0\0\4\x83\x0d\x00\x00",
        "READY again, with more": b"\0\0\0\3\x82\x0b\x00",
        "STOPPED, unasked": b"\0\0\0\3\x82\x10\xf6",
    }


@pytest.mark.parametrize("scribble", garbage().values(), ids=garbage().keys())
def test_garbage_on_its_socket_ends_the_worker_and_is_a_violation(
    scribble: bytes,
    shared: PluginSystem,
    fault: Callable[..., Path],
    plugin_id: int,
    wait_event: Callable[..., Any],
) -> None:
    """Whatever is no message of the protocol ends the worker, is published as a violation, and costs one frame."""
    shared.load(fault("plugin_that_scribbles_on_its_socket", plugin_id=plugin_id))
    with shared.subscribe() as events:
        receipts = send(shared, plugin_id, b"!" + scribble, b"next")
        seen = wait_event(events, "restarted", plugin_id)
        if not any(event.kind == "violation" for event in seen):
            wait_event(events, "violation", plugin_id)
    first, second = [receipt.outcome(30.0) for receipt in receipts]
    assert (str(second.kind), second.reply) == ("processed", b"next") or second.kind == "dead_lettered"
    assert first.kind == "dead_lettered" or first.reply_lost
    assert shared.plugin_stats(plugin_id).dead_lettered <= 1


@pytest.mark.parametrize("lie", [b"0 1", b"1 1", b"-1 1", b"0 100", b"0 3", b"1000000 1"])
def test_results_for_frames_that_are_not_due_end_the_worker(
    lie: bytes, shared: PluginSystem, fault: Callable[..., Path], plugin_id: int, wait_event: Callable[..., Any]
) -> None:
    """Forged results end the worker before they can settle a frame twice or one that it was not given."""
    shared.load(fault("plugin_that_lies", plugin_id=plugin_id))
    assert outcomes(send(shared, plugin_id, b"honest")) == processed(b"honest")
    with shared.subscribe() as events:
        [receipt] = send(shared, plugin_id, lie)
        assert receipt.outcome(30.0).reply in (None, b"forged")
        wait_event(events, "restarted", plugin_id)
    assert outcomes(send(shared, plugin_id, b"honest")) == processed(b"honest")
    stats = shared.plugin_stats(plugin_id)
    assert stats.accepted == stats.processed + stats.dead_lettered == 3


@pytest.mark.parametrize(
    ("index", "count"),
    [(0, 0), (2**64 - 1, 2**64 - 1), (0, 2**64 - 1), (2**63, 1), (1, 1), (3, 1)],
)
def test_a_false_mark_costs_only_frames_of_its_own_plugin(
    index: int, count: int, shared: PluginSystem, fault: Callable[..., Path], plugin_id: int
) -> None:
    """A worker that lies about the frame in hand and dies: every frame still has exactly one outcome."""
    shared.load(fault("plugin_that_scribbles_on_its_page", "[restart]\nmax_restarts = 1\n", plugin_id))
    assert outcomes(send(shared, plugin_id, b"0")) == processed(b"0")
    # Where it hides that it was this frame, the frame is handed to it again, within the intensity.
    receipts = send(shared, plugin_id, b"1", b"exit %d %d" % (index, count), b"3", b"4")
    seen = [receipt.outcome(30.0).kind for receipt in receipts]
    assert set(seen) <= {"processed", "dead_lettered"}
    stats = shared.plugin_stats(plugin_id)
    assert (stats.accepted, stats.in_mailbox, stats.processed + stats.dead_lettered) == (5, 0, 5)


def test_a_plugin_that_keeps_changing_its_mark_still_meets_its_deadline(
    shared: PluginSystem, fault: Callable[..., Path], plugin_id: int, wait_event: Callable[..., Any]
) -> None:
    """Only marks that move on within the frames handed out count as progress."""
    manifest = "[sandbox]\nwall_time_s = 0.2\n"
    shared.load(fault("plugin_that_scribbles_on_its_page", manifest, plugin_id))
    with shared.subscribe() as events:
        [receipt] = send(shared, plugin_id, b"spin")
        crashed = wait_event(events, "crashed", plugin_id, timeout=30.0)[-1]
    assert "wall time" in crashed.reason
    assert receipt.outcome(30.0).kind in ("processed", "dead_lettered")


# Floods.


def test_a_flood_of_emits_is_bounded_and_every_loss_is_counted(
    shared: PluginSystem, fault: Callable[..., Path], plugin_id: int, wait_event: Callable[..., Any]
) -> None:
    """Of more emits than anybody takes the newest arrive, in order, and the rest are counted as dropped."""
    with shared.subscribe(capacity=100) as frames:
        shared.load(fault("plugin_that_floods_emits", plugin_id=plugin_id))
        wait_event(frames, "ready", plugin_id)
        assert outcomes(send(shared, plugin_id, b"20000")) == processed(b"done")
        numbers: list[int] = []
        while not numbers or numbers[-1] != 19_999:
            notice = frames.get(30.0)
            assert notice is not None
            if isinstance(notice, Emitted):
                numbers.append(int(notice.data))
    assert numbers == sorted(set(numbers))
    assert frames.dropped == 20_000 - len(numbers)


def test_a_flood_of_log_lines_is_cut_to_its_rate_and_said_so(
    shared: PluginSystem, fault: Callable[..., Path], plugin_id: int, plugin_log: Any
) -> None:
    """A plugin logs at most log_lines_per_s lines in a second; how many were dropped is a line itself."""
    shared.load(fault("plugin_that_floods_logs", plugin_id=plugin_id))
    assert outcomes(send(shared, plugin_id, b"5000")) == processed(b"done")
    lines = plugin_log.wait_for("log lines dropped")
    flood = [line for line in lines if f"[plugin {plugin_id}] flood" in line]
    assert len(flood) <= 300
    assert "more than 100 in a second" in lines[-1]


def test_what_a_plugin_prints_becomes_log_lines(
    shared: PluginSystem, fault: Callable[..., Path], plugin_id: int, plugin_log: Any
) -> None:
    """Standard output and standard error of a worker arrive in the log of the plugins, line by line."""
    shared.load(fault("plugin_that_prints", plugin_id=plugin_id))
    send(shared, plugin_id, b"hello", "!grüße".encode())
    plugin_log.wait_for(f"[plugin {plugin_id}] hello")
    plugin_log.wait_for(f"[plugin {plugin_id}] !grüße")


def test_endless_printing_without_a_line_end_is_bounded(
    shared: PluginSystem, fault: Callable[..., Path], plugin_id: int, census: Callable[..., Any]
) -> None:
    """Megabytes without a line end do not gather in the plugin actor."""
    shared.load(fault("plugin_that_prints", plugin_id=plugin_id))
    actor = census(shared).plugin_actor(plugin_id)
    before = resident(actor)
    assert outcomes(send(shared, plugin_id, b"flood")) == [("processed", None)]
    assert resident(actor) - before < 4 << 20


def resident(pid: int) -> int:
    """Read the resident memory of a process, in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


# Neighbours.


@pytest.mark.parametrize(
    "name", ["crashing_plugin", "spinning_plugin", "plugin_that_floods_emits", "plugin_that_closes_its_socket"]
)
def test_neighbours_do_not_notice(
    name: str, shared: PluginSystem, fault: Callable[..., Path], plugin_id: int, census: Callable[..., Any]
) -> None:
    """While one plugin misbehaves, all frames of another are processed, in order, by the same worker."""
    shared.load(fault(name, "[sandbox]\nwall_time_s = 0.2\n", plugin_id))
    before = shared.plugin_stats(NEIGHBOUR)
    bad = b"1000" if name == "plugin_that_floods_emits" else b"crash"
    numbers = [b"%d" % number for number in range(1000)]
    frames = data(NEIGHBOUR, *numbers)
    receipts = shared.dispatch_many([*frames[:500], *data(plugin_id, bad), *frames[500:]], timeout=30.0)
    neighbours = receipts[:500] + receipts[501:]
    assert outcomes(neighbours) == processed(*numbers)
    receipts[500].outcome(30.0)
    after = shared.plugin_stats(NEIGHBOUR)
    assert (after.processed - before.processed, after.restarts, after.state) == (1000, 0, "ready")


def test_a_spinning_plugin_does_not_delay_the_answers_of_its_actor(
    shared: PluginSystem, fault: Callable[..., Path], plugin_id: int, plugin_log: Any
) -> None:
    """Statistics of a plugin are answered while it spins, and its mailbox accepts."""
    shared.load(fault("spinning_plugin", "[sandbox]\nwall_time_s = 60\n", plugin_id))
    spinning = send(shared, plugin_id, b"crash")
    plugin_log.wait_for("spinning")
    waiting = send(shared, plugin_id, *NUMBERS)
    stats = shared.plugin_stats(plugin_id)
    assert (stats.accepted, stats.in_mailbox, stats.state) == (51, 51, "ready")
    shared.unload(plugin_id, timeout=0.0)
    assert {str(receipt.outcome(30.0).kind) for receipt in spinning + waiting} == {"dead_lettered"}
