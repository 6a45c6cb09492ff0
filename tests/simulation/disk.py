"""The simulated disk thread: what a plugin actor has written by a thread of its own is written at any time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .world import World


class Crew:
    """Stands for ``Crew``: each job is done at a moment of its own, and its result is seen at a later one."""

    world: World
    """Set by whoever runs the simulation."""

    def __init__(self, size: int, release: Callable[[Any], None]) -> None:
        process = self.world.current
        assert process is not None
        self._process = process
        self.fd = self.world.new_descriptor()
        self._results: list[tuple[int, Any]] = []
        self._closed = False

    def submit(self, key: int, job: Callable[[], Any]) -> None:
        """Do it at any time from now on."""
        self.world.notice(self._process, lambda: self._do(key, job), "writes to the disk")

    def _do(self, key: int, job: Callable[[], Any]) -> None:
        if self._closed:
            return
        self._results.append((key, job()))
        self.world.notice(self._process, self._tell, "sees that it is written")

    def _tell(self) -> None:
        watcher = self._process.actor.descriptors.get(self.fd)
        if not self._closed and watcher is not None:
            watcher(1)

    def results(self) -> list[tuple[int, Any]]:
        """Take the results that are there."""
        found, self._results = self._results, []
        return found

    def close(self) -> None:
        """Do nothing more."""
        self._closed = True
