"""Swaps that fail, at every step: the old version goes on, and nothing is left of the new one."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from nyx_plugins import (
    Event,
    NyxPluginError,
    PluginHeader,
    PluginNotLoaded,
    PluginSystem,
    Settings,
    SwapFailed,
    SwapRefused,
)

from .conftest import DATA, LONG_S, MakeVersion, P, Pipe, Sender, Traces

Aside = Callable[[Callable[[], Any]], Callable[[], Any]]


def ask(system: PluginSystem, number: int) -> bytes | None:
    """Send one frame and return its reply."""
    return system.request(DATA, PluginHeader(P, 0, b"%d" % number), LONG_S)


DEEP = """
def snapshot(self):
    state = []
    for _ in range(100_000):
        state = [state]
    return state
"""
RAISING = [
    ("", "def on_load(self, ctx): raise ValueError('no')", "start", "ValueError: no"),
    ("", "def on_load(self, ctx): raise SystemExit(3)", "start", ""),
    ("", "def restore(self, state, version): raise KeyError('gone')", "restore", "KeyError: 'gone'"),
    ("", "def restore(self, state, version): state['other']", "restore", "KeyError: 'other'"),
    ("", "def on_ready(self): raise OSError('not well')", "on_ready", "OSError: not well"),
    ("def snapshot(self): raise RuntimeError('busy')", "", "snapshot", "RuntimeError: busy"),
    ("def snapshot(self): return object()", "", "snapshot", "CBOR can't hold"),
    ("def snapshot(self): return b'x' * 10_000", "", "snapshot", "the limit is 10,000 (limits.snapshot_bytes)"),
    ("snapshot_version = -1", "", "snapshot", "snapshot_version must be an int"),
    (DEEP, "", "snapshot", "ValueError: snapshot returned a state nested more than 100 deep"),
    ("def snapshot(self): raise GeneratorExit", "", "snapshot", "GeneratorExit"),
]


@pytest.mark.parametrize(("old", "new", "step", "reason"), RAISING)
def test_a_step_that_raises_is_undone(
    system: PluginSystem,
    version: MakeVersion,
    sending: Callable[[PluginSystem], Sender],
    traces: Traces,
    transport: str,
    old: str,
    new: str,
    step: str,
    reason: str,
) -> None:
    """The error names step and reason; under load the old version misses no frame, and no trace of the new is left."""
    system.load(version("1.0", old))
    files, info = traces.files(), system.plugin_info(P)
    sender = sending(system)
    sender.await_more()
    with pytest.raises(SwapFailed) as failed:
        system.swap(P, version("1.1", new))
    assert failed.value.step == step
    assert reason in failed.value.reason
    sender.await_more()
    assert set(sender.stop()) == {"1.0"}
    assert (traces.files(), system.plugin_info(P)) == (files, info)
    assert transport == "inline" or len(traces.workers()) == 1


ENDING = [
    ("", "def on_load(self, ctx): os._exit(3)", "start"),
    ("", "def restore(self, state, version): os._exit(3)", "restore"),
    ("", "def on_ready(self): os.kill(os.getpid(), 9)", "on_ready"),
    ("def snapshot(self): os._exit(3)", "", "snapshot"),
]


@pytest.mark.needs_worker(reason="its process ends")
@pytest.mark.parametrize(("old", "new", "step"), ENDING)
def test_a_worker_that_ends_is_undone(
    system: PluginSystem, version: MakeVersion, traces: Traces, old: str, new: str, step: str
) -> None:
    """A worker that dies in a step fails it; if it was the old one, it is started again."""
    system.load(version("1.0", old))
    files = traces.files()
    with pytest.raises(SwapFailed) as failed:
        system.swap(P, version("1.1", new))
    assert failed.value.step == step
    assert ask(system, 0) == b"1.0 0"
    assert traces.files() == files
    assert len(traces.workers()) == 1


LEAVING = [
    (
        "",
        "def restore(self, state, version): raise SystemExit(3)",
        "restore",
        "new version's worker exited with code 3",
    ),
    ("", "def on_ready(self): raise SystemExit(3)", "on_ready", "new version's worker exited with code 3"),
    ("def snapshot(self): raise SystemExit('no')", "", "snapshot", "worker exited with code 1: SystemExit: no"),
]


@pytest.mark.parametrize(("old", "new", "step", "reason"), LEAVING)
def test_a_step_that_ends_a_program_is_undone(
    system: PluginSystem, version: MakeVersion, traces: Traces, old: str, new: str, step: str, reason: str
) -> None:
    """SystemExit in a step is told as the end of that worker, also where there is no process to end."""
    system.load(version("1.0", old))
    files = traces.files()
    with pytest.raises(SwapFailed) as failed:
        system.swap(P, version("1.1", new))
    assert failed.value.step == step
    assert reason in failed.value.reason
    assert ask(system, 0) == b"1.0 0"
    assert traces.files() == files


HANGING = [
    ("", "def on_load(self, ctx): HANG", "start", "the new version did not start"),
    ("", "def restore(self, state, version): HANG", "restore", "restore() of the new version did not end"),
    ("", "def on_ready(self): HANG", "on_ready", "on_ready() of the new version did not end"),
    (
        "def snapshot(self): HANG",
        "",
        "snapshot",
        "snapshot() of the old version, which its frames wait for, did not end",
    ),
]


@pytest.mark.needs_worker(reason="what hangs on inline hangs the caller")
@pytest.mark.parametrize(("old", "new", "step", "reason"), HANGING)
def test_a_step_that_hangs_is_given_up(
    system: PluginSystem,
    version: MakeVersion,
    pipe: Pipe,
    aside: Aside,
    traces: Traces,
    old: str,
    new: str,
    step: str,
    reason: str,
) -> None:
    """A step that does not end within the timeout fails the swap; the old version goes on."""
    system.load(version("1.0", old.replace("HANG", pipe.stop)))
    files = traces.files()
    swapping = aside(lambda: system.swap(P, version("1.1", new.replace("HANG", pipe.stop)), timeout=3.0))
    pipe.await_stop()
    failed = swapping()
    assert isinstance(failed, SwapFailed)
    assert (failed.step, f"{reason} within 3 s" in failed.reason) == (step, True)
    pipe.let_go()
    assert ask(system, 0) == b"1.0 0"
    assert traces.files() == files
    assert len(traces.workers()) == 1


@pytest.mark.needs_worker(reason="what hangs on inline hangs the caller")
def test_frames_in_hand_may_take_too_long(system: PluginSystem, version: MakeVersion, pipe: Pipe) -> None:
    """A handler that is still at a frame when the timeout is over keeps the old version in its place, and finishes."""
    body = f"def on_control(self, frame):\n    {pipe.stop}\n    return b'done'"
    system.load(version("1.0", body, permissions='"data_access", "control"'))
    receipt = system.dispatch(0x53, PluginHeader(P, 0, b""))
    pipe.await_stop()
    with pytest.raises(SwapFailed, match=r"\(wait\).*what it had in hand within 3 s"):
        system.swap(P, version("1.1"), timeout=3.0)
    pipe.let_go()
    assert receipt.outcome(LONG_S).reply == b"done"
    assert ask(system, 0) == b"1.0 0"


@pytest.mark.needs_worker(reason="what hangs on inline hangs the caller")
@pytest.mark.parametrize("step", ["on_load(self, ctx)", "restore(self, state, version)", "on_ready(self)"])
def test_the_death_of_the_plugin_actor_leaves_the_old_version(
    system: PluginSystem, version: MakeVersion, pipe: Pipe, aside: Aside, traces: Traces, step: str
) -> None:
    """Whatever step it was at, after the plugin actor's death the old version is started again."""
    system.load(version("1.0"))
    files = traces.files()
    swapping = aside(lambda: system.swap(P, version("1.1", f"def {step}: {pipe.stop}")))
    pipe.await_stop()
    os.kill(system.plugin_stats(P).actor_pid, signal.SIGKILL)
    failed = swapping()
    assert isinstance(failed, SwapFailed)
    assert failed.reason == "its plugin actor ended"
    assert ask(system, 0) == b"1.0 0"
    system.unload(P)
    assert len(files) > len(traces.files()) == 0


@pytest.mark.needs_worker(reason="what hangs on inline hangs the caller")
@pytest.mark.parametrize("step", ["on_load(self, ctx)", "on_ready(self)"])
def test_an_unload_ends_a_swap(
    system: PluginSystem, version: MakeVersion, pipe: Pipe, aside: Aside, traces: Traces, step: str
) -> None:
    """A plugin that is unloaded in the middle of a swap is unloaded, and the swap has failed."""
    system.load(version("1.0"))
    swapping = aside(lambda: system.swap(P, version("1.1", f"def {step}: {pipe.stop}")))
    pipe.await_stop()
    system.unload(P)
    failed = swapping()
    assert isinstance(failed, SwapFailed)
    assert (failed.reason, failed.goes_on) == ("it was unloaded", False)
    assert traces.files() == []


@pytest.mark.needs_worker(reason="what hangs on inline hangs the caller")
@pytest.mark.parametrize("step", ["on_load(self, ctx)", "restore(self, state, version)"])
def test_the_death_of_the_old_worker(
    system: PluginSystem,
    version: MakeVersion,
    pipe: Pipe,
    aside: Aside,
    traces: Traces,
    wait_event: Callable[..., object],
    step: str,
) -> None:
    """If the old version's worker dies once its state is taken, or before it is asked, the new one takes its place."""
    system.load(version("1.0"))
    [old] = traces.workers()
    with system.subscribe() as notices:
        swapping = aside(lambda: system.swap(P, version("1.1", f"def {step}:\n    self.last = -1\n    {pipe.stop}")))
        pipe.await_stop()
        os.kill(old, signal.SIGKILL)
        wait_event(notices, "crashed", P)
    pipe.let_go()
    assert swapping().new_version == "1.1"
    assert ask(system, 0) == b"1.1 0"


@pytest.mark.needs_worker(reason="what hangs on inline hangs the caller")
def test_one_swap_at_a_time(system: PluginSystem, version: MakeVersion, pipe: Pipe, aside: Aside) -> None:
    """A second swap of the same plugin is refused while the first is under way."""
    system.load(version("1.0"))
    swapping = aside(lambda: system.swap(P, version("1.1", f"def on_ready(self): {pipe.stop}")))
    pipe.await_stop()
    with pytest.raises(SwapRefused, match="another swap of it is under way"):
        system.swap(P, version("1.2"))
    pipe.let_go()
    assert swapping().new_version == "1.1"


@pytest.mark.needs_worker(reason="what hangs on inline hangs the caller")
def test_a_system_may_stop_in_the_middle(
    make_system: Callable[..., PluginSystem], settings: Settings, version: MakeVersion, pipe: Pipe, aside: Aside
) -> None:
    """Closing the system ends the swap; that nothing is left of it is seen by the fixtures."""
    system = make_system(settings)
    system.load(version("1.0"))
    swapping = aside(lambda: system.swap(P, version("1.1", f"def on_ready(self): {pipe.stop}")))
    pipe.await_stop()
    system.close()
    assert isinstance(swapping(), NyxPluginError)


def test_a_plugin_that_has_failed_is_not_swapped(
    system: PluginSystem, version: MakeVersion, wait_event: Callable[..., object]
) -> None:
    """A plugin that is not at work is told apart from a swap that fails."""
    body = "def on_control(self, frame): raise SystemExit(3)"
    manifest = '[restart]\npolicy = "temporary"'
    system.load(version("1.0", body, manifest, permissions='"data_access", "control"'))
    with system.subscribe() as notices:
        system.dispatch(0x53, PluginHeader(P, 0, b"")).outcome(LONG_S)
        wait_event(notices, "failed", P)
    with pytest.raises(PluginNotLoaded, match="failed"):
        system.swap(P, version("1.1"))


@pytest.mark.needs_worker(reason="what hangs on inline hangs the caller")
def test_an_old_version_that_does_not_stop_is_ended(
    system: PluginSystem, version: MakeVersion, pipe: Pipe, traces: Traces
) -> None:
    """An on_unload that hangs holds up nobody but itself: its worker is killed, and its files are removed."""
    system.load(version("1.0", f"def on_unload(self): {pipe.stop}"))
    system.swap(P, version("1.1"))
    assert len(traces.workers()) == 1
    assert len([name for name in traces.files() if name.endswith("plugin.py")]) == 1


@pytest.mark.needs_worker(reason="frames that are emitted too early are the new worker's")
def test_what_a_new_version_emits_waits_for_its_turn(system: PluginSystem, version: MakeVersion) -> None:
    """What a version emits before it is in its place goes out after the switch, and not at all if that fails."""
    emits = "def on_ready(self):\n    self.ctx.emit(b'1.%d')\n    if %d == 1: raise ValueError('no')"
    system.load(version("1.0"))
    with system.subscribe() as notices:
        with pytest.raises(SwapFailed):
            system.swap(P, version("1.1", emits % (1, 1)))
        system.swap(P, version("1.2", emits % (2, 2)))
        emitted = iter(lambda: notices.get(LONG_S), None)
        assert next(notice.data for notice in emitted if not isinstance(notice, Event)) == b"1.2"


@pytest.mark.needs_worker(reason="it is the worker's socket that is written to")
def test_a_new_version_that_lies_is_no_violation_of_the_old(system: PluginSystem, version: MakeVersion) -> None:
    """A new worker that breaks the protocol fails its swap; the plugin in its place is not to blame."""
    lie = "def on_load(self, ctx):\n    fd = max(int(n) for n in os.listdir('/proc/self/fd'))\n"
    lie += (
        "    [os.write(n, bytes([0, 0, 0, 2, 0x81, 21])) for n in range(3, 10) if os.path.exists(f'/proc/self/fd/{n}')]"
    )
    system.load(version("1.0"))
    with pytest.raises(SwapFailed):
        system.swap(P, version("1.1", lie))
    assert (ask(system, 0), system.plugin_stats(P).violations) == (b"1.0 0", 0)
