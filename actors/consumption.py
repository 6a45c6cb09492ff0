"""What a worker holds now, against its policy: rlimits leave gaps, so its plugin actor looks from time to time."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from ..plugins.policy import Policy
from .deaths import Cause, Death
from .trees import size_up_to

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
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
            return self._memory() or self._threads() or self._files()
        return None

    def _memory(self) -> Death | None:
        limit = self._policy.memory_bytes
        if limit is None:
            return None
        resident = int(Path(f"/proc/{self._pid}/statm").read_text().split()[1]) * _PAGE_BYTES
        if self._first_bytes is None:
            self._first_bytes = resident
        grown = resident - self._first_bytes
        if grown <= limit:
            return None
        return Death(
            Cause.MEMORY, f"exceeded its memory: {grown:,} bytes more than at its start, the limit is {limit:,}"
        )

    def _threads(self) -> Death | None:
        limit = self._policy.threads
        if limit is None:
            return None
        # Behind the name, which may hold anything: state is field 3, the number of threads field 20.
        fields = Path(f"/proc/{self._pid}/stat").read_bytes().rpartition(b")")[2].split()
        # One is the worker's own, which watches its host.
        running = int(fields[17]) - 1
        if running <= limit:
            return None
        return Death(Cause.THREADS, f"exceeded its threads: {running:,} are running, the limit is {limit:,}")

    def _files(self) -> Death | None:
        limit = self._policy.scratch_bytes
        if not limit or time.monotonic() < self._scratch_due:
            return None
        begun = time.monotonic()
        size = size_up_to(self._scratch, limit)
        ended = time.monotonic()
        self._scratch_due = ended + (ended - begun) / _SCRATCH_SHARE
        if size <= limit:
            return None
        return Death(Cause.SCRATCH, f"exceeded its scratch directory: more than {limit:,} bytes are in it, its limit")
