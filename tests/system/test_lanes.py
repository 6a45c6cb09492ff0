"""Frames on their way to workers: priorities, time to live, repeated deliveries, and several instances of a plugin."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable, Iterable
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from nyx_plugins import PluginHeader, PluginSystem
from nyx_plugins.config.sandbox import Ceiling
from nyx_plugins.config.settings import LimitSettings, Settings, SupervisionSettings
from nyx_plugins.plugins.errors import PluginNotRegistered

DATA, CONTROL = 0x52, 0x53
WAIT_S = 60.0
SETTINGS = Settings(
    limits=LimitSettings(mailbox_capacity=2000, wall_time_s=60.0),
    ceiling=Ceiling(write_paths=(tempfile.gettempdir(),)),
    supervision=SupervisionSettings(max_restarts=20, backoff_initial_s=0.0),
)
processes = pytest.mark.needs_worker(reason="on inline there is no process to kill")


class Note(NamedTuple):
    """One line of the journal."""

    pid: int
    frame_type: int
    data: bytes


class Recorder(NamedTuple):
    """A loaded plugin that writes down what it gets."""

    system: PluginSystem
    plugin_id: int
    path: Path

    def notes(self) -> list[Note]:
        """Return what it has got."""
        rows = (line.split(b"|", 2) for line in self.path.read_bytes().splitlines())
        return [Note(int(pid), int(kind), data) for pid, kind, data in rows]

    def datas(self) -> list[bytes]:
        """Return the data of that."""
        return [note.data for note in self.notes()]

    def header(self, data: bytes) -> PluginHeader:
        """Make a header for it."""
        return PluginHeader(self.plugin_id, 0, data)

    def send(self, datas: Iterable[bytes], kind: int = DATA, **more: Any) -> list[Any]:
        """Send frames, and return their receipts once all are accepted."""
        return self.system.dispatch_many([(kind, self.header(data)) for data in datas], timeout=WAIT_S, **more)


@pytest.fixture
def recorder(
    lend: Callable[[Settings], PluginSystem], fault: Callable[..., Path], plugin_id: int, tmp_path: Path
) -> Callable[..., Recorder]:
    """Return a function that loads a plugin which writes down what it gets."""

    def load(manifest: str = "", **options: Any) -> Recorder:
        system, journal = lend(SETTINGS), tmp_path / "journal"
        journal.touch()
        bundle = fault("recording_plugin", manifest, plugin_id, f'write_paths = ["{tmp_path}"]')
        system.load(bundle, config={"journal": str(journal)}, **options)
        return Recorder(system, plugin_id, journal)

    return load


def kinds(receipts: Iterable[Any]) -> list[str]:
    """Wait for the outcomes."""
    return [str(receipt.outcome(WAIT_S).kind) for receipt in receipts]


def numbers(count: int, first: int = 0) -> list[bytes]:
    """Return different data."""
    return [b"%d" % number for number in range(first, first + count)]


def check_balance(system: PluginSystem, plugin_id: int) -> None:
    """Every accepted frame has an outcome or waits, and the instances' shares are those of the whole."""
    stats = system.plugin_stats(plugin_id)
    assert stats.accepted == stats.processed + stats.failed + stats.dead_lettered + stats.in_mailbox
    assert stats.in_mailbox == sum(one.depth for one in stats.instances)


def test_control_frames_overtake_data_frames(recorder: Callable[..., Recorder]) -> None:
    """What waits in the mailbox is handed out control frames first, each kind in its order."""
    plugin = recorder()
    plugin.system.pause(plugin.plugin_id)
    receipts = plugin.send(numbers(50)) + plugin.send([b"a", b"b"], CONTROL) + plugin.send(numbers(50, 50))
    plugin.system.resume(plugin.plugin_id)
    assert kinds(receipts) == ["processed"] * 102
    assert plugin.datas() == [b"a", b"b", *numbers(100)]
    check_balance(plugin.system, plugin.plugin_id)


@pytest.mark.needs_worker(reason="on inline nothing happens between two calls")
def test_a_frame_whose_time_is_over_is_dead_lettered_even_while_its_plugin_is_paused(
    recorder: Callable[..., Recorder],
) -> None:
    """Nobody has to hand it out for that to be noticed; frames behind it are not held up."""
    plugin = recorder()
    plugin.system.pause(plugin.plugin_id)
    gone = [plugin.system.dispatch(kind, plugin.header(b"late"), ttl=0.05) for kind in (DATA, CONTROL)]
    [behind] = plugin.send([b"behind"])
    outcomes = [receipt.outcome(WAIT_S) for receipt in gone]
    assert [(outcome.kind, outcome.reason) for outcome in outcomes] == [("dead_lettered", "expired")] * 2
    plugin.system.resume(plugin.plugin_id)
    assert behind.outcome(WAIT_S).kind == "processed"
    assert plugin.datas() == [b"behind"]


@processes
@pytest.mark.parametrize("kind", [DATA, CONTROL])
@pytest.mark.parametrize("victim", ["worker", "plugin_actor"])
def test_kill_9_makes_exactly_the_frame_in_hand_suspect(
    recorder: Callable[..., Recorder],
    census: Callable[..., Any],
    plugin_log: Any,
    kind: int,
    victim: str,
) -> None:
    """Frames of both kinds wait behind the one in hand; each of them runs once, in order, control frames first."""
    plugin = recorder()
    [spin] = plugin.send([b"spin"], kind)
    plugin_log.wait_for("spinning")
    others = plugin.send(numbers(300)) + plugin.send([b"a", b"b", b"c"], CONTROL)
    os.kill(getattr(census(plugin.system), victim)(plugin.plugin_id), signal.SIGKILL)
    outcome = spin.outcome(WAIT_S)
    assert (outcome.kind, outcome.reason.partition(":")[0]) == ("dead_lettered", "crash")
    assert kinds(others) == ["processed"] * 303
    assert plugin.datas() == [b"spin", b"a", b"b", b"c", *numbers(300)]
    check_balance(plugin.system, plugin.plugin_id)


@processes
def test_a_suspect_of_an_idempotent_plugin_is_delivered_again(recorder: Callable[..., Recorder]) -> None:
    """It comes again, before what is behind it, and its outcome is that of the second time."""
    plugin = recorder("idempotent = true\n")
    receipts = plugin.send([b"1", b"exit once", b"2"])
    assert kinds(receipts) == ["processed"] * 3
    assert plugin.datas() == [b"1", b"exit once", b"exit once", b"2"]


@processes
def test_a_suspect_is_given_up_after_max_deliveries(recorder: Callable[..., Recorder]) -> None:
    """A frame that ends its worker each time was tried as often as the manifest says."""
    plugin = recorder("idempotent = true\nmax_deliveries = 2\n")
    receipts = plugin.send([b"1", b"exit", b"2"])
    assert kinds(receipts) == ["processed", "dead_lettered", "processed"]
    assert plugin.datas() == [b"1", b"exit", b"exit", b"2"]


@processes
def test_deliveries_are_counted_over_plugin_actors(
    recorder: Callable[..., Recorder], census: Callable[..., Any], plugin_log: Any
) -> None:
    """The ring file knows how often a frame was delivered: a killed plugin actor does not begin anew."""
    plugin = recorder("idempotent = true\nmax_deliveries = 2\n")
    receipts = plugin.send([b"spin", b"1"])
    for _ in range(2):
        plugin_log.wait_for("spinning")
        os.kill(census(plugin.system).plugin_actor(plugin.plugin_id), signal.SIGKILL)
    assert kinds(receipts) == ["dead_lettered", "processed"]
    assert plugin.datas() == [b"spin", b"spin", b"1"]


# Instances.


@pytest.mark.parametrize("balance", ["round_robin", "least_loaded", "by_key"])
def test_instances_share_the_frames(recorder: Callable[..., Recorder], balance: str) -> None:
    """Each frame is processed once, by one of the instances, and the statistics say by how many."""
    plugin = recorder(f'balance = "{balance}"\n', instances=3)
    frames = [(DATA, plugin.header(data)) for data in numbers(300)]
    receipts = plugin.system.dispatch_many(frames, timeout=WAIT_S)
    receipts += plugin.send([b"a", b"b"], CONTROL)
    assert kinds(receipts) == ["processed"] * 302
    assert sorted(plugin.datas()) == sorted([*numbers(300), b"a", b"b"])
    stats = plugin.system.plugin_stats(plugin.plugin_id)
    assert (stats.processed, len(stats.instances)) == (302, 3)
    assert sum(one.processed for one in stats.instances) == 302
    assert all(one.processed for one in stats.instances)
    check_balance(plugin.system, plugin.plugin_id)


def _by_key(plugin: Recorder, numbers: Iterable[int]) -> list[Any]:
    """Send a frame for each number, of one of five keys, and return the receipts."""
    return [
        plugin.system.dispatch(DATA, plugin.header(b"%d %d" % (number % 5, number)), WAIT_S, key=number % 5)
        for number in numbers
    ]


def check_order_of_keys(plugin: Recorder, count: int) -> None:
    """Each key's frames were handled once, in the order in which they were sent."""
    rows = [data.split() for data in plugin.datas() if data != b"spin"]
    pairs = sorted((tuple(map(int, row)) for row in rows), key=lambda pair: pair[0])
    handled = {key: [number for _, number in group] for key, group in groupby(pairs, lambda pair: pair[0])}
    assert handled == {key: list(range(key, count, 5)) for key in range(5)}


@processes
def test_frames_of_a_key_stay_in_order_when_an_instance_is_killed(
    recorder: Callable[..., Recorder], plugin_log: Any
) -> None:
    """Their lane keeps them for the next worker."""
    plugin = recorder('balance = "by_key"\n', instances=3)
    spin = plugin.system.dispatch(DATA, plugin.header(b"spin"), WAIT_S, key=1)
    plugin_log.wait_for("spinning")
    receipts = _by_key(plugin, range(100))
    [note] = [note for note in plugin.notes() if note.data == b"spin"]
    os.kill(note.pid, signal.SIGKILL)
    assert kinds([spin, *receipts]) == ["dead_lettered"] + ["processed"] * 100
    check_order_of_keys(plugin, 100)
    stats = plugin.system.plugin_stats(plugin.plugin_id)
    assert sorted(one.restarts for one in stats.instances) == [0, 0, 1]


@processes
def test_a_dead_letter_goes_to_the_instance_of_its_key(recorder: Callable[..., Recorder]) -> None:
    """Whatever that instance knows of a key, it knows when the frame is delivered again."""
    plugin = recorder('balance = "by_key"\n', instances=3)
    assert kinds(_by_key(plugin, range(5))) == ["processed"] * 5
    plugin.system.pause(plugin.plugin_id)
    late = [
        plugin.system.dispatch(DATA, plugin.header(b"%d %d" % (key, key)), WAIT_S, key=key, ttl=0.05)
        for key in range(5)
    ]
    assert kinds(late) == ["dead_lettered"] * 5
    plugin.system.resume(plugin.plugin_id)
    assert len(plugin.system.redeliver(plugin.plugin_id, timeout=WAIT_S).accepted) == 5
    plugin.system.drain(WAIT_S)
    assert len(plugin.notes()) == 10
    # The first and the second delivery of each are the same line of the same process.
    assert len(set(plugin.notes())) == 5
    assert len({note.pid for note in plugin.notes()}) > 1


def test_scaling_keeps_the_order_of_keys(recorder: Callable[..., Recorder]) -> None:
    """Up and down while frames are in hand: none is lost or doubled, and each key's order holds."""
    plugin = recorder('balance = "by_key"\n')
    receipts = []
    for round_, instances in enumerate((3, 1, 4, 2)):
        receipts += _by_key(plugin, range(50 * round_, 50 * round_ + 50))
        plugin.system.scale(plugin.plugin_id, instances)
        assert len(plugin.system.plugin_stats(plugin.plugin_id).instances) == instances
    receipts += _by_key(plugin, range(200, 250))
    assert kinds(receipts) == ["processed"] * 250
    check_order_of_keys(plugin, 250)
    check_balance(plugin.system, plugin.plugin_id)


@pytest.mark.parametrize("balance", ["round_robin", "least_loaded"])
def test_a_lane_that_is_scaled_away_finishes_what_it_holds(recorder: Callable[..., Recorder], balance: str) -> None:
    """Nothing is lost on the way down, and the counters stay."""
    plugin = recorder(f'balance = "{balance}"\n', instances=3)
    receipts = plugin.send(numbers(300))
    plugin.system.scale(plugin.plugin_id, 1)
    assert kinds(receipts + plugin.send(numbers(10, 300))) == ["processed"] * 310
    stats = plugin.system.plugin_stats(plugin.plugin_id)
    assert (stats.processed, len(stats.instances)) == (310, 1)
    assert sorted(plugin.datas()) == sorted(numbers(310))


@processes
def test_a_plugin_actor_that_is_killed_comes_back_with_as_many_instances(
    recorder: Callable[..., Recorder], census: Callable[..., Any], plugin_log: Any
) -> None:
    """After scaling; exactly the frame in hand of one instance is suspect, and those of the others go on."""
    plugin = recorder()
    plugin.system.scale(plugin.plugin_id, 3)
    [spin] = plugin.send([b"spin"])
    plugin_log.wait_for("spinning")
    receipts = plugin.send(numbers(200)) + plugin.send([b"a", b"b", b"c"], CONTROL)
    os.kill(census(plugin.system).plugin_actor(plugin.plugin_id), signal.SIGKILL)
    assert spin.outcome(WAIT_S).kind == "dead_lettered"
    seen = kinds(receipts)
    datas = plugin.datas()
    # Of each other instance the frame in its hand, if there was one.
    assert seen.count("dead_lettered") <= 2
    assert sorted(set(datas)) == sorted(datas)
    assert set(datas) >= {data for data, kind in zip(numbers(200), seen, strict=False) if kind == "processed"}
    stats = plugin.system.plugin_stats(plugin.plugin_id)
    assert len(stats.instances) == 3
    assert stats.accepted == 204 == stats.processed + stats.dead_lettered


@pytest.mark.parametrize(
    ("instances", "error"), [(0, ValueError), (65, ValueError), ("2", TypeError), (True, TypeError)]
)
def test_instances_that_no_plugin_can_have(system: PluginSystem, instances: Any, error: type[Exception]) -> None:
    """They are their caller's mistake, before anybody is asked."""
    with pytest.raises(error, match="instances must be"):
        system.scale(1, instances)
    with pytest.raises(PluginNotRegistered):
        system.scale(77, 2)
