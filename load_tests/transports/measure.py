"""The measurements themselves: what is done with a fresh actor system, and what that gives."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import attrs

from nyx_plugins.actors._thespian import Address
from nyx_plugins.actors.processes import descendants

from .actors import FRAME_BYTES, CreateMany, Crowd, Echo, Flood, Pair, Stream, Streamed
from .bases import QUEUE, TCP, UNIX
from .tally import Received, look

Figures: TypeAlias = dict[str, float]
Answer = TypeVar("Answer")

WINDOW = 16
MIB = 1024 * 1024
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# How often the memory of all processes is looked at during a flood, in seconds.
SAMPLE_S = 0.01
# After how many seconds without a message those of a flood that are missing count as lost.
QUIET_S = 5.0


def ask(system: Any, asks: int, _: Path) -> Figures:
    """Time one question after the other from outside."""
    echo, frame = system.createActor(Echo), bytes(FRAME_BYTES)

    def once() -> None:
        answered(system, echo, frame, bytes)

    for _warm_up in range(asks // 10):
        once()
    times = sorted(timed(once) for _ in range(asks))
    return {"ask_p50_us": at(times, 0.5) * 1e6, "ask_p99_us": at(times, 0.99) * 1e6}


def stream(system: Any, messages: int, _: Path, frames: int) -> Figures:
    """Count the frames per second from actor to actor, in lists of ``frames``, with a window."""
    pair = system.createActor(Pair)
    answered(system, pair, Stream(max(messages // 10, WINDOW), frames, WINDOW), Streamed)
    streamed = answered(system, pair, Stream(messages, frames, WINDOW), Streamed)
    return {f"frames_per_s_{frames}": messages * frames / streamed.seconds}


def crowd(system: Any, actors: int, _: Path) -> Figures:
    """Time the creation of many actors by one, until each has answered."""
    parent = system.createActor(Crowd)
    answered(system, parent, CreateMany(1), int)
    return {"crowd_s": timed(lambda: answered(system, parent, CreateMany(actors), int))}


def flood(system: Any, messages: int, directory: Path) -> Figures:
    """Let a source send as fast as it can to a slower sink: what arrives, and which process grows."""
    pair, tally = system.createActor(Pair), directory / "tally"
    ends = answered(system, pair, Stream(10 * WINDOW, 1, WINDOW), Streamed)
    memory = Memory(descendants(os.getpid()))
    started = time.perf_counter()
    system.tell(pair, Flood(messages, str(tally)))
    received, ended = watch(tally, messages, memory)
    return {
        "flood_per_s": received.total / max(ended - started, 1e-9),
        "flood_lost": messages - received.different,
        "flood_disorder": received.doubled + received.late,
        "flood_source_mib": memory.growth([ends.source_pid]) / MIB,
        "flood_sink_mib": memory.growth([ends.sink_pid]) / MIB,
        "flood_others_mib": memory.growth(memory.pids - {ends.source_pid, ends.sink_pid}) / MIB,
    }


@attrs.frozen
class Measurement:
    """One line of work: what it does, which figures it gives, and how often it does it on each base."""

    run: Callable[[Any, int, Path], Figures]
    keys: Sequence[str]
    counts: Mapping[str, int]
    quick: int

    def count(self, base: str, quick: bool) -> int:
        """Return how many asks, messages or actors; such that no base takes more than a few seconds."""
        return self.quick if quick else self.counts[base]


def _streams(frames: int, tcp: int, queue: int, unix: int) -> Measurement:
    counts = {TCP: tcp, QUEUE: queue, UNIX: unix}
    return Measurement(partial(stream, frames=frames), (f"frames_per_s_{frames}",), counts, quick=100)


_FLOOD_KEYS = (
    "flood_per_s",
    "flood_lost",
    "flood_disorder",
    "flood_source_mib",
    "flood_sink_mib",
    "flood_others_mib",
)

MEASUREMENTS: Mapping[str, Measurement] = {
    "ask": Measurement(ask, ("ask_p50_us", "ask_p99_us"), dict.fromkeys((TCP, QUEUE, UNIX), 2000), quick=50),
    "single frames": _streams(1, 1000, 4000, 20_000),
    "lists of 64": _streams(64, 1000, 3000, 6000),
    "lists of 256": _streams(256, 800, 1500, 3000),
    "many actors": Measurement(crowd, ("crowd_s",), dict.fromkeys((TCP, QUEUE, UNIX), 100), quick=5),
    "flood": Measurement(flood, _FLOOD_KEYS, {TCP: 2000, QUEUE: 5000, UNIX: 30_000}, quick=300),
}


# What they are made of.


class NoAnswer(Exception):
    """An actor did not answer as it should; the text says what came instead."""


def answered(system: Any, actor: Address, question: object, expected: type[Answer]) -> Answer:
    """Ask, and wait for as long as it takes; raises :class:`NoAnswer` for anything but what is ``expected``."""
    answer = system.ask(actor, question)
    if not isinstance(answer, expected):
        raise NoAnswer(f"{answer!r} came for {question!r}"[:300])
    return answer


class Memory:
    """How far the resident memory of some processes has grown, at most, since this object was made; in bytes."""

    def __init__(self, pids: Iterable[int]) -> None:
        self._before = {pid: resident(pid) for pid in pids}
        self._peak = dict(self._before)

    @property
    def pids(self) -> frozenset[int]:
        """The processes that are watched."""
        return frozenset(self._before)

    def sample(self) -> None:
        """Look at all of them once."""
        for pid, peak in self._peak.items():
            self._peak[pid] = max(peak, resident(pid))

    def growth(self, pids: Iterable[int]) -> int:
        """Return by how much that one of ``pids`` grew which grew most; 0 if there is none."""
        return max((self._peak[pid] - self._before[pid] for pid in pids), default=0)


def watch(tally: Path, messages: int, memory: Memory) -> tuple[Received, float]:
    """Sample until all messages have come, or none for :data:`QUIET_S`; return what came, and when the last did."""
    received, changed = Received(), time.perf_counter()
    while received.different < messages and time.perf_counter() - changed < QUIET_S:
        time.sleep(SAMPLE_S)
        memory.sample()
        latest = look(tally)
        if latest != received:
            received, changed = latest, time.perf_counter()
    return received, changed


def resident(pid: int) -> int:
    """Return the resident memory of a process in bytes; 0 when it has ended."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
    except (OSError, IndexError):
        return 0


def timed(work: Callable[[], object]) -> float:
    """Return how long ``work`` takes, in seconds."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def at(ordered: Sequence[float], share: float) -> float:
    """Return the value below which ``share`` of the others lie."""
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]
