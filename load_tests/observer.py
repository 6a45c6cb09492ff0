"""``Observer``: looks at a system under load again and again: its processes, its mailboxes, its files and sockets."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait

import attrs

from nyx_plugins import NyxPluginError, PluginStats
from nyx_plugins.service.usage import read_memory

from . import kernel
from .result import ProcessUsage, Series
from .roles import roles
from .stage import Place, Stage

ASKERS = 4
PATIENCE_S = 1.0
# The share of a processor that looking may cost.
SHARE = 0.02
# Reading how memory is shared takes the kernel about a millisecond for each process, and holds that one up.
MEMORY_SHARE = 0.005


@attrs.define
class _Track:
    """What was seen of one process."""

    pid: int
    role: str
    first_cpu_s: float
    at_s: list[float] = attrs.field(factory=list)
    cpu_s: list[float] = attrs.field(factory=list)
    rss: list[int] = attrs.field(factory=list)
    pss: list[int] = attrs.field(factory=list)
    voluntary: list[int] = attrs.field(factory=list)
    involuntary: list[int] = attrs.field(factory=list)
    descriptors: list[int] = attrs.field(factory=list)

    def add(self, at_s: float, seen: kernel.ProcessLook, pss: int | None) -> None:
        self.at_s.append(round(at_s, 3))
        self.cpu_s.append(round(seen.cpu_s - self.first_cpu_s, 3))
        self.rss.append(seen.rss_bytes)
        self.pss.append(pss if pss is not None else (self.pss[-1] if self.pss else seen.rss_bytes))
        self.voluntary.append(seen.voluntary_switches)
        self.involuntary.append(seen.involuntary_switches)
        self.descriptors.append(seen.descriptors)

    def usage(self) -> ProcessUsage:
        return ProcessUsage(
            self.pid,
            self.role,
            tuple(self.at_s),
            tuple(self.cpu_s),
            tuple(self.rss),
            tuple(self.pss),
            tuple(self.voluntary),
            tuple(self.involuntary),
            tuple(self.descriptors),
        )


class Observer(threading.Thread):
    """Looks every ``every_s`` seconds, or less often where that costs too much; times count from ``began``.

    At ``edges`` it looks at processes in any case: between them is what counts.
    """

    def __init__(
        self, stage: Stage, clients: Mapping[int, str], began: float, every_s: float, edges: Sequence[float] = ()
    ) -> None:
        super().__init__(name="observer", daemon=True)
        self._stage, self._clients, self._began, self._every_s = stage, clients, began, every_s
        self._edges = sorted(edges)
        self._found: Mapping[int, str] = {}
        """The processes that were there the last time, with their roles."""
        self._over = threading.Event()
        self._pool = ThreadPoolExecutor(ASKERS, "observer")
        self._tracks: dict[tuple[int, str], _Track] = {}
        self._columns: dict[tuple[str, str], list[tuple[float, float]]] = {}
        self._memory_at, self._memory_cost = 0.0, 0.0
        self._before = (0.0, 0)
        self.on_look: Callable[[float, int], None] = lambda per_s, depth: None

    def run(self) -> None:
        """Look until told to stop, and a last time then."""
        while not self._over.is_set():
            cost = self._look()
            self._rest(time.monotonic() + max(self._every_s - cost, cost / SHARE - cost))
        self._look()

    def _rest(self, until: float) -> None:
        """Wait, and look at processes at each edge that is in between, or was while plugins were asked."""
        while self._edges and (edge := self._began + self._edges[0]) < until:
            del self._edges[0]
            if self._over.wait(max(0.0, edge - time.monotonic())):
                return
            self._look_at_processes(self._found, with_memory=False)
        self._over.wait(max(0.0, until - time.monotonic()))

    def stop(self) -> None:
        """Look once more, and no more."""
        self._over.set()
        self.join()
        self._pool.shutdown(wait=False, cancel_futures=True)

    # What was seen.

    def processes(self) -> tuple[ProcessUsage, ...]:
        """Return the processes, those of the system first."""
        return tuple(track.usage() for track in self._tracks.values())

    def series(self) -> tuple[Series, ...]:
        """Return all that was seen but processes."""
        return tuple(
            Series(name, unit, tuple(at for at, _ in points), tuple(value for _, value in points))
            for (name, unit), points in self._columns.items()
        )

    # Looking.

    def _look(self) -> float:
        begun, cpu = time.monotonic(), time.process_time()
        at_s = begun - self._began
        stats = self._ask()
        self._found = roles(self._stage.system.host_pid, stats) | dict(self._clients)
        sockets = self._look_at_processes(self._found, with_memory=at_s >= self._memory_at)
        for label, each in stats.items():
            self._add(f"mailbox {label}", "frames", at_s, each.in_mailbox)
        self._add("files", "bytes", at_s, kernel.folder_bytes(self._stage.folder))
        if (held := kernel.socket_bytes(sockets)) is not None:
            self._add("sockets", "bytes", at_s, held)
        self._tell(at_s, stats)
        return time.process_time() - cpu

    def _tell(self, at_s: float, stats: Mapping[str, PluginStats]) -> None:
        before_s, before = self._before
        processed = sum(each.messages_processed for each in stats.values())
        self._before = at_s, processed
        # It is less where a plugin was unloaded.
        per_s = max(0, processed - before) / max(1e-9, at_s - before_s)
        self.on_look(per_s, sum(each.in_mailbox for each in stats.values()))

    def _ask(self) -> dict[str, PluginStats]:
        asked = {place.label: self._pool.submit(self._stats, place) for place in self._stage.places}
        wait(asked.values(), PATIENCE_S)
        found = {label: answer.result() for label, answer in asked.items() if answer.done()}
        for answer in asked.values():
            answer.cancel()
        return {label: stats for label, stats in found.items() if stats is not None}

    def _stats(self, place: Place) -> PluginStats | None:
        try:
            return self._stage.system.plugin_stats(place.id)
        except NyxPluginError:
            # It is not loaded now, or has no plugin actor at this moment.
            return None

    def _look_at_processes(self, found: Mapping[int, str], with_memory: bool) -> frozenset[int]:
        sockets: set[int] = set()
        # Plugins may have taken a while to answer.
        at_s, begun = time.monotonic() - self._began, time.process_time()
        for pid, role in found.items():
            if (seen := kernel.look(pid)) is not None:
                track = self._tracks.setdefault((pid, role), _Track(pid, role, seen.cpu_s))
                needs = with_memory or not track.pss
                track.add(at_s, seen, read_memory(pid) if needs else None)
                sockets |= seen.sockets
        if with_memory:
            self._memory_at = at_s + (time.process_time() - begun) / MEMORY_SHARE
        return frozenset(sockets)

    def _add(self, name: str, unit: str, at_s: float, value: float) -> None:
        self._columns.setdefault((name, unit), []).append((round(at_s, 3), value))
