"""What processes use, read from the kernel."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from nyx_plugins.service.usage import parse_stat, read_memory, read_usage, seconds_since_boot

GONE = 2**22 + 1  # above any pid that Linux gives


@pytest.mark.parametrize("name", ["python", "two words", "((a) b) S 1 2", "", "\ufffd) R"])
def test_a_process_may_have_any_name(name: str) -> None:
    """Spaces and parentheses in a process's name, which it gives itself, move none of the figures."""
    figures = ["S", "1", *["0"] * 9, "100", "20", "3", "4", *["0"] * 4, "500", "0", "7", "0"]
    usage = parse_stat(f"42 ({name}) {' '.join(figures)}\n")
    ticks = os.sysconf("SC_CLK_TCK")
    assert (usage.pid, usage.name, usage.started_s) == (42, name, 500 / ticks)
    assert usage.cpu_s == 127 / ticks
    assert usage.rss_bytes == 7 * os.sysconf("SC_PAGE_SIZE")


def test_this_process_is_read() -> None:
    """A living process has started before now, has used some CPU, and shares memory with nobody else than RSS says."""
    usage, memory = read_usage(os.getpid()), read_memory(os.getpid())
    assert usage is not None and memory is not None
    assert usage.pid == os.getpid()
    assert 0 < usage.started_s < seconds_since_boot()
    assert usage.cpu_s > 0
    assert 0 < memory <= 2 * usage.rss_bytes


def test_children_that_have_ended_count_for_their_parent() -> None:
    """What a worker has used is its plugin actor's once it has ended, so that nothing is lost."""
    before = read_usage(os.getpid())
    subprocess.run([sys.executable, "-c", "sum(range(3_000_000))"], check=True, timeout=150)
    after = read_usage(os.getpid())
    assert before is not None and after is not None
    assert after.cpu_s > before.cpu_s


def test_a_process_that_is_gone_uses_nothing() -> None:
    """A pid without a process is no error: processes end while they are looked at."""
    assert read_usage(GONE) is None
    assert read_memory(GONE) is None
