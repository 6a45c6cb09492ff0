"""Real workers that write what they like: their actors end them, and the neighbours do not notice."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import attrs
import pytest

from nyx_plugins import PluginHeader, PluginSystem
from nyx_plugins.config.settings import Settings, SupervisionSettings

from .conftest import EXAMPLES
from .streams import Writer

pytestmark = pytest.mark.needs_worker(reason="the streams go through a worker's socket")
HOSTILE, NEIGHBOUR, DATA = 1, 1002, 0x52
STREAMS = max(12, EXAMPLES // 6)
MAX_STREAM_BYTES = 60_000
WAIT_S = 60.0
# What one stream may cost for a moment, and the allocator may keep; not what all together would cost.
GROWTH_BYTES = 48 << 20


@pytest.fixture
def seed() -> Iterator[int]:
    """Return the seed of this run: that of ``FUZZ_SEED``, in CI always the same, else any; a failure shows it."""
    anyhow = "0" if os.environ.get("CI") else str(secrets.randbelow(2**32))
    seed = int(os.environ.get("FUZZ_SEED", anyhow))
    print(f"again: make suite FUZZ_SEED={seed} PYTEST_ARGS=tests/fuzz/test_real_workers.py")
    yield seed


def test_streams_of_real_workers_cost_nobody_else(
    seed: int, make_system: Callable[..., PluginSystem], fault: Callable[..., Path]
) -> None:
    """Worker after worker writes a random stream; each frame has one outcome, and the neighbour answers all along."""
    often = SupervisionSettings(max_restarts=1_000, backoff_initial_s=0.01, backoff_max_s=0.01, max_violations=100_000)
    system = make_system(attrs.evolve(Settings(), supervision=often))
    system.load(fault("plugin_that_scribbles_on_its_socket", "[sandbox]\nwall_time_s = 0.3\n", HOSTILE))
    system.load("builtin:echo")
    actor, neighbours = (system.plugin_stats(plugin_id) for plugin_id in (HOSTILE, NEIGHBOUR))
    before = resident(actor.actor_pid)
    for number in range(STREAMS):
        writer = Writer(Random(f"{seed} {number}"))
        stream = writer.stream(writer.from_worker)[:MAX_STREAM_BYTES]
        print(f"stream {number}: {stream.hex()}")
        receipt = system.dispatch(*frame(HOSTILE, b"!" + stream), timeout=WAIT_S)
        echo = system.dispatch(*frame(NEIGHBOUR, b"%d" % number), timeout=WAIT_S)
        assert echo.outcome(WAIT_S).reply == b"%d" % number
        # An unfinished message swallows the result, until the deadline: the frame has its one outcome then.
        assert receipt.outcome(WAIT_S).kind in ("processed", "failed", "dead_lettered")
    after = system.plugin_stats(NEIGHBOUR)
    assert (after.restarts, after.worker_pid, after.processed) == (0, neighbours.worker_pid, STREAMS)
    assert system.plugin_stats(HOSTILE).actor_pid == actor.actor_pid
    assert resident(actor.actor_pid) - before < GROWTH_BYTES


def frame(plugin_id: int, data: bytes) -> tuple[int, bytes]:
    """Make a data frame."""
    return DATA, PluginHeader(plugin_id, 0, data).encode()


def resident(pid: int) -> int:
    """Read the resident memory of a process, in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
