"""What a broken plugin does hurts nobody but itself: crashes, hangs, floods and lies of every kind."""

from __future__ import annotations

import itertools
import os
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from nyx_plugins import PluginHeader, PluginSystem
from nyx_plugins.config.sandbox import Ceiling
from nyx_plugins.config.settings import LimitSettings, Settings, SupervisionSettings
from nyx_plugins.plugins.errors import PluginFailed, PluginNotLoaded

DATA = 0x52

SETTINGS = Settings(limits=LimitSettings(mailbox_capacity=2000), ceiling=Ceiling(write_paths=(tempfile.gettempdir(),)))

JOURNAL = '''
from nyx_plugins.plugins import Plugin
from plugin import Fault as _Fault

class Fault(_Fault):
    """The same, and writes down each data frame before it is handled."""

    def on_load(self, ctx):
        super().on_load(ctx)
        self._journal = open(ctx.config["journal"], "ab", buffering=0)

    def on_data(self, frame):
        self._journal.write(frame.data + b"\\n")
        return super().on_data(frame)
'''


@pytest.fixture
def journaled(fault: Callable[..., Path], plugin_id: int, tmp_path: Path) -> Callable[..., Any]:
    """Return a function that loads a fault which keeps a journal, and the function that reads the journal."""
    journal = tmp_path / "journal"

    def load(system: PluginSystem, name: str, manifest: str = "") -> Callable[[], list[bytes]]:
        bundle = fault(name, manifest, plugin_id, f'write_paths = ["{tmp_path}"]')
        (bundle / "journaling.py").write_text(JOURNAL)
        toml = bundle / "plugin.toml"
        toml.write_text(toml.read_text().replace("plugin:Fault", "journaling:Fault"))
        system.load(bundle, config={"journal": str(journal)})
        return lambda: journal.read_bytes().splitlines()

    return load


def data(plugin_id: int, *texts: bytes) -> list[tuple[int, bytes]]:
    """Make data frames."""
    return [(DATA, PluginHeader(plugin_id, 0, text).encode()) for text in texts]


def send(system: PluginSystem, plugin_id: int, *texts: bytes) -> list[Any]:
    """Send data frames; returns their receipts."""
    return system.dispatch_many(data(plugin_id, *texts), timeout=10.0)


def outcomes(receipts: list[Any]) -> list[tuple[str, bytes | None]]:
    """Wait for the outcomes; a kind and a reply for each."""
    return [(str(outcome.kind), outcome.reply) for outcome in (receipt.outcome(15.0) for receipt in receipts)]


def processed(*texts: bytes) -> list[tuple[str, bytes | None]]:
    """Say what outcomes echoed frames have."""
    return [("processed", text) for text in texts]


NUMBERS = [b"%d" % number for number in range(50)]


# Handlers that raise.


def test_a_plugin_that_raises_fails_that_frame_and_goes_on(system: PluginSystem, fault: Callable[..., Path]) -> None:
    """A handler that raises fails its frame with type and text, is counted, and the next frame is processed."""
    system.load(fault("raising_plugin"))
    good, bad, next_one = send(system, 1, b"a", b"raise", b"b")
    assert outcomes([good, next_one]) == processed(b"a", b"b")
    assert bad.outcome(10.0).reason == "ValueError: this frame is not to my taste"
    stats = system.plugin_stats(1)
    assert (stats.errors, stats.processed, stats.failed, stats.dead_lettered, stats.restarts) == (1, 2, 1, 0, 0)


def test_a_reply_beyond_the_limit_fails_its_frame_only(system: PluginSystem, fault: Callable[..., Path]) -> None:
    """A reply larger than max_reply_bytes becomes a failure that names both sizes."""
    system.load(fault("huge_reply_plugin"))
    huge, small = send(system, 1, b"1048577", b"1048576")
    assert huge.outcome(10.0).reason == "ReplyTooLarge: reply of 1,048,577 bytes: the limit is 1,048,576"
    assert outcomes([small]) == processed(bytes(1_048_576))


# Workers that end.


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("crashing_plugin", "exited with code 13"),
        ("segfaulting_plugin", "killed by SIGSEGV"),
        ("plugin_that_exits_cleanly", "exited with code 0"),
        ("spinning_plugin", "exceeded its wall time of 0.2 s per frame"),
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
    journal = journaled(shared, name, "[sandbox]\nwall_time_s = 0.2\n")
    with shared.subscribe() as events:
        frames = [*NUMBERS[:20], b"crash", *NUMBERS[20:]]
        receipts = send(shared, plugin_id, *frames)
        seen = [receipt.outcome(15.0) for receipt in receipts]
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
        wait_event(events, "restarted", plugin_id, timeout=4.0)
    assert [kind for kind, _ in outcomes(receipts)] == ["dead_lettered", "processed"]
    assert children.still_there(5.0) == []


def test_unloading_ends_what_a_plugin_has_started(
    shared: PluginSystem, fault: Callable[..., Path], plugin_id: int, ends: Callable[..., Any]
) -> None:
    """Processes that a plugin forked, even into a session of their own, end with its unload."""
    shared.load(fault("plugin_that_forks", plugin_id=plugin_id))
    children = ends([int(shared.request(DATA, data(plugin_id, verb)[0][1])) for verb in (b"fork", b"escape")])
    shared.unload(plugin_id)
    assert children.still_there(5.0) == []


def test_a_plugin_at_its_memory_limit_fails_the_frame_only(
    shared: PluginSystem, fault: Callable[..., Path], plugin_id: int
) -> None:
    """Memory beyond the policy's limit is a MemoryError in the handler, and no more than that."""
    shared.load(fault("memory_hungry_plugin", "[sandbox]\nmemory_bytes = 134217728\n", plugin_id))
    greedy, modest = send(shared, plugin_id, b"eat", b"modest")
    assert greedy.outcome(10.0).reason.startswith("MemoryError")
    assert outcomes([modest]) == processed(b"modest")


# Restarts.


@pytest.mark.parametrize(
    ("policy", "name", "restarted"),
    [
        ("permanent", "plugin_that_exits_cleanly", True),
        ("transient", "crashing_plugin", True),
        ("transient", "plugin_that_exits_cleanly", False),
        ("temporary", "crashing_plugin", False),
        ("temporary", "plugin_that_exits_cleanly", False),
    ],
)
def test_the_restart_policy_decides_who_is_started_again(
    policy: str,
    name: str,
    restarted: bool,
    shared: PluginSystem,
    fault: Callable[..., Path],
    plugin_id: int,
    wait_event: Callable[..., Any],
) -> None:
    """Permanent plugins are always restarted, transient ones after an abnormal end, temporary ones never."""
    shared.load(fault(name, f'[restart]\npolicy = "{policy}"\n', plugin_id))
    with shared.subscribe() as events:
        send(shared, plugin_id, b"crash")[0].outcome(10.0)
        last = wait_event(events, "restarted" if restarted else "failed", plugin_id)[-1]
    if restarted:
        assert outcomes(send(shared, plugin_id, b"on")) == processed(b"on")
    else:
        assert "exited with code" in last.reason
        assert shared.plugin_stats(plugin_id).state == "failed"


@pytest.mark.needs_worker(reason="inline has no backoff")
def test_restarts_back_off_and_end_at_the_intensity(
    make_system: Callable[..., PluginSystem], fault: Callable[..., Path], wait_event: Callable[..., Any]
) -> None:
    """The second restart waits backoff_initial_s, the third twice as long; past max_restarts the plugin is failed."""
    pauses = SupervisionSettings(max_restarts=3, backoff_initial_s=0.3, jitter=0.0)
    system = make_system(attrs.evolve(SETTINGS, supervision=pauses))
    system.load(fault("crashing_plugin"))
    with system.subscribe() as events:
        for least in (0.0, 0.3, 0.6):
            sent = time.monotonic()
            send(system, 1, b"crash")
            assert [event.kind for event in wait_event(events, "restarted", 1)] == ["crashed", "restarted"]
            assert time.monotonic() - sent >= least
        waiting = send(system, 1, b"crash", b"never")
        assert [event.kind for event in wait_event(events, "failed", 1)] == ["crashed", "failed"]
    assert [receipt.outcome(10.0).kind for receipt in waiting] == ["dead_lettered"] * 2
    assert waiting[1].outcome(0).reason == "failed plugin"
    stats = system.plugin_stats(1)
    assert (stats.state, stats.restarts, stats.accepted, stats.dead_lettered) == ("failed", 3, 5, 5)


def test_a_failed_plugin_refuses_frames_and_can_be_replaced(
    shared: PluginSystem, fault: Callable[..., Path], plugin_id: int, wait_event: Callable[..., Any]
) -> None:
    """What was given up says so to senders, leaves cleanly when it is unloaded, and its id can be loaded again."""
    bundle = fault("crashing_plugin", '[restart]\npolicy = "temporary"\n', plugin_id)
    shared.load(bundle)
    with shared.subscribe() as events:
        send(shared, plugin_id, b"crash")
        wait_event(events, "failed", plugin_id)
        with pytest.raises(PluginFailed, match=r"given up|exited with code 13"):
            shared.dispatch(*data(plugin_id, b"x")[0])
        shared.unload(plugin_id)
        wait_event(events, "unloaded", plugin_id)
    shared.load(bundle)
    assert outcomes(send(shared, plugin_id, b"again")) == processed(b"again")


@pytest.mark.needs_worker(reason="inline has no backoff")
def test_frames_for_a_plugin_that_waits_for_its_restart_are_kept(
    make_system: Callable[..., PluginSystem], fault: Callable[..., Path], wait_event: Callable[..., Any]
) -> None:
    """While a plugin is restarting its mailbox accepts; all is processed in order once it is back."""
    pauses = SupervisionSettings(backoff_initial_s=0.3, jitter=0.0)
    system = make_system(attrs.evolve(SETTINGS, supervision=pauses))
    system.load(fault("crashing_plugin"))
    with system.subscribe() as events:
        send(system, 1, b"crash")
        wait_event(events, "restarted", 1)
        send(system, 1, b"crash")
        wait_event(events, "crashed", 1)
        receipts = send(system, 1, *NUMBERS)
        assert system.is_plugin_loaded(1)
        assert outcomes(receipts) == processed(*NUMBERS)


@pytest.mark.needs_worker(reason="inline has no backoff")
def test_a_plugin_that_waits_for_its_restart_says_so(
    shared: PluginSystem, fault: Callable[..., Path], plugin_id: int, wait_event: Callable[..., Any]
) -> None:
    """It can't be paused; the error does not claim that it is not loaded, and it can be unloaded."""
    shared.load(fault("crashing_plugin", plugin_id=plugin_id))
    with shared.subscribe() as events:
        for kind in ("restarted", "crashed"):
            send(shared, plugin_id, b"crash")
            wait_event(events, kind, plugin_id)
    with pytest.raises(PluginNotLoaded, match=rf"^plugin {plugin_id} is being restarted: .* or unload it$"):
        shared.pause(plugin_id)
    shared.unload(plugin_id)


# Plugin actors that end.


@pytest.mark.needs_worker(reason="a plugin actor is a process of its own only where transports have processes")
def test_kill_9_of_a_plugin_actor_loses_no_accepted_frame(
    system: PluginSystem, fault: Callable[..., Path], census: Callable[..., Any], wait_event: Callable[..., Any]
) -> None:
    """The Supervisor restarts it; its mailbox, its counters and its pause survive, and receipts get their outcomes."""
    system.load(fault("crashing_plugin"))
    assert outcomes(send(system, 1, b"1", b"2")) == processed(b"1", b"2")
    system.pause(1)
    receipts = send(system, 1, *NUMBERS)
    with system.subscribe() as events:
        os.kill(census(system).plugin_actor(1), signal.SIGKILL)
        seen = wait_event(events, "restarted", 1)
        assert (seen[0].kind, seen[0].reason, seen[-1].reason) == ("crashed", "plugin actor ended", "plugin actor")
        assert not any(receipt.done for receipt in receipts)
        later = send(system, 1, b"later")
        system.resume(1)
    assert outcomes(receipts + later) == processed(*NUMBERS, b"later")
    stats = system.plugin_stats(1)
    assert (stats.accepted, stats.processed, stats.in_mailbox) == (53, 53, 0)
    assert system.dispatch_stats().frames_dispatched == 53


@pytest.mark.needs_worker(reason="a plugin actor is a process of its own only where transports have processes")
def test_kill_9_of_a_plugin_actor_dead_letters_exactly_the_frame_in_hand(
    system: PluginSystem,
    journaled: Callable[..., Any],
    plugin_id: int,
    census: Callable[..., Any],
    plugin_log: Any,
    ends: Callable[..., Any],
) -> None:
    """With the actor dies its worker; the frame in its hand is suspect, those behind it run once, in order."""
    journal = journaled(system, "spinning_plugin")
    receipts = send(system, plugin_id, b"1", b"crash", b"2", b"3")
    plugin_log.wait_for("spinning")
    worker = ends([census(system).worker(plugin_id)])
    os.kill(census(system).plugin_actor(plugin_id), signal.SIGKILL)
    assert worker.still_there(5.0) == []
    assert [kind for kind, _ in outcomes(receipts)] == ["processed", "dead_lettered", "processed", "processed"]
    assert journal() == [b"1", b"crash", b"2", b"3"]


@pytest.mark.needs_worker(reason="a plugin actor is a process of its own only where transports have processes")
def test_a_plugin_actor_killed_again_and_again_loses_and_doubles_nothing(
    make_system: Callable[..., PluginSystem],
    journaled: Callable[..., Any],
    plugin_id: int,
    census: Callable[..., Any],
    wait_event: Callable[..., Any],
) -> None:
    """Frames sent while the plugin actor is killed three times: each has one outcome and was handled at most once."""
    quick = SupervisionSettings(max_restarts=10, backoff_initial_s=0.0)
    system = make_system(attrs.evolve(SETTINGS, supervision=quick))
    journal = journaled(system, "crashing_plugin")
    frames = iter(b"%d" % number for number in itertools.count())
    sent: list[bytes] = []
    receipts: list[Any] = []
    with system.subscribe() as events:
        for _ in range(3):
            some = list(itertools.islice(frames, 300))
            sent += some
            receipts += system.dispatch_many(data(plugin_id, *some), wait=False)
            os.kill(census(system).plugin_actor(plugin_id), signal.SIGKILL)
            wait_event(events, "restarted", plugin_id)
        seen = [receipt.outcome(15.0) for receipt in receipts]
    kinds = [str(outcome.kind) for outcome in seen]
    # Whatever was in hand when its actor was killed is suspect: at most one frame for each kill.
    assert kinds.count("processed") >= len(sent) - 3
    assert set(kinds) <= {"processed", "dead_lettered"}
    handled = set(journal())
    assert journal() == [frame for frame in sent if frame in handled]
    assert handled >= {frame for frame, kind in zip(sent, kinds, strict=True) if kind == "processed"}
    stats = system.plugin_stats(plugin_id)
    assert stats.accepted == len(sent) == stats.processed + stats.dead_lettered
    assert kinds.count("dead_lettered") == stats.dead_lettered


@pytest.mark.needs_worker(reason="a plugin actor is a process of its own only where transports have processes")
def test_a_plugin_whose_actor_ends_too_often_is_failed_and_its_frames_have_outcomes(
    make_system: Callable[..., PluginSystem],
    fault: Callable[..., Path],
    census: Callable[..., Any],
    wait_event: Callable[..., Any],
) -> None:
    """Past the intensity the plugin is failed, with an event; what its mailbox held is dead-lettered."""
    system = make_system(attrs.evolve(SETTINGS, supervision=SupervisionSettings(max_restarts=1)))
    system.load(fault("crashing_plugin"))
    system.pause(1)
    receipts = send(system, 1, *NUMBERS)
    with system.subscribe() as events:
        os.kill(census(system).plugin_actor(1), signal.SIGKILL)
        wait_event(events, "restarted", 1)
        os.kill(census(system).plugin_actor(1), signal.SIGKILL)
        assert "plugin actor not restarted" in wait_event(events, "failed", 1)[-1].reason
    assert [kind for kind, _ in outcomes(receipts)] == ["dead_lettered"] * len(NUMBERS)
    stats = system.plugin_stats(1)
    assert (stats.state, stats.dead_lettered, stats.in_mailbox) == ("failed", len(NUMBERS), 0)
    with pytest.raises(PluginFailed):
        system.dispatch(*data(1, b"late")[0])
    assert system.plugin_info(1).state == "failed"
    system.unload(1)
    system.load(fault("raising_plugin"))
    assert outcomes(send(system, 1, b"again")) == processed(b"again")
