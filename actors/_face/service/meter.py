"""``Meter``: CPU and memory of groups of processes, whose members come and go."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import attrs

from .snapshot import Usage
from .usage import ProcessUsage, read_memory, read_usage

MEMORY_READS = 32
"""How many processes have their memory read again in one round: it costs more than all the rest."""


@attrs.define
class _Group:
    """One group: its CPU seconds never fall, though processes with some of them end."""

    leader: tuple[int, float]
    base_s: float = 0.0
    peak_s: float = 0.0
    at_s: float | None = None

    def total_s(self, leader: tuple[int, float], cpu_s: float) -> float:
        """The CPU seconds of all that ever led the group, when its leader and members have used ``cpu_s``."""
        if leader != self.leader:
            self.leader, self.base_s, self.peak_s = leader, self.base_s + self.peak_s, 0.0
        self.peak_s = max(self.peak_s, cpu_s)
        return self.base_s + self.peak_s


class Meter:
    """Reads groups of processes in rounds: :meth:`begin`, :meth:`read` for each group, :meth:`end`.

    The first process of a group leads it: what the others have used is its own once they have ended.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        usage_of: Callable[[int], ProcessUsage | None] = read_usage,
        memory_of: Callable[[int], int | None] = read_memory,
    ) -> None:
        self._clock = clock
        self._usage_of = usage_of
        self._memory_of = memory_of
        self._groups: dict[Hashable, _Group] = {}
        self._memory: dict[tuple[int, float], int] = {}
        self._read: set[Hashable] = set()
        self._met: set[tuple[int, float]] = set()

    def begin(self) -> None:
        """Begin a round."""
        self._read.clear()
        self._met.clear()
        for _ in range(min(MEMORY_READS, len(self._memory))):
            # What was read longest ago stands first, and goes to the end once it is read again.
            del self._memory[next(iter(self._memory))]

    def read(self, name: Hashable, pids: tuple[int, ...]) -> Usage | None:
        """What the group ``name`` uses, made up of ``pids`` at present; ``None`` when its leader is not there."""
        found = [self._usage_of(pid) for pid in pids]
        processes = [process for process in found if process is not None]
        if not found or found[0] is None:
            return None
        leader = _identity(found[0])
        group = self._groups.setdefault(name, _Group(leader))
        self._read.add(name)
        before_s, before_at_s = group.base_s + group.peak_s, group.at_s
        total_s, group.at_s = group.total_s(leader, sum(process.cpu_s for process in processes)), self._clock()
        return Usage(total_s, _percent(total_s - before_s, before_at_s, group.at_s), sum(map(self._bytes, processes)))

    def end(self) -> None:
        """End the round: groups and processes that were not met in it are forgotten."""
        self._groups = {name: group for name, group in self._groups.items() if name in self._read}
        self._memory = {key: size for key, size in self._memory.items() if key in self._met}

    def _bytes(self, process: ProcessUsage) -> int:
        key = _identity(process)
        self._met.add(key)
        if key not in self._memory:
            self._memory[key] = self._memory_of(process.pid) or process.rss_bytes
        return self._memory[key]


def _identity(process: ProcessUsage) -> tuple[int, float]:
    return process.pid, process.started_s


def _percent(cpu_s: float, before_s: float | None, now_s: float) -> float | None:
    return None if before_s is None or now_s <= before_s else 100 * cpu_s / (now_s - before_s)
