"""A few threads for what may take long: its results are collected where a descriptor says that there are some."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from ..plugins.worker.jail import capabilities

Result = TypeVar("Result")


class Crew(Generic[Result]):
    """At most ``size`` threads, started when they are needed, which never hold up the end of their process.

    A job must not raise. ``release`` gets each result that nobody will collect. All methods belong to one thread.
    """

    def __init__(self, size: int, release: Callable[[Result], None]) -> None:
        self.fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        """Readable when there are results."""
        self._size = size
        self._release = release
        self._changed = threading.Condition()
        self._jobs: deque[tuple[int, Callable[[], Result]]] = deque()
        self._results: deque[tuple[int, Result]] = deque()
        self._threads = 0
        self._idle = 0
        self._closed = False

    def submit(self, key: int, job: Callable[[], Result]) -> None:
        """Do ``job`` as soon as a thread is free. How many wait is for the caller to bound."""
        with self._changed:
            self._jobs.append((key, job))
            if self._idle < len(self._jobs) and self._threads < self._size:
                self._start_thread()
            self._changed.notify()

    def withdraw(self, key: int) -> None:
        """Forget a job that has not begun; one that has begun goes on."""
        with self._changed:
            self._jobs = deque(job for job in self._jobs if job[0] != key)

    def results(self) -> list[tuple[int, Result]]:
        """Take the results that are there, each with its key."""
        with self._changed:
            found = list(self._results)
            self._results.clear()
            if found:
                os.eventfd_read(self.fd)
        return found

    def close(self) -> None:
        """Let the threads end with what they are at. Idempotent."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._jobs.clear()
            left = [result for _, result in self._results]
            os.close(self.fd)
            self._changed.notify_all()
        for result in left:
            self._release(result)

    def _start_thread(self) -> None:
        # Where there can be no more threads, jobs wait for those that there are.
        with contextlib.suppress(RuntimeError):
            threading.Thread(target=self._work, name="crew", daemon=True).start()
            self._threads += 1

    def _work(self) -> None:
        _drop_capabilities()
        while (taken := self._next()) is not None:
            key, job = taken
            self._finish(key, job())

    def _next(self) -> tuple[int, Callable[[], Result]] | None:
        with self._changed:
            self._idle += 1
            self._changed.wait_for(lambda: self._jobs or self._closed)
            self._idle -= 1
            return None if self._closed else self._jobs.popleft()

    def _finish(self, key: int, result: Result) -> None:
        with self._changed:
            if not self._closed:
                self._results.append((key, result))
                os.eventfd_write(self.fd, 1)
                return
        self._release(result)


def _drop_capabilities() -> None:
    """Let this thread have no more rights than files grant to its user: what it opens is for a plugin.

    Capabilities belong to a thread (capabilities(7)); the others keep theirs.
    """
    if not capabilities.probe():
        capabilities.apply(None)
