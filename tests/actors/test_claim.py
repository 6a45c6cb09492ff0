"""A worker's claim to the processors: what counts as keeping one busy, and what becomes of who does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nyx_plugins.actors.claim import BUSY_S, BUSY_SHARE, Claim

OWN = os.getpriority(os.PRIO_PROCESS, 0)
THREADS = 3


def weighed(claim: Claim, *looks: tuple[float, float, float]) -> list[bool]:
    """Look at these times, with the CPU time used until then and the time that was wanted."""
    return [claim.weigh(now, cpu_s, lambda wanted_s=wanted_s: wanted_s) for now, cpu_s, wanted_s in looks]  # type: ignore[misc]


def steady(used: float, wanted: float) -> list[tuple[float, float, float]]:
    """Return looks twice a second at who uses and wants these shares of a processor."""
    return [(10.0 + half / 2, used * half / 2, 1.0 + wanted * half / 2) for half in range(8)]


@pytest.mark.parametrize("used", [1.0, 0.4])
def test_who_keeps_a_processor_busy_is_found(used: float) -> None:
    """Whether it has one to itself or shares it: what counts is what it would take."""
    assert BUSY_S == 1.0
    assert weighed(Claim(1, 10), *steady(used, 1.0)) == [False] * 2 + [True] * 6


def test_who_lets_go_begins_anew() -> None:
    """A moment without any use of a processor is enough."""
    busy = steady(1.0, 1.0)
    idle = (14.5, busy[-1][1], busy[-1][2])
    assert weighed(Claim(1, 10), *busy, idle)[-2:] == [True, False]


@pytest.mark.parametrize(
    ("used", "wanted", "found"),
    [(0.5, BUSY_SHARE + 0.01, True), (0.5, BUSY_SHARE - 0.01, False), (0.05, 1.0, False), (3.0, 3.0, True)],
)
def test_the_share_that_is_wanted_decides(used: float, wanted: float, found: bool) -> None:
    """Who waits for others does not want all; who hardly ever gets to run is not to blame; several threads add up."""
    assert weighed(Claim(1, 10), *steady(used, wanted))[-1] is found


def test_zero_leaves_all_as_it_is() -> None:
    """With 0 nobody is found busy."""
    assert not any(weighed(Claim(1, 0), *steady(1.0, 1.0)))


def test_what_nobody_can_tell_is_no_reason() -> None:
    """On a kernel without scheduler statistics nobody is found."""
    assert not any(weighed(Claim(1, 10), *((now, used, 0.0) for now, used, _ in steady(1.0, 1.0))))


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    """Run a process with threads, which leads a session."""
    code = (
        "import sys, threading\nend = threading.Event()\n"
        f"for _ in range({THREADS - 1}): threading.Thread(target=end.wait).start()\n"
        "print(flush=True); sys.stdin.read(); end.set()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=-1, stdout=-1, text=True, start_new_session=True
    ) as running:
        assert running.stdout is not None
        running.stdout.readline()
        yield running


def nice_values(pid: int) -> list[int]:
    """Return that of each thread."""
    return [os.getpriority(os.PRIO_PROCESS, int(thread)) for thread in os.listdir(f"/proc/{pid}/task")]


def test_all_threads_yield(process: subprocess.Popen[str]) -> None:
    """A nice value is a thread's: all have it, and it is said to be new once only."""
    claim = Claim(process.pid, 12)
    assert not claim.is_lowered
    assert [claim.lower(), claim.lower()] == [True, False]
    assert claim.is_lowered
    assert nice_values(process.pid) == [max(12, OWN)] * THREADS


def test_what_threads_wanted_is_added_up(process: subprocess.Popen[str]) -> None:
    """A process that has started wanted some time; one that is not there tells nothing."""
    assert 0.0 < Claim(process.pid, 12).wanted_s() < 3600.0
    assert Claim(2**22 + 1, 12).wanted_s() == 0.0


def test_a_claim_is_never_raised(process: subprocess.Popen[str]) -> None:
    """Who has a higher nice value keeps it."""
    os.setpriority(os.PRIO_PGRP, process.pid, 15)
    Claim(process.pid, 12).lower()
    assert nice_values(process.pid) == [max(15, OWN)] * THREADS


@pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="this kernel does not schedule by session")
@pytest.mark.skipif(os.getuid() != 0, reason="all users together may change ten sessions a second")
def test_the_session_yields_too(process: subprocess.Popen[str]) -> None:
    """Where there is such a thing."""
    Claim(process.pid, 12).lower()
    assert Path(f"/proc/{process.pid}/autogroup").read_text().split()[-2:] == ["nice", "12"]


def test_who_has_ended_is_no_matter(process: subprocess.Popen[str]) -> None:
    """It may end at any time."""
    process.communicate()
    assert Claim(process.pid, 12).lower()
