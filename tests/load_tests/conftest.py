"""Results of runs that never were, for readers, reports and comparisons; and a check that nobody is left."""

from __future__ import annotations

import contextlib
import os
import random
import select
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs
import pytest
from hdrh.histogram import HdrHistogram

from nyx_plugins.actors.processes import descendants, reap
from nyx_plugins.load_tests.result import (
    Better,
    Check,
    Counts,
    Latency,
    Machine,
    Mark,
    Metric,
    Mode,
    ProcessUsage,
    Result,
    Round,
    Series,
)

MIB = 1024 * 1024
PATIENCE_S = 30.0
PERCENTILES = ("50", "90", "99", "99.9", "99.99")
MACHINE = Machine("Example CPU 3.0 GHz", 2, 8 * 1024 * MIB, "6.1.0", "CPython 3.11.7", 0.31)


@attrs.frozen
class Forge:
    """What a forged run is like."""

    rounds: int = 5
    frames: int = 500
    per_s: float = 60_000
    noise: float = 0.01
    stall_s: float = 0
    plugins: int = 1
    seed: int = 1
    bare: bool = False
    """With metrics only, which is all that a comparison looks at, and takes a hundredth of the time."""

    def result(self, **changes: Any) -> Result:
        """Return the result of such a run."""
        whole = Result(
            scenario="throughput",
            description="As many frames as one plugin takes, 256 to a call.",
            started_at="2026-01-02T03:04:05Z",
            ended="completed",
            mode=Mode.OPEN,
            connected=False,
            machine=MACHINE,
            versions={"nyx-plugins": "0.1.0", "revision": "0123456789ab", "cbor2": "6.2.0"},
            settings={"frame_bytes": 200, "batch": 256, "seconds": 10.0, "mailbox": {"capacity": 1000}},
            rounds=tuple(self._round(number) for number in range(1, self.rounds + 1)),
            checks=(
                Check("no frame is lost", "0", 0, "frames", True),
                Check("throughput", ">= 60,000", self.per_s, "frames/s", self.per_s >= 60_000),
            ),
        )
        return attrs.evolve(whole, **changes)

    def _round(self, number: int) -> Round:
        chance = random.Random(self.seed * 1000 + number)
        per_s = self.per_s * chance.gauss(1, self.noise)
        times_us = sorted(self._outcome_us(chance) for _ in range(self.frames))
        bare = Round(
            number=number,
            seconds=10.0,
            counts=Counts(offered=600_000, processed=599_990, refused=10),
            metrics={
                "throughput": Metric(per_s, "frames/s", Better.HIGHER),
                "p50": Metric(times_us[len(times_us) // 2], "us", Better.LOWER),
                "p99": Metric(times_us[len(times_us) * 99 // 100], "us", Better.LOWER),
                "cpu_per_frame": Metric(1e6 / per_s * chance.gauss(1.4, 0.01), "us", Better.LOWER),
                "memory_growth": Metric(0, "bytes", Better.LOWER),
            },
        )
        return bare if self.bare else self._filled(bare, chance, per_s, times_us)

    def _filled(self, bare: Round, chance: random.Random, per_s: float, times_us: list[float]) -> Round:
        service = latency([chance.lognormvariate(5.9, 0.3) for _ in range(300)])
        return attrs.evolve(
            bare,
            latencies={"outcome": latency(times_us), "service": service},
            series=self._series(chance, per_s),
            processes=tuple(self._process(chance, pid, role) for pid, role in enumerate(self._roles(), 100)),
            marks=(Mark(4.0, "plugin 1 stalls"), Mark(4.2 + self.stall_s, "plugin 1 goes on")),
        )

    def _outcome_us(self, chance: random.Random) -> float:
        waits = chance.random() < self.stall_s / 10
        return chance.lognormvariate(6, 0.35) + (chance.random() * self.stall_s * 1e6 if waits else 0)

    def _series(self, chance: random.Random, per_s: float) -> tuple[Series, ...]:
        at_s = tuple(step / 4 for step in range(1, 41))
        stalled = [4 <= at < 4 + self.stall_s for at in at_s]
        speeds = tuple(0 if still else per_s * chance.gauss(1, 0.05) for still in stalled)
        depths = tuple(900.0 if still else abs(chance.gauss(200, 60)) for still in stalled)
        return (
            Series("throughput", "frames/s", at_s, speeds),
            *(Series(f"mailbox of plugin {n}", "frames", at_s, depths) for n in range(1, self.plugins + 1)),
            Series("tmpfs", "bytes", at_s, tuple(3.0 * MIB for _ in at_s)),
            Series("socket buffers", "bytes", at_s, tuple(chance.random() * MIB for _ in at_s)),
        )

    def _roles(self) -> tuple[str, ...]:
        numbers = range(1, self.plugins + 1)
        of_plugins = [f"{kind} {number}" for kind in ("plugin actor", "worker") for number in numbers]
        return ("client 1", "dispatcher", "system", *of_plugins)

    def _process(self, chance: random.Random, pid: int, role: str) -> ProcessUsage:
        at_s = tuple(step / 2 for step in range(21))
        weight = {"client": 0.6, "dispatcher": 0.8, "plugin": 0.4, "worker": 0.9}.get(role.split()[0], 0.01)
        base = (20 if "worker" in role else 35) * MIB
        memory = tuple(int(base + chance.random() * MIB) for _ in at_s)
        return ProcessUsage(
            pid=pid,
            role=role,
            at_s=at_s,
            cpu_s=tuple(at * weight / self.plugins for at in at_s),
            rss_bytes=memory,
            pss_bytes=tuple(value // 3 for value in memory),
            voluntary_switches=tuple(int(at * 900) for at in at_s),
            involuntary_switches=tuple(int(at * 70) for at in at_s),
            descriptors=tuple(24 for _ in at_s),
        )


def latency(times_us: list[float]) -> Latency:
    """Return what a run would tell of frames that took so long."""
    histogram = HdrHistogram(1, 3_600_000_000, 3)
    for time_us in times_us:
        histogram.record_value(int(time_us))
    percentiles: Mapping[str, float] = {name: histogram.get_value_at_percentile(float(name)) for name in PERCENTILES}
    return Latency(
        count=histogram.get_total_count(),
        min_us=histogram.get_min_value(),
        mean_us=histogram.get_mean_value(),
        max_us=histogram.get_max_value(),
        percentiles_us=percentiles,
        histogram=histogram.encode().decode(),
    )


@pytest.fixture(scope="session")
def forge() -> Callable[..., Result]:
    """Return a function that forges the result of a run."""

    def make(*, changes: Mapping[str, Any] | None = None, **how: Any) -> Result:
        return Forge(**how).result(**(changes or {}))

    return make


@pytest.fixture
def nobody_left() -> Iterator[None]:
    """Fail if a process that the test has started is left; those that are just ending are waited for."""
    before = set(descendants(os.getpid()))
    yield
    for pid in set(descendants(os.getpid())) - before:
        with contextlib.suppress(ProcessLookupError):
            ended = os.pidfd_open(pid)
            select.select([ended], [], [], PATIENCE_S)
            os.close(ended)
    reap()
    assert set(descendants(os.getpid())) <= before
