"""What is left after the end: processes, descriptors, sockets, files."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import attrs

from nyx_plugins.actors.processes import descendants, process_name, reap

PATIENCE_S = 30.0
LOOK_S = 0.02


@attrs.frozen
class Before:
    """What this process has at the start."""

    processes: frozenset[int]
    descriptors: frozenset[str]

    @classmethod
    def now(cls) -> Before:
        """Look."""
        return cls(frozenset(descendants(os.getpid())), frozenset(_descriptors()))


def remains(before: Before, folder: Path) -> list[str]:
    """Return what is there that was not, ``folder`` being where everything of the system lay; waits a little for it."""
    deadline = time.monotonic() + PATIENCE_S
    while left := list(_look(before, folder)):
        if time.monotonic() > deadline:
            break
        time.sleep(LOOK_S)
    return left


def _look(before: Before, folder: Path) -> Iterator[str]:
    reap()
    for pid in set(descendants(os.getpid())) - before.processes:
        yield f"process {pid} ({process_name(pid)})"
    for link in set(_descriptors()) - before.descriptors:
        yield f"descriptor of {link}"
    for path in folder.rglob("*"):
        yield f"file {path}"
    for line in Path("/proc/net/unix").read_text().splitlines():
        if str(folder) in line:
            yield f"socket {line.split()[-1]}"


def _descriptors() -> Iterator[str]:
    for fd in os.listdir("/proc/self/fd"):
        try:
            yield f"{fd}: {os.readlink(f'/proc/self/fd/{fd}')}"
        except FileNotFoundError:
            # The one with which the folder is read.
            continue
