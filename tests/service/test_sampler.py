"""Looks at a system: what is in them, what has changed between two, and that nothing holds them up."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins import PluginFailed, PluginHeader, PluginStats, PluginSystem, SystemStopped
from nyx_plugins.actors.latency import BOUNDS, LatencyHistogram
from nyx_plugins.service import sampler as module
from nyx_plugins.service.sampler import Sampler, rates_between
from nyx_plugins.service.snapshot import Rates, as_json

DATA = 0x52


@attrs.define
class Clock:
    """A clock that a test sets."""

    now_s: float = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands."""
    return Clock()


@pytest.fixture
def sampler(fake: Any, clock: Clock) -> Iterator[Sampler]:
    """Return a sampler of the fake system."""
    sampler = Sampler(fake, clock)
    yield sampler
    sampler.close()


@pytest.fixture
def make_sampler() -> Iterator[Callable[[PluginSystem], Sampler]]:
    """Return a factory of samplers of real systems."""
    made: list[Sampler] = []

    def make(system: PluginSystem) -> Sampler:
        made.append(Sampler(system))
        return made[-1]

    yield make
    for sampler in made:
        sampler.close()


def test_an_empty_system_gives_an_empty_look(sampler: Sampler) -> None:
    """Without plugins there is nothing to ask, and nothing to fail."""
    snapshot = sampler.sample()
    assert (snapshot.plugins, snapshot.processes, snapshot.uptime_s) == ((), (), 0.0)


def test_rates_are_between_two_looks(fake: Any, stats: Any, sampler: Sampler, clock: Clock) -> None:
    """The first look has no rates; the second counts what came since, per second."""
    fake.add(7, stats(accepted=100, processed=90, failed=10))
    [first] = sampler.sample().plugins
    clock.now_s = 2.0
    fake.add(7, stats(accepted=120, processed=106, failed=11))
    [second] = sampler.sample().plugins
    assert (first.rates, second.rates) == (None, Rates(10.0, 8.0, 0.5))


def test_a_plugin_that_came_back_is_another(fake: Any, stats: Any, sampler: Sampler, clock: Clock) -> None:
    """Counters that have fallen, or that were not there in the look before, give no rates rather than wrong ones."""
    fake.add(7, stats(accepted=100))
    sampler.sample()
    clock.now_s = 1.0
    fake.add(7, stats(accepted=1))
    assert sampler.sample().plugins[0].rates is None
    del fake.infos[7]
    sampler.sample()
    fake.add(7, stats(accepted=5))
    clock.now_s = 2.0
    assert sampler.sample().plugins[0].rates is None


def test_a_plugin_that_raises_says_so(fake: Any, stats: Any, sampler: Sampler) -> None:
    """A failed plugin's statistics may raise: the look names the problem, and has all others."""
    fake.add(1, PluginFailed(1, "it was killed"), state="failed")
    fake.add(2, stats(accepted=3))
    broken, whole = sampler.sample().plugins
    assert (broken.stats, broken.rates, broken.usage, broken.state) == (None, None, None, "failed")
    assert broken.problem == "plugin 1 failed (handle): it was killed"
    assert whole.stats == stats(accepted=3) and whole.problem == ""


def test_a_plugin_at_rest_is_not_asked(fake: Any, sampler: Sampler) -> None:
    """A row of an earlier run has no plugin actor, and that is no problem."""
    fake.add(1, AssertionError("asked"), state="registered")
    [plugin] = sampler.sample().plugins
    assert (plugin.stats, plugin.problem, plugin.state) == (None, "", "registered")


def test_a_silent_plugin_holds_nobody_up(
    fake: Any, stats: Any, sampler: Sampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever does not answer in time is named, is not asked again meanwhile, and is there once it answers."""
    monkeypatch.setattr(module, "PATIENCE_S", 0.05)
    go, asked = threading.Event(), []

    def silent() -> PluginStats:
        asked.append(1)
        assert go.wait(30)
        return stats(accepted=1)

    fake.add(1, silent)
    fake.add(2, stats(accepted=2))
    for _ in range(3):
        waiting, answered = sampler.sample().plugins
        assert waiting.problem == "its plugin actor has not answered within 0.05 s"
        assert answered.stats is not None
    assert asked == [1]
    go.set()
    monkeypatch.setattr(module, "PATIENCE_S", 30.0)
    assert sampler.sample().plugins[0].stats == stats(accepted=1)


def test_the_end_of_the_system_is_raised(fake: Any, sampler: Sampler) -> None:
    """A system that has stopped is no empty system, whoever says so."""
    fake.add(1, SystemStopped("it was closed"))
    with pytest.raises(SystemStopped):
        sampler.sample()
    fake.stopped = SystemStopped("it was closed")
    with pytest.raises(SystemStopped):
        sampler.sample()


@given(st.integers(0, 2**64), st.integers(0, 2**64), st.floats(-1, 1e6))
def test_rates_are_never_negative(before: int, after: int, seconds: float) -> None:
    """Whatever the counters and the clock do, a rate is at least zero and a number, or there is none."""
    empty = PluginStats(*[0] * 14, "ready", LatencyHistogram(), 1, None)
    changed = attrs.evolve(empty, accepted=after, processed=after // 2, failed=before)
    rates = rates_between(attrs.evolve(empty, accepted=before, processed=before, failed=after), changed, seconds)
    assert rates is None or all(0 <= rate < float("inf") for rate in attrs.astuple(rates))


def test_json_is_json(fake: Any, stats: Any, sampler: Sampler) -> None:
    """Sets become sorted lists and a histogram its quantiles; frames beyond the last bound give that bound."""
    latency = LatencyHistogram(counts=(1, *[0] * (len(BOUNDS) - 1), 1), sum_s=120.0)
    fake.add(1, stats(accepted=2, latency=latency, actor_pid=5))
    fake.add(2, PluginFailed(2, "gone"), state="failed")
    told = json.loads(json.dumps(as_json(sampler.sample()), allow_nan=False))
    first, second = told["plugins"]
    assert first["stats"]["latency"] == {
        "count": 2,
        "sum_s": 120.0,
        "quantiles_s": {"0.5": BOUNDS[0], "0.95": BOUNDS[-1], "0.99": BOUNDS[-1]},
    }
    assert (first["permissions"], first["stats"]["actor_pid"]) == (["control"], 5)
    assert (second["stats"], second["state"]) == (None, "failed")
    assert told["dispatch"]["refused"] == {}


def test_a_running_system_is_seen(system: PluginSystem, transport: str, make_sampler: Any) -> None:
    """Of a real system everything is there: counters, processes with their names and memory, uptime."""
    system.load("builtin:echo", plugin_id=7)
    system.request(DATA, PluginHeader(7, 0, b"hello"))
    snapshot = make_sampler(system).sample()
    [plugin] = snapshot.plugins
    assert plugin.stats == system.plugin_stats(7) and plugin.stats.accepted == 1
    assert snapshot.dispatch.frames_dispatched == 1
    assert snapshot.uptime_s > 0 and snapshot.host_pid == system.host_pid
    assert snapshot.processes[0].pid == system.host_pid and snapshot.processes[0].usage.memory_bytes > 0
    if transport == "inline":
        assert [process.pid for process in snapshot.processes] == [os.getpid()] and plugin.usage is None
    else:
        assert {"nyx-Supervisor", "nyx-Registry", "nyx-Guard", "nyx-Dispatcher"} <= {
            process.name for process in snapshot.processes
        }
        assert plugin.usage is not None and plugin.usage.memory_bytes > 1_000_000


@pytest.mark.needs_worker(reason="a worker is killed")
def test_counters_go_on_over_a_restart(system: PluginSystem, make_sampler: Any) -> None:
    """A worker that is killed takes no CPU seconds and no counts with it."""
    system.load("builtin:echo", plugin_id=7)
    system.request(DATA, PluginHeader(7, 0, b"hello"))
    sampler = make_sampler(system)
    [before] = sampler.sample().plugins
    with system.subscribe() as events:
        os.kill(before.stats.worker_pid, signal.SIGKILL)
        assert any(event.kind == "restarted" for event in events)
    system.request(DATA, PluginHeader(7, 0, b"hello"))
    [after] = sampler.sample().plugins
    assert after.stats.restarts == 1 and after.stats.worker_pid != before.stats.worker_pid
    assert after.stats.accepted == 2 and after.usage.cpu_s >= before.usage.cpu_s
