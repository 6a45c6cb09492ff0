"""Asks for the plugins' counters all the time, and looks whether they balance and only grow."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

from nyx_plugins import NyxPluginError, PluginStats, PluginSystem

from .verdict import Faults, Totals

GROWING = ("accepted", "processed", "failed", "dead_lettered", "restarts")
PAUSE_S = 0.01


class Auditor(threading.Thread):
    """Asks one plugin after the other, until told to stop."""

    def __init__(self, system: PluginSystem, plugins: Sequence[int], faults: Faults) -> None:
        super().__init__(name="auditor", daemon=True)
        self.answers = self.unanswered = 0
        self._system, self._plugins, self._faults = system, plugins, faults
        self._before: dict[int, PluginStats] = {}
        self._over = threading.Event()

    def run(self) -> None:
        """Ask."""
        while not self._over.is_set() and self._system.stopped is None:
            for plugin in self._plugins:
                self._ask(plugin)
                if self._over.wait(PAUSE_S):
                    return

    def end(self) -> None:
        """Ask no more."""
        self._over.set()
        self.join()

    def _ask(self, plugin: int) -> None:
        try:
            stats = self._system.plugin_stats(plugin)
        except NyxPluginError:
            self.unanswered += 1
            return
        self.answers += 1
        for fault in faults_of(self._before.get(plugin), stats):
            self._faults.note(fault, f"plugin {plugin}: {stats}")
        self._before[plugin] = stats


def totals_of(stats: PluginStats) -> Totals:
    """Return the counters that have to balance."""
    return Totals(stats.accepted, stats.processed, stats.failed, stats.dead_lettered, stats.in_mailbox)


def faults_of(before: PluginStats | None, now: PluginStats) -> Iterator[str]:
    """Yield what is wrong with a plugin's counters, given the ones before."""
    if not totals_of(now).balanced:
        yield "the counters did not balance"
    if now.in_mailbox > now.capacity:
        yield "more in a mailbox than it holds"
    for name in GROWING:
        if before is not None and getattr(now, name) < getattr(before, name):
            yield f"the counter {name!r} went back"
