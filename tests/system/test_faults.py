"""One broken plugin after the other, by name: each hurts itself only, and each of its frames has one outcome."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from nyx_plugins import PluginFailed, PluginHeader, PluginSystem, Receipt
from nyx_plugins.config.sandbox import Ceiling
from nyx_plugins.config.settings import LimitSettings, Settings, SupervisionSettings, SystemSettings

pytestmark = pytest.mark.needs_worker(reason="what is broken here would break its host")

DATA = 0x52
P, NEIGHBOUR = 1, 1002
LONG_S = 30.0


@attrs.frozen
class Fault:
    """What makes a broken plugin show it, and what the outcomes of the frames must be."""

    name: str
    frames: tuple[bytes, ...] = ()
    outcomes: str = ""
    config: dict[str, Any] = attrs.field(factory=dict)
    sandbox: str = ""
    loads: bool = True

    def __str__(self) -> str:
        return self.name


CRASH = (b"before", b"crash", b"after")
ONE_LOST = "processed dead_lettered processed"
SOON = "wall_time_s = 1.0"
FAULTS = (
    Fault("plugin_that_fails_to_load", loads=False),
    Fault("plugin_that_exits_in_load", loads=False),
    Fault("plugin_that_hangs_in_load", loads=False),
    Fault("raising_plugin", (b"before", b"raise", b"after"), "processed failed processed"),
    Fault("crashing_plugin", CRASH, ONE_LOST),
    Fault("plugin_that_crashes_on_the_nth_frame", (b"1", b"2", b"3"), "processed processed dead_lettered", {"n": 3}),
    Fault("plugin_that_exits_cleanly", CRASH, ONE_LOST),
    Fault("segfaulting_plugin", CRASH, ONE_LOST),
    Fault("spinning_plugin", CRASH, ONE_LOST, sandbox=SOON),
    Fault("plugin_that_never_replies", CRASH, ONE_LOST, sandbox=SOON),
    Fault("plugin_that_closes_its_socket", CRASH, ONE_LOST),
    Fault("plugin_that_scribbles_on_its_page", (b"exit 999999 3", b"after"), "processed processed"),
    Fault("plugin_that_floods_emits", (b"20000", b"1"), "processed processed"),
    Fault("leaking_plugin", (b"x",) * 8, "", sandbox="memory_bytes = 33554432"),
    Fault("plugin_that_fails_in_unload", (b"x",), "processed"),
    Fault("plugin_that_crashes_in_unload", (b"x",), "processed"),
    Fault("plugin_that_hangs_in_unload", (b"x",), "processed"),
    Fault("plugin_that_ignores_stop", (b"x",), "processed"),
)


@pytest.fixture(scope="module")
def running(short_folder: Callable[[], Path]) -> Iterator[PluginSystem]:
    """Run a system with little patience, and a healthy plugin in it."""
    base = short_folder()
    settings = Settings(
        SystemSettings(runtime_dir=str(base), load_timeout_s=4.0, stop_timeout_s=0.5),
        LimitSettings(wall_time_s=LONG_S),
        SupervisionSettings(backoff_initial_s=0.01, backoff_max_s=0.01),
        Ceiling(write_paths=(tempfile.gettempdir(),)),
    )
    with PluginSystem(settings) as system:
        system.load("builtin:echo")
        yield system
    assert list(base.iterdir()) == []


def send(system: PluginSystem, frame: bytes, plugin_id: int = P) -> Receipt:
    """Dispatch one frame."""
    return system.dispatch(DATA, PluginHeader(plugin_id, 0, frame), LONG_S)


@pytest.mark.parametrize("fault_plugin", FAULTS, ids=str)
def test_a_broken_plugin_hurts_itself_only(
    fault_plugin: Fault,
    running: PluginSystem,
    fault: Callable[..., Path],
    census: Callable[..., Any],
    ends: Callable[..., Any],
) -> None:
    """Its frames have one outcome each, its neighbour answers, and once it is unloaded no process of it is left."""
    before = census(running).everyone
    bundle = fault(fault_plugin.name, plugin_id=P, sandbox=fault_plugin.sandbox)
    if fault_plugin.loads:
        running.load(bundle, config=fault_plugin.config)
        suffer(running, fault_plugin)
        processes = ends(set(census(running).everyone) - set(before))
        running.unload(P, LONG_S)
        assert processes.still_there(LONG_S) == []
    else:
        with pytest.raises(PluginFailed):
            running.load(bundle)
    assert running.request(DATA, PluginHeader(NEIGHBOUR, 0, b"well?"), LONG_S) == b"well?"
    assert ends(set(census(running).everyone) - set(before)).still_there(LONG_S) == []


def suffer(system: PluginSystem, fault: Fault) -> None:
    """Let it show what it is, and balance its books."""
    receipts = [send(system, frame) for frame in fault.frames]
    kinds = [str(receipt.outcome(LONG_S).kind) for receipt in receipts]
    if fault.outcomes:
        assert kinds == fault.outcomes.split()
    stats, counted = system.plugin_stats(P), Counter(kinds)
    assert (stats.accepted, stats.in_mailbox) == (len(receipts), 0)
    assert (stats.processed, stats.failed, stats.dead_lettered) == (
        counted["processed"],
        counted["failed"],
        counted["dead_lettered"],
    )
