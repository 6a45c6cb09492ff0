"""What processes use, as the kernel tells it: CPU seconds and memory of a process that may be gone at any time."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import attrs

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@attrs.frozen
class ProcessUsage:
    """One process; ``cpu_s`` includes its children that have ended, ``rss_bytes`` counts shared pages in full."""

    pid: int
    name: str
    started_s: float
    """When it started, in seconds since the machine did; with the pid it tells processes apart for good."""
    cpu_s: float
    rss_bytes: int


def read_usage(pid: int) -> ProcessUsage | None:
    """What ``pid`` uses now; ``None`` when there is no such process, or none that may be looked at."""
    with contextlib.suppress(OSError):
        return parse_stat(Path(f"/proc/{pid}/stat").read_text(errors="replace"))
    return None


def parse_stat(text: str) -> ProcessUsage:
    """What a line of ``/proc/PID/stat`` says; the name in parentheses may hold anything, parentheses too."""
    front, _, rest = text.rpartition(")")
    pid, _, name = front.partition(" (")
    fields = rest.split()
    cpu_s = sum(map(int, fields[11:15])) / _TICKS_PER_S
    return ProcessUsage(int(pid), name, int(fields[19]) / _TICKS_PER_S, cpu_s, int(fields[21]) * _PAGE_BYTES)


def read_memory(pid: int) -> int | None:
    """The memory of ``pid`` in bytes, where a page shared by N processes counts as 1/N; ``None`` if that is not told.

    It takes the kernel about a millisecond, much longer than :func:`read_usage`.
    """
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return None


def seconds_since_boot() -> float:
    """Now, on the clock of :attr:`ProcessUsage.started_s`."""
    return float(Path("/proc/uptime").read_text().split()[0])
