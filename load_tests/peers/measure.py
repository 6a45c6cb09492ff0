"""What is measured of a peer: one at a time, one frame per call, and lists, each with the window that suits it best."""

from __future__ import annotations

import importlib
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import attrs

from nyx_plugins.actors.processes import descendants
from nyx_plugins.load_tests.kernel import look

from .peer import Peer

SIZES = (64, 256, 1024)
WINDOWS = (16, 128, 1024, 4096)
LIST_WINDOWS = (2, 4, 8, 16, 32, 64)
CALL, PIPELINE = "call", "pipeline"
MOST_CALLS = 1 << 16
# How many frames may be under way in lists: as many as a session may have that are not accepted.
MOST_UNDER_WAY = 8192
# How much of the time for a measurement a trial of a window gets.
TRIAL_SHARE = 0.2
# No larger window is tried once the rate has fallen to this share of the best one: less of a fall may be noise.
WORSE = 0.5


@attrs.frozen
class Figures:
    """What one round gave of one peer; times in microseconds, rates in frames per second."""

    values: Mapping[str, float]
    windows: Mapping[str, int]
    """The best ones, by discipline: what later rounds use."""


@attrs.frozen
class Task:
    """What a round does with a peer (``module:class``)."""

    peer: str
    seconds: float
    """For each figure."""
    windows: Mapping[str, int] = attrs.field(factory=dict)
    """By discipline, if they are known; otherwise they are found."""
    largest_window: int = WINDOWS[-1]
    sizes: Sequence[int] = SIZES
    """Of lists."""


def measure(directory: Path, **task: Any) -> dict[str, Any]:
    """Start the peer of a :class:`Task`, measure, and stop it."""
    return attrs.asdict(measured(directory, Task(**task)))


def measured(directory: Path, task: Task) -> Figures:
    """Start a peer, measure, and stop it."""
    subject = made(task.peer)
    begun = time.perf_counter()
    subject.start(directory)
    ready = {"ready_s": time.perf_counter() - begun}
    figures = figures_of(subject, task)
    subject.stop()
    return attrs.evolve(figures, values={**ready, **figures.values})


def ten_frames(directory: Path, peer: str) -> None:
    """Start the peer, have it do ten frames in all disciplines together, and stop it: to see that it works."""
    subject = made(peer)
    subject.start(directory)
    counted = Counted(subject)
    counted.call(2)
    counted.pipeline(4, 4)
    counted.batch(2, 2, 2)
    counted.check()
    subject.stop()


def made(peer: str) -> Peer:
    """Import ``module:class``, and make one."""
    module, name = peer.split(":")
    subject: Peer = getattr(importlib.import_module(module), name)()
    return subject


def figures_of(peer: Peer, task: Task) -> Figures:
    """Measure a peer that is started; raises :class:`FramesLost` when its receiver has not decoded all."""
    counted = Counted(peer)
    values, best = calls(counted, task.seconds), dict(task.windows)
    for discipline in disciplines(counted, task.largest_window, task.sizes):
        if discipline.name not in best:
            best[discipline.name] = discipline.best_window(task.seconds * TRIAL_SHARE)
        sent, used_s = counted.sent, processors_s()
        values[discipline.name] = discipline.rate(best[discipline.name], task.seconds)
        values[cost_name(discipline.name)] = (processors_s() - used_s) / (counted.sent - sent) * 1e6
    counted.check()
    return Figures(values, best)


@attrs.frozen
class Discipline:
    """A way of sending: what it is called, what does it with (count, window), and the frames of each message."""

    name: str
    run: Callable[[int, int], float]
    frames: int
    windows: Sequence[int]
    """What is tried."""

    def rate(self, window: int, seconds: float) -> float:
        """Return frames per second, from a run that takes about ``seconds``: those before it say how many messages."""
        count = window
        while (taken := self.run(count, window)) < seconds / 2:
            count = window * max(2, round(min(16.0, seconds / max(taken, 1e-6)) * count / window))
        return count * self.frames / taken

    def best_window(self, seconds: float) -> int:
        """Try windows, from the smallest on, until it gets worse; return the one with the highest rate."""
        best, most = self.windows[0], 0.0
        for window in self.windows:
            found = self.rate(window, seconds)
            if found > most:
                best, most = window, found
            elif found < WORSE * most:
                break
        return best


def disciplines(counted: Counted, largest_window: int, sizes: Sequence[int]) -> Iterator[Discipline]:
    """Yield one frame per call, and each size of lists."""
    yield Discipline(PIPELINE, counted.pipeline, 1, _up_to(WINDOWS, largest_window))
    for size in sizes:
        most = min(largest_window, MOST_UNDER_WAY // size)
        yield Discipline(batch_name(size), partial(counted.batch, size), size, _up_to(LIST_WINDOWS, most))


def _up_to(windows: Sequence[int], most: int) -> Sequence[int]:
    return [window for window in windows if window <= most]


def batch_name(size: int) -> str:
    """Return how lists of ``size`` are called."""
    return f"lists_{size}"


def cost_name(discipline: str) -> str:
    """Return how the time of processors is called that a frame takes in this discipline, in microseconds."""
    return f"{discipline}_cpu_us"


def processors_s() -> float:
    """Add up the time of processors that this process and all below it have used, in seconds."""
    looks = map(look, [os.getpid(), *descendants(os.getpid())])
    return sum(seen.cpu_s for seen in looks if seen is not None)


def calls(counted: Counted, seconds: float) -> dict[str, float]:
    """Send one frame at a time, after a warm-up of a tenth."""
    once = statistics.median(counted.call(10))
    counted.call(bounded(seconds / 10 / once))
    times = sorted(counted.call(bounded(seconds / once)))
    return {
        "call_p50_us": quantile(times, 0.5) * 1e6,
        "call_p99_us": quantile(times, 0.99) * 1e6,
        CALL: len(times) / sum(times),
    }


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the value below which this share of the ordered values is."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def bounded(count: float) -> int:
    """Return a number of calls that is neither none nor endless."""
    return int(min(max(count, 10), MOST_CALLS))


class FramesLost(Exception):
    """A receiver has not decoded what it was sent."""


class Counted:
    """A peer, and how many frames it was sent."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._before, self.sent = peer.processed(), 0

    def call(self, count: int) -> list[float]:
        """Send one at a time."""
        self.sent += count
        return self._peer.call(count)

    def pipeline(self, count: int, window: int) -> float:
        """Send one frame per message."""
        self.sent += count
        return self._peer.pipeline(count, window)

    def batch(self, size: int, count: int, window: int) -> float:
        """Send lists."""
        self.sent += count * size
        return self._peer.batch(count, size, window)

    def check(self) -> None:
        """Raise :class:`FramesLost` unless all were decoded."""
        decoded = self._peer.processed() - self._before
        if decoded != self.sent:
            raise FramesLost(f"{decoded:,} of {self.sent:,} frames were decoded")
