"""Linux processes: descendants, sub-reaping, and sweeping up what is left."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path

ACTOR_PREFIX = "nyx-"
"""How the names of actors' processes begin."""
NURSERY_NAME = f"{ACTOR_PREFIX}Nursery"
"""The name of a process that is no actor."""
LOOKS = 100
"""How often the processes below another are looked at, at most, until two looks say the same."""
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)


def become_subreaper() -> None:
    """Inherit every orphan among this process's descendants, so that none can hide by forking twice."""
    if _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def name_process(name: str) -> None:
    """Show this process as ``name`` (at most 15 bytes of it) in ``ps``, ``top`` and ``/proc/PID/comm``."""
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text(name)


def process_name(pid: int) -> str:
    """Return what ``pid`` is shown as; empty if it is gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def children(pid: int) -> list[int]:
    """Return the processes whose parent is ``pid``."""
    return _settled(lambda: _listed(pid))


def descendants(pid: int, spare: frozenset[int] = frozenset()) -> list[int]:
    """Return the processes below ``pid``, parents before their children; not its children in ``spare``, nor theirs."""
    return _settled(lambda: _below(pid, spare))


def _settled(look: Callable[[], list[int]]) -> list[int]:
    """Look until two looks in a row say the same (at most :data:`LOOKS` times, since others may start without end).

    While processes end, the kernel's list leaves out some that are there (proc_tid_children(5)), and an
    orphan moves to a parent that has been looked at already; whoever ended was seen, so that the next look differs.
    """
    seen = look()
    for _ in range(LOOKS):
        before, seen = seen, look()
        if seen == before:
            break
    return seen


def _listed(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                found += map(int, (task / "children").read_text().split())
    return found


def _below(pid: int, spare: frozenset[int]) -> list[int]:
    found = [child for child in _listed(pid) if child not in spare]
    for child in found:
        found += [grandchild for grandchild in _listed(child) if grandchild not in found]
    return found


def parent(pid: int) -> int:
    """Return the parent of the process ``pid``; raises :class:`OSError` when there is no such process."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def await_children(budget_s: float) -> None:
    """Wait up to ``budget_s`` seconds until the children of this process have ended; reaps none."""
    deadline = time.monotonic() + budget_s
    for pid in children(os.getpid()):
        with contextlib.suppress(ProcessLookupError):
            ended = os.pidfd_open(pid)
            select.select([ended], [], [], max(0.0, deadline - time.monotonic()))
            os.close(ended)


def terminate(pids: Iterable[int], budget_s: float) -> list[int]:
    """Ask processes to end (SIGTERM), and return those that are still there after ``budget_s`` seconds."""
    deadline = time.monotonic() + budget_s
    asked = watch_ends(pids)
    for pid in asked.values():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    return await_ends(asked, deadline - time.monotonic())


def watch_ends(pids: Iterable[int]) -> dict[int, int]:
    """Open a descriptor of each process that is there, for :func:`await_ends`."""
    watched: dict[int, int] = {}
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            watched[os.pidfd_open(pid)] = pid
    return watched


def await_ends(watched: dict[int, int], budget_s: float) -> list[int]:
    """Wait up to ``budget_s`` seconds for the ends of all; closes the descriptors, and returns who is still there."""
    deadline = time.monotonic() + budget_s
    ended = select.poll()
    for fd in watched:
        ended.register(fd, select.POLLIN)
    left = dict(watched)
    while left and (remaining := deadline - time.monotonic()) > 0:
        for fd, _ in ended.poll(remaining * 1000):
            ended.unregister(fd)
            del left[fd]
    for fd in watched:
        os.close(fd)
    return list(left.values())


def kill(pid: int) -> None:
    """Kill the process ``pid`` if it is there; 0 is none."""
    if pid:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def reap() -> None:
    """Collect the children that have ended, without waiting."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def sweep(budget_s: float, spare: frozenset[int] = frozenset()) -> list[int]:
    """Kill and reap all descendants of this process (a subreaper), but not the children to ``spare`` and theirs.

    Returns those still there after ``budget_s`` seconds.
    """
    deadline = time.monotonic() + budget_s
    while left := descendants(os.getpid(), spare):
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for pid in left:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        if time.monotonic() > deadline:
            return left
        # A killed process is reaped here or becomes ours to reap: either way the next look finds fewer.
        time.sleep(0.002)
    return []
