"""What a worker holds now, against its policy: rlimits leave gaps, so its plugin actor looks from time to time."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence
from pathlib import Path

from ..plugins.policy import Policy
from .deaths import Cause, Death
from .trees import Uncountable, size_up_to

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_STAT_BYTES = 2048
# Places behind the name: fields 20 and 24 of proc(5).
_THREADS, _RESIDENT = 17, 21
# Looking at the directory takes at most this part of the actor's time.
_SCRATCH_SHARE = 0.02


class Consumption:
    """Looks at one worker. Its memory is what it has grown by since the first look, when the plugin was ready."""

    def __init__(self, pid: int, policy: Policy, scratch: Path) -> None:
        self._pid = pid
        self._policy = policy
        self._scratch = scratch
        self._first_bytes: int | None = None
        self._scratch_due = 0.0

    def exceeded(self) -> Death | None:
        """Why the worker has to be ended now; ``None`` when it keeps to its policy, or has ended."""
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = _stat(self._pid)
            return self._memory(fields) or self._threads(fields) or self._files()
        return None

    def _memory(self, fields: Sequence[bytes]) -> Death | None:
        limit = self._policy.memory_bytes
        if limit is None:
            return None
        resident = int(fields[_RESIDENT]) * _PAGE_BYTES
        if self._first_bytes is None:
            self._first_bytes = resident
        grown = resident - self._first_bytes
        if grown <= limit:
            return None
        return Death(
            Cause.MEMORY, f"exceeded its memory: {grown:,} bytes more than at its start, the limit is {limit:,}"
        )

    def _threads(self, fields: Sequence[bytes]) -> Death | None:
        limit = self._policy.threads
        if limit is None:
            return None
        # One is the worker's own, which watches its host.
        running = int(fields[_THREADS]) - 1
        if running <= limit:
            return None
        return Death(Cause.THREADS, f"exceeded its threads: {running:,} are running, the limit is {limit:,}")

    def _files(self) -> Death | None:
        limit = self._policy.scratch_bytes
        if not limit or time.monotonic() < self._scratch_due:
            return None
        begun = time.monotonic()
        excess = _excess(self._scratch, limit)
        ended = time.monotonic()
        self._scratch_due = ended + (ended - begun) / _SCRATCH_SHARE
        return Death(Cause.SCRATCH, f"exceeded its scratch directory: {excess}") if excess else None


def _excess(scratch: Path, limit: int) -> str:
    """What there is too much of; empty if there is not."""
    try:
        size = size_up_to(scratch, limit)
    except Uncountable as error:
        return str(error)
    return f"more than {limit:,} bytes are in it, its limit" if size > limit else ""


def _stat(pid: int) -> Sequence[bytes]:
    """Read what the kernel tells of a process; looked at so often that it is worth doing without :mod:`io`."""
    fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    try:
        # Its name, in parentheses, may hold anything.
        return os.read(fd, _STAT_BYTES).rpartition(b")")[2].split()
    finally:
        os.close(fd)
