"""For tests of loads: that one has left no trace."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nyx_plugins import PluginSystem
from nyx_plugins.config.settings import Settings, SystemSettings

# Long enough for a plugin that is well, on a slow machine too.
QUICK = Settings(system=SystemSettings(load_timeout_s=3.0))


@pytest.fixture
def traces(runtime_base: Path, census: Callable[..., Any]) -> Callable[[PluginSystem], Any]:
    """Return a function that lists the processes and the files of a system."""

    def look(system: PluginSystem) -> tuple[set[int], set[str]]:
        files = {str(path) for path in runtime_base.glob("*/plugins/**/*")}
        on_unix = system.host_pid != os.getpid()
        return set(census(system).everyone) if on_unix else set(), files

    return look


@pytest.fixture
def no_trace(traces: Callable[..., Any], ends: Callable[..., Any]) -> Iterator[Callable[..., None]]:
    """Return a function: called before the load it remembers, called after it compares what there is."""
    before: list[Any] = []

    def check(system: PluginSystem) -> None:
        if not before:
            before.append(traces(system))
            return
        processes, files = traces(system)
        # Loaders have nothing more to do, but may be about to end.
        assert ends(processes - before[0][0]).still_there(30.0) == []
        assert files == before[0][1]

    return check
