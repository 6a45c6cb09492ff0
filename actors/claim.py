"""A worker's claim to the processors: lowered for good once it has kept one busy, so that those who wait go first."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable
from pathlib import Path

BUSY_SHARE = 0.9
"""Who would run for this share of the time, if only it was let, keeps a processor busy."""
BUSY_S = 1.0
"""For so long, in seconds, it may without consequence."""
# Who uses less of a processor than this is not looked at more closely: that is nearly everybody, nearly always.
_IDLE_SHARE = 0.1


class Claim:
    """The claim of one worker, which leads the process group and the session ``pid``; 0 as ``nice`` leaves it alone."""

    def __init__(self, pid: int, nice: int) -> None:
        self._pid = pid
        self._nice = nice
        self._last = (math.inf, 0.0, 0.0)
        self._busy_s = 0.0
        self.is_lowered = False

    def weigh(self, now: float, cpu_s: float, wanted_s: Callable[[], float]) -> bool:
        """Look at what it has used of the processors until now, and wanted; returns whether it is time to lower it.

        Again and again, as long as it goes on: it may have begun a thread, or the kernel may have refused before.
        """
        (last, used_s, last_wanted_s), wanted = self._last, 0.0
        is_busy = self._nice > 0 and cpu_s - used_s >= (now - last) * _IDLE_SHARE
        if is_busy:
            wanted = wanted_s()
            is_busy = 0.0 < last_wanted_s <= wanted - (now - last) * BUSY_SHARE
        self._busy_s = self._busy_s + now - last if is_busy else 0.0
        self._last = (now, cpu_s, wanted)
        return self._busy_s >= BUSY_S

    def wanted_s(self) -> float:
        """How long its threads have run or waited for a processor, all together, in seconds; 0 if nobody can tell."""
        with contextlib.suppress(OSError, ValueError):
            threads = Path(f"/proc/{self._pid}/task")
            return sum(map(_wanted_ns, threads.iterdir())) / 1e9
        return 0.0

    def lower(self) -> bool:
        """Let all of its threads, and its session, yield to others; returns whether that is new."""
        with contextlib.suppress(ProcessLookupError):
            if os.getpriority(os.PRIO_PGRP, self._pid) < self._nice:
                os.setpriority(os.PRIO_PGRP, self._pid, self._nice)
        self._lower_session()
        is_new, self.is_lowered = not self.is_lowered, True
        return is_new

    def _lower_session(self) -> None:
        """Where Linux shares time between sessions first (sched(7), "autogroup"), a nice value counts within one only.

        Best effort: most systems do not, and one that does refuses all but ten changes a second.
        """
        with contextlib.suppress(OSError):
            fd = os.open(f"/proc/{self._pid}/autogroup", os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(fd, b"%d" % self._nice)
            finally:
                os.close(fd)


def _wanted_ns(thread: Path) -> int:
    """Read how long a thread has run and has waited in the queue (scheduler statistics, /proc/PID/schedstat)."""
    ran, waited, _ = (thread / "schedstat").read_text().split()
    return int(ran) + int(waited)
