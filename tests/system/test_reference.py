"""The reference implementation's thirteen tests, each a test of its own; what it left open is decided here."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nyx_plugins import (
    MailboxFull,
    OutcomeKind,
    PermissionDenied,
    PluginHeader,
    PluginInfo,
    PluginNotRegistered,
    PluginSettings,
    PluginSystem,
    Receipt,
    Settings,
)
from nyx_plugins.actors.processes import descendants
from nyx_plugins.config import Ceiling

HANDSHAKE, DATA, CONTROL, ERROR = 0x51, 0x52, 0x53, 0x54

LONG_S = 30.0
"""More than anything here takes, on however busy a machine."""


def header(plugin_id: int, data: bytes = b"") -> bytes:
    """Encode a header."""
    return PluginHeader(plugin_id, 0, data).encode()


def load_echoes(system: PluginSystem, ids: range, capacity: int | None = None) -> None:
    """Load as many echo plugins, at the same time."""
    results = system.load_many([PluginSettings("builtin:echo", id=number, capacity=capacity) for number in ids])
    assert [result.plugin_id if isinstance(result, PluginInfo) else result for result in results] == list(ids)


def processed(system: PluginSystem, plugin_id: int) -> int:
    """Count the frames that the plugin has seen to their end."""
    return system.plugin_stats(plugin_id).messages_processed


def memory_bytes(pid: int) -> int:
    """The memory of a process and all below it, what they share counted once (PSS)."""
    total = 0
    for one in [pid, *descendants(pid)]:
        try:
            rollup = Path(f"/proc/{one}/smaps_rollup").read_text()
        except OSError:
            continue
        total += sum(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:"))
    return total


# Integration.


def test_integration_1_lifecycle(system: PluginSystem) -> None:
    """A plugin is loaded, takes a handshake and a data frame, and is unloaded; both sides count it."""
    system.load("builtin:echo", plugin_id=1)
    system.dispatch(HANDSHAKE, header(1, b"\x01\x02\x03\x04"))
    system.dispatch(DATA, header(1, b"\x01\x02\x03\x04"))
    system.drain(LONG_S)
    assert processed(system, 1) == 2
    running = system.dispatch_stats()
    assert (running.plugins_loaded, running.frames_dispatched, running.dispatch_errors) == (1, 2, 0)
    system.unload(1)
    assert system.dispatch_stats().plugins_unloaded == 1
    assert not system.is_plugin_loaded(1)


def test_integration_2_sandbox(make_system: Callable[..., PluginSystem], fault: Callable[..., Path]) -> None:
    """A plugin with a permissive policy gets data frames, and control frames that its policy allows."""
    system = make_system(Settings(ceiling=Ceiling(network=("*", "127.0.0.1"), read_paths=("/",))))
    system.load(fault("obedient_plugin", '[sandbox]\nnetwork = ["*", "127.0.0.1"]\nread_paths = ["/"]\n', plugin_id=88))
    assert system.request(DATA, header(88, b"through")) == b"through"
    assert system.dispatch(CONTROL, header(88, b"SBX:CONNECT 127.0.0.1:80")).outcome(LONG_S).kind == "processed"
    assert system.plugin_stats(88).permission_violations == 0


def test_integration_3_permissions(system: PluginSystem) -> None:
    """A plugin with the permission handshake only gets handshakes, and is denied data."""
    system.load("builtin:echo", plugin_id=3, permissions=["handshake"])
    assert system.dispatch(HANDSHAKE, header(3)).outcome(LONG_S).kind is OutcomeKind.PROCESSED
    with pytest.raises(PermissionDenied, match="'data_access'"):
        system.dispatch(DATA, header(3))
    assert system.plugin_stats(3).permission_violations == 1
    assert processed(system, 3) == 1


def test_integration_4_three_plugins(system: PluginSystem) -> None:
    """Three plugins take three types of frames each, at the same time."""
    load_echoes(system, range(10, 13))
    frames = [(kind, header(number, b"x")) for kind in (HANDSHAKE, DATA, CONTROL) for number in (10, 11, 12)]
    with ThreadPoolExecutor(3) as pool:
        receipts = list(pool.map(lambda frame: system.dispatch(*frame), frames))
    assert {receipt.outcome(LONG_S).kind for receipt in receipts} == {OutcomeKind.PROCESSED}
    assert [processed(system, number) for number in (10, 11, 12)] == [3, 3, 3]
    assert system.dispatch_stats().frames_dispatched == 9


def test_integration_5_not_registered(system: PluginSystem) -> None:
    """A frame for a plugin that nobody registered is refused and counted."""
    with pytest.raises(PluginNotRegistered, match="plugin 99 is not registered"):
        system.dispatch(DATA, header(99))
    assert system.dispatch_stats().dispatch_errors == 1


def test_integration_6_capacity_1(system: PluginSystem) -> None:
    """While the only frame that fits is unfinished, a second one is refused at once; afterwards there is room."""
    system.load("builtin:echo", plugin_id=6, capacity=1)
    system.pause(6)
    first = system.dispatch_nowait(DATA, header(6, b"first"))
    with pytest.raises(MailboxFull, match="mailbox of plugin 6 is full: 1 of 1 frames taken"):
        system.dispatch_nowait(DATA, header(6, b"second"))
    system.resume(6)
    assert first.outcome(LONG_S).reply == b"first"
    assert system.dispatch_nowait(DATA, header(6, b"third")).outcome(LONG_S).reply == b"third"
    stats = system.dispatch_stats()
    assert (stats.frames_dispatched, stats.refused) == (2, {"MailboxFull": 1})


@pytest.mark.needs_worker(reason="on inline a handler that waits makes the sender wait")
def test_integration_6_capacity_1_in_hand(system: PluginSystem, fault: Callable[..., Path], tmp_path: Path) -> None:
    """A frame takes its room for as long as its handler runs."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    bundle = fault("obedient_plugin", plugin_id=6, sandbox=f'read_paths = ["{tmp_path}"]')
    system.load(bundle, capacity=1, config={"gate": str(gate)})
    first = system.dispatch_nowait(DATA, header(6, b"wait"))
    # Opening the pipe to write returns when the handler has opened it to read.
    with gate.open("wb"), pytest.raises(MailboxFull, match="1 of 1 frames taken"):
        system.dispatch_nowait(DATA, header(6, b"second"))
    assert first.outcome(LONG_S).reply == b"wait"
    assert system.dispatch_nowait(DATA, header(6, b"third")).outcome(LONG_S).reply == b"third"


def test_integration_7_statistics(system: PluginSystem) -> None:
    """Five frames of eight bytes are five messages and 170 bytes, without an error."""
    system.load("builtin:echo", plugin_id=5)
    for start in range(1, 41, 8):
        assert len(header(5, bytes(range(start, start + 8)))) == 26
        system.dispatch(DATA, header(5, bytes(range(start, start + 8))))
    system.drain(LONG_S)
    stats = system.plugin_stats(5)
    assert (stats.messages_processed, stats.bytes_processed, stats.errors) == (5, 170, 0)


def test_integration_8_listing(system: PluginSystem) -> None:
    """What is loaded is listed, what is unloaded is not."""
    load_echoes(system, range(20, 23))
    system.unload(21)
    assert system.loaded_plugins() == [20, 22]
    for number in (20, 22):
        system.unload(number)
    assert (system.loaded_plugins(), system.loaded_plugin_count()) == ([], 0)


# Performance. How long it took is for the load tests to say; here all of it has to arrive.


def test_performance_1_throughput(system: PluginSystem) -> None:
    """A thousand frames of 1 KiB are all processed, none of them waiting for the one before."""
    system.load("builtin:echo", plugin_id=1, capacity=10_000)
    payloads = [number.to_bytes(4, "big") * 256 for number in range(1000)]
    receipts = [system.dispatch_nowait(DATA, header(1, payload)) for payload in payloads]
    assert [receipt.outcome(LONG_S).reply for receipt in receipts] == payloads
    assert (processed(system, 1), system.plugin_stats(1).errors) == (1000, 0)


@pytest.mark.timeout(180)  # a hundred plugins start
def test_performance_2_hundred_plugins(system: PluginSystem) -> None:
    """A hundred plugins are loaded and unloaded at the same time."""
    load_echoes(system, range(1, 101))
    assert system.loaded_plugins() == list(range(1, 101))
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(system.unload, range(1, 101)))
    stats = system.dispatch_stats()
    assert (system.loaded_plugins(), stats.plugins_loaded, stats.plugins_unloaded) == ([], 100, 100)


def test_performance_3_ten_plugins(system: PluginSystem) -> None:
    """Ten plugins process a hundred frames each, of three types in turn."""
    load_echoes(system, range(1, 11), capacity=1000)
    kinds = (HANDSHAKE, DATA, CONTROL)
    frames = [(kinds[turn % 3], header(number, bytes(512))) for turn in range(100) for number in range(1, 11)]
    receipts = [receipt for receipt in system.dispatch_many(frames, timeout=LONG_S) if isinstance(receipt, Receipt)]
    system.drain(LONG_S)
    assert len(receipts) == 1000
    assert {receipt.outcome().reply for receipt in receipts} == {bytes(512)}
    assert [processed(system, number) for number in range(1, 11)] == [100] * 10
    assert system.dispatch_stats().dispatch_errors == 0


def test_performance_4_memory(system: PluginSystem, record_property: Callable[[str, object], None]) -> None:
    """Fifty plugins are there at once, each processes a frame of 100 bytes, and their memory can be measured."""
    load_echoes(system, range(1, 51))
    system.dispatch_many([(DATA, header(number, bytes(100))) for number in range(1, 51)], timeout=LONG_S)
    system.drain(LONG_S)
    assert [processed(system, number) for number in range(1, 51)] == [1] * 50
    memory = memory_bytes(system.host_pid)
    record_property("memory_bytes", memory)
    assert memory > 0


def test_performance_5_errors_beside_frames(system: PluginSystem) -> None:
    """Refused frames count as errors, and the valid ones beside them are dispatched."""
    load_echoes(system, range(1, 6))
    frames = [(DATA, header(number)) for valid in range(1, 6) for number in (valid, 999)]
    results = system.dispatch_many(frames)
    assert [isinstance(result, PluginNotRegistered) for result in results] == [False, True] * 5
    stats = system.dispatch_stats()
    assert (stats.frames_dispatched, stats.dispatch_errors) == (5, 5)
