"""The errors of frames that do not get on, and of their plugins and systems."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nyx_plugins import PluginSystem
from nyx_plugins.config.settings import Settings, SupervisionSettings
from nyx_plugins.plugins.errors import (
    DispatchTimeout,
    FateUnknown,
    MailboxFull,
    PluginFailed,
    PluginQuarantined,
    SystemStopped,
)

from .conftest import DATA, check, header, provokes, refusals


@provokes(MailboxFull)
def test_mailbox_full_of_frames(live: PluginSystem, plugin_id: int) -> None:
    """Without waiting, a frame that finds no room is refused at once; the error says how many there are room for."""
    live.load("builtin:echo", plugin_id=plugin_id, capacity=2)
    live.pause(plugin_id)
    for _ in range(2):
        live.dispatch(DATA, header(plugin_id))
    with pytest.raises(MailboxFull) as caught:
        live.dispatch_nowait(DATA, header(plugin_id))
    text = f"mailbox of plugin {plugin_id} is full: 2 of 2 frames taken"
    check(caught.value, MailboxFull, text, plugin_id=plugin_id, depth=2, capacity=2, unit="frames")
    live.resume(plugin_id)


@provokes(MailboxFull)
def test_mailbox_full_of_bytes(live: PluginSystem, plugin_id: int) -> None:
    """A mailbox is bounded in bytes too; the error says so."""
    live.load("builtin:echo", plugin_id=plugin_id, capacity_bytes=65_536)
    live.pause(plugin_id)
    frame = header(plugin_id, bytes(40_000))
    live.dispatch(DATA, frame)
    with pytest.raises(MailboxFull) as caught:
        live.dispatch_nowait(DATA, frame)
    error = caught.value
    text = f"mailbox of plugin {plugin_id} is full: {error.depth} of {error.capacity} bytes taken"
    check(error, MailboxFull, text, plugin_id=plugin_id, unit="bytes")
    assert len(frame) <= error.depth <= error.capacity
    live.resume(plugin_id)


@provokes(DispatchTimeout, TimeoutError)
def test_dispatch_timeout(live: PluginSystem, plugin_id: int) -> None:
    """Whatever is waited for in vain is named, with the time; the receipt is there if the frame is on its way."""
    live.load("builtin:echo", plugin_id=plugin_id, capacity=1)
    live.pause(plugin_id)
    receipt = live.dispatch(DATA, header(plugin_id))
    with pytest.raises(DispatchTimeout) as caught:
        receipt.outcome(0.05)
    assert caught.value.receipt is receipt
    caught.value.receipt = None
    text = f"plugin {plugin_id}: an outcome not within 0.05 s"
    check(caught.value, DispatchTimeout, text, plugin_id=plugin_id, what="an outcome", timeout=0.05)
    with pytest.raises(DispatchTimeout) as caught:
        live.dispatch(DATA, header(plugin_id), timeout=0.05)
    what = f"room in its mailbox (mailbox of plugin {plugin_id} is full: 1 of 1 frames taken)"
    text = f"plugin {plugin_id}: {what} not within 0.05 s"
    check(caught.value, DispatchTimeout, text, plugin_id=plugin_id, what=what, receipt=None)
    with pytest.raises(DispatchTimeout) as caught:
        live.drain(0.05)
    text = f"outcomes of 1 frames (by plugin: {{{plugin_id}: 1}}) not within 0.05 s"
    check(caught.value, DispatchTimeout, text, plugin_id=None, timeout=0.05)
    live.resume(plugin_id)
    assert receipt.outcome(30.0).reply == b""


@provokes(PluginFailed, RuntimeError)
def test_plugin_failed_in_a_handler(live: PluginSystem, fault: Callable[..., Path], plugin_id: int) -> None:
    """A request to a handler that raises raises PluginFailed with what the handler raised."""
    live.load(fault("raising_plugin", plugin_id=plugin_id))
    with pytest.raises(PluginFailed) as caught:
        live.request(DATA, header(plugin_id, b"raise"))
    reason = "ValueError: this frame is not to my taste"
    text = f"plugin {plugin_id} failed (failed): {reason}"
    check(caught.value, PluginFailed, text, plugin_id=plugin_id, reason=reason, step="failed")


@provokes(PluginFailed, RuntimeError)
def test_plugin_failed_because_it_was_given_up(
    live: PluginSystem, fault: Callable[..., Path], plugin_id: int, wait_event: Callable[..., Any]
) -> None:
    """Once a plugin is failed for good, frames for it are refused with PluginFailed in every way of sending."""
    live.load(fault("plugin_that_exits_cleanly", '[restart]\npolicy = "temporary"\n', plugin_id))
    with live.subscribe() as events:
        assert live.dispatch(DATA, header(plugin_id, b"crash")).outcome(30.0).kind == "dead_lettered"
        wait_event(events, "failed", plugin_id)
    # The session's routes may be told a moment later than its events.
    with pytest.raises(PluginFailed):
        live.request(DATA, header(plugin_id))
    live.plugin_stats(plugin_id)
    for error in refusals(live, DATA, header(plugin_id)):
        assert isinstance(error, PluginFailed)
        assert (error.plugin_id, error.step) == (plugin_id, "dispatch")


@provokes(PluginQuarantined, PermissionError)
def test_plugin_quarantined(
    make_system: Callable[..., PluginSystem], fault: Callable[..., Path], wait_event: Callable[..., Any], transport: str
) -> None:
    """Once a worker has broken its bounds too often, frames for its plugin are refused in every way of sending."""
    if transport == "inline":
        pytest.skip("a worker of its own is what can break the protocol")
    system = make_system(Settings(supervision=SupervisionSettings(max_violations=0)))
    system.load(fault("plugin_that_scribbles_on_its_socket"))
    with system.subscribe() as events:
        system.dispatch(DATA, header(1, b"!" + bytes(4)))
        wait_event(events, "quarantined", 1)
    with pytest.raises(PluginQuarantined):
        system.request(DATA, header(1))
    system.plugin_stats(1)
    reason = "its worker has broken its bounds too often"
    text = f"plugin 1 is quarantined: {reason}; see its events and its log, "
    text += "then reset it, or unload it and load a version that is mended"
    for error in refusals(system, DATA, header(1)):
        check(error, PluginQuarantined, text, plugin_id=1, reason=reason)


@provokes(FateUnknown, RuntimeError)
@pytest.mark.needs_worker(reason="there is nobody to kill where all is in one process")
def test_fate_unknown(make_system: Callable[..., PluginSystem]) -> None:
    """Frames that were on their way when the whole system was killed are not said to be refused, nor to be lost."""
    system = make_system()
    system.load("builtin:echo")
    system.pause(1002)
    receipt = system.dispatch(DATA, header(1002))
    os.kill(system.host_pid, signal.SIGKILL)
    with pytest.raises(FateUnknown) as caught:
        receipt.outcome(30.0)
    assert receipt.accepted
    text = (
        "the plugin system has stopped: its host process ended; a frame for plugin 1002 was accepted, and may or may"
        ' not have been handled (with durability = "disk", an accepted one is handled by the next system):'
        " send it again only if it may be handled twice"
    )
    check(caught.value, FateUnknown, text, plugin_id=1002, reason="its host process ended", accepted=True)
    assert caught.value.receipt is receipt


@provokes(SystemStopped, RuntimeError)
def test_system_stopped(make_system: Callable[..., PluginSystem]) -> None:
    """After close() everything raises SystemStopped with the reason, and what was pending has ended too."""
    system = make_system()
    system.load("builtin:echo")
    system.pause(1002)
    receipt = system.dispatch(DATA, header(1002))
    with system.subscribe() as events:
        system.close(timeout=0.0)
        list(events)
    assert receipt.done
    text = "the plugin system has stopped: it was closed"
    for use in (
        lambda: system.dispatch(DATA, header(1002)),
        lambda: system.dispatch_nowait(DATA, header(1002)),
        lambda: system.dispatch_many([(DATA, header(1002))]),
        lambda: system.request(DATA, header(1002)),
        lambda: system.load("builtin:kv"),
        lambda: system.unload(1002),
        lambda: system.plugin_stats(1002),
        system.dispatch_stats,
    ):
        with pytest.raises(SystemStopped) as caught:
            use()
        check(caught.value, SystemStopped, text, reason="it was closed")
