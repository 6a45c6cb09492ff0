"""What the application does with its signals is its own business."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nyx_plugins import PluginSystem


@pytest.mark.needs_worker(reason="there are no processes that could inherit anything")
def test_blocked_signals_of_the_application_are_blocked_nowhere_else(
    make_system: Callable[..., PluginSystem], census: Callable[..., Any]
) -> None:
    """Host, actors and workers begin with an empty signal mask, so that they can end, and notice an end."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, signal.SIGTERM, signal.SIGUSR1})
    try:
        system = make_system()
        system.load("builtin:echo")
        census(system).await_loaders()
        masks = {pid: blocked(pid) for pid in census(system).everyone}
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    assert len(masks) >= 9
    assert {pid: mask for pid, mask in masks.items() if mask} == {}
    assert os.getpid() not in masks


def blocked(pid: int) -> int:
    """Read a process's signal mask."""
    fields = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(fields["SigBlk"], 16)
