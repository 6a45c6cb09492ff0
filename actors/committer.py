"""Records on their way to a disk: one write and one sync for all that gathered while the last ones were under way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

import attrs

from ..plugins.errors import JournalFailed
from .backlog import FrameName, Operation
from .crew import Crew

Write: TypeAlias = Callable[[Sequence[Operation], Sequence[FrameName], Sequence[FrameName]], None]
"""Writes and syncs operations, which accept some frames and settle others; raises :class:`JournalFailed`."""
# What has to be written is tried again after so many seconds.
AGAIN_S = 1.0


class Watching(Protocol):
    """What a committer needs of its actor."""

    def watch(self, fd: int, watcher: Callable[[int], None]) -> None:
        """Call ``watcher`` whenever ``fd`` is readable."""

    def unwatch(self, fd: int) -> None:
        """Stop that."""

    def alarm(self, name: object, after_s: float) -> None:
        """Call :meth:`Committer.again` in so many seconds."""


@attrs.frozen
class Commit:
    """Operations, and what is to be done once they are on the disk: ``then(None)``, or ``then`` the error.

    What ``must`` be written is written some time, and has no error.
    """

    operations: Sequence[Operation]
    then: Callable[[JournalFailed | None], None]
    accepted: Sequence[FrameName] = ()
    settled: Sequence[FrameName] = ()
    must: bool = False


class Committer:
    """Calls ``write`` in a thread of its own, or without ``watching`` at once. ``trouble`` is told what goes wrong.

    What follows a commit is called in the order of the commits.
    """

    def __init__(self, write: Write, trouble: Callable[[str], None], watching: Watching | None) -> None:
        self._write = write
        self._trouble = trouble
        self._watching = watching
        self._waiting: list[Commit] = []
        self._under_way: list[Commit] = []
        self._is_told = False
        self._crew: Crew[JournalFailed | None] | None = None
        if watching is not None:
            self._crew = Crew(1, lambda _: None)
            watching.watch(self._crew.fd, self._ready)

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits or is under way."""
        return not self._waiting and not self._under_way

    def add(self, commit: Commit) -> None:
        """Write this as soon as what is under way is written."""
        if not commit.operations and self.is_idle:
            commit.then(None)
            return
        self._waiting.append(commit)
        self.again()

    def again(self) -> None:
        """Write what waits, unless something is under way."""
        if self._under_way or not self._waiting:
            return
        self._under_way, self._waiting = self._waiting, []
        if self._crew is None:
            self._ended(self._do(self._under_way))
        else:
            commits = self._under_way
            self._crew.submit(0, lambda: self._do(commits))

    def close(self) -> None:
        """Do nothing more; what is under way may be written or not."""
        if self._crew is not None and self._watching is not None:
            self._watching.unwatch(self._crew.fd)
            self._crew.close()
            self._crew = None
        self._waiting.clear()

    def _do(self, commits: Sequence[Commit]) -> JournalFailed | None:
        operations = [operation for commit in commits for operation in commit.operations]
        accepted = [name for commit in commits for name in commit.accepted]
        settled = [name for commit in commits for name in commit.settled]
        try:
            if operations:
                self._write(operations, accepted, settled)
        except JournalFailed as failed:
            return failed
        return None

    def _ready(self, events: int) -> None:
        assert self._crew is not None
        for _, error in self._crew.results():
            self._ended(error)

    def _ended(self, error: JournalFailed | None) -> None:
        commits, self._under_way = self._under_way, []
        if error is None:
            self._is_told = False
        else:
            self._note(error)
            self._waiting = [commit for commit in commits if commit.must] + self._waiting
            commits = [commit for commit in commits if not commit.must]
        for commit in commits:
            commit.then(error)
        if error is None:
            self.again()

    def _note(self, error: JournalFailed) -> None:
        """Say once that nothing can be written, and try again later."""
        if not self._is_told:
            self._is_told = True
            self._trouble(f"no frame can be made durable: {error}")
        if self._watching is not None:
            self._watching.alarm("commit", AGAIN_S)
