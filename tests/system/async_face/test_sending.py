"""The face for asyncio does what the one for threads does."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

from nyx_plugins import (
    AsyncPluginSystem,
    AsyncReceipt,
    DispatchTimeout,
    FateUnknown,
    FrameError,
    InvalidFrameType,
    MailboxFull,
    NyxPluginError,
    PermissionDenied,
    PluginFailed,
    PluginHeader,
    PluginInfo,
    PluginNotRegistered,
    PluginSettings,
    PluginSystem,
    SandboxViolation,
    Settings,
    SystemStopped,
)
from nyx_plugins.actors.bridge import Bridge
from nyx_plugins.actors.receipt import Receipt
from nyx_plugins.config.settings import LimitSettings

HANDSHAKE, DATA, CONTROL = 0x51, 0x52, 0x53
P = 7
LONG_S = 30.0


def header(data: bytes = b"", plugin_id: int = P) -> bytes:
    """Encode a header."""
    return PluginHeader(plugin_id, 0, data).encode()


def data_frames(*texts: bytes) -> list[tuple[int, bytes]]:
    """Make data frames for plugin ``P``."""
    return [(DATA, header(text)) for text in texts]


def test_it_has_the_names_and_parameters_of_the_other_face() -> None:
    """Whatever a PluginSystem has, an AsyncPluginSystem has too."""
    for name, member in inspect.getmembers_static(PluginSystem):
        if not name.startswith("_"):
            theirs = inspect.getattr_static(AsyncPluginSystem, name)
            assert type(theirs) is type(member), name
            if not isinstance(member, property):
                wanted = inspect.signature(getattr(PluginSystem, name)).parameters
                found = inspect.signature(getattr(AsyncPluginSystem, name)).parameters
                assert list(found.values()) == list(wanted.values()), name
    assert inspect.signature(AsyncPluginSystem).parameters == inspect.signature(PluginSystem).parameters


def test_a_life(run: Callable[..., Any], load: Callable[..., Any]) -> None:
    """Load, dispatch, request, pause, revoke, look, unload: all as it is with threads."""

    async def main(system: AsyncPluginSystem) -> None:
        await load(system, capacity=5)
        assert (system.loaded_plugins(), system.loaded_plugin_count(), system.is_plugin_loaded(P)) == ([P], 1, True)
        receipt = await system.dispatch(DATA, header(b"hello"))
        outcome = await receipt.outcome(LONG_S)
        assert (receipt.accepted, receipt.done, receipt.error) == (True, True, None)
        assert (receipt.plugin_id, receipt.seq, receipt.size) == (P, 1, len(header(b"hello")))
        assert repr(receipt) == "<AsyncReceipt plugin 7 #1 processed>"
        assert (outcome.kind, outcome.reply) == ("processed", b"hello")
        assert await system.request(DATA, PluginHeader(P, 0, b"question")) == b"question"
        assert await system.request(CONTROL, header(b"?")) is None
        await system.pause(P)
        assert (await system.plugin_stats(P)).state == "paused"
        await system.resume(P)
        await system.revoke(P, "data_access")
        with pytest.raises(PermissionDenied):
            await system.dispatch(DATA, header())
        await system.grant(P, "data_access")
        info = await system.plugin_info(P)
        assert isinstance(info, PluginInfo) and (info.capacity, info.state) == (5, "ready")
        assert await system.plugins() == [info]
        stats = await system.dispatch_stats()
        assert (stats.frames_dispatched, stats.refused) == (3, {"PermissionDenied": 1})
        await system.unload(P)
        assert system.loaded_plugins() == []

    run(main)


def test_plugins_are_loaded_together_and_refused_one_by_one(run: Callable[..., Any]) -> None:
    """Results stand in order; what the settings name can be loaded, and new settings hold for what comes later."""
    settings = Settings(plugins=(PluginSettings("builtin:echo", id=1), PluginSettings("builtin:nobody", id=2)))

    async def main(system: AsyncPluginSystem) -> None:
        good, bad = await system.load_configured()
        assert isinstance(good, PluginInfo) and good.plugin_id == 1
        with pytest.raises(type(bad)):
            await system.load("builtin:nobody")
        await system.reconfigure(Settings(limits=LimitSettings(mailbox_capacity=3)))
        assert system.settings.limits.mailbox_capacity == 3
        assert (await system.load("builtin:echo", plugin_id=3)).capacity == 3

    run(main, settings)


@pytest.mark.parametrize(
    ("frame_type", "raw", "error"),
    [
        (0x50, header(), InvalidFrameType),
        (0x51, b"\xa0", FrameError),
        (0x51, header(plugin_id=8), PluginNotRegistered),
        (0x51, header(), PermissionDenied),
        (0x53, header(b"SBX:OPEN /etc/passwd"), SandboxViolation),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_every_way_of_sending_refuses_alike(
    run: Callable[..., Any], load: Callable[..., Any], frame_type: int, raw: bytes, error: type[NyxPluginError]
) -> None:
    """A refusal is raised at once and counted once, whichever way the frame was sent."""

    async def main(system: AsyncPluginSystem) -> None:
        await load(system, permissions=["data_access", "control"])
        for send in (system.dispatch, system.request):
            with pytest.raises(error):
                await send(frame_type, raw)
        with pytest.raises(error):
            system.dispatch_nowait(frame_type, raw)
        for wait in (True, False):
            [result] = await system.dispatch_many([(frame_type, raw)], wait=wait)
            assert isinstance(result, error)
        assert (await system.dispatch_stats()).refused == {error.__name__: 5}

    run(main)


def test_mistakes_are_raised_before_anything_is_sent(run: Callable[..., Any]) -> None:
    """Arguments are checked as they are with threads."""

    async def main(system: AsyncPluginSystem) -> None:
        receipt, notices = AsyncReceipt(Receipt(P, 1, 0, threading.Condition()), Bridge()), system.subscribe()
        for wrong, error in ((-1, ValueError), ("1", TypeError), (float("nan"), ValueError), (True, TypeError)):
            for call in (system.dispatch, system.request):
                with pytest.raises(error):
                    await call(DATA, header(), timeout=wrong)
            for wait in (system.drain, system.close, receipt.outcome, receipt.wait_accepted, notices.get):
                with pytest.raises(error):
                    await wait(timeout=wrong)
        with pytest.raises(ValueError):
            system.subscribe(0)
        with pytest.raises(ValueError):
            await system.unload(-1)
        with pytest.raises(ValueError):
            await system.grant(1, "everything")
        with pytest.raises(TypeError):
            await system.load("builtin:echo", permissions="control")
        assert (await system.dispatch_stats()).dispatch_errors == 0

    run(main)


def test_settings_that_are_none_are_refused_at_the_start() -> None:
    """The error is that of the other face, and nothing is started."""
    with pytest.raises(TypeError, match="settings must be Settings, a path or None, not int"):
        asyncio.run(AsyncPluginSystem.start(5))  # type: ignore[arg-type]  # that is the mistake


def test_dispatch_waits_for_room_and_says_so_when_there_is_none(
    run: Callable[..., Any], load: Callable[..., Any], has_room_for: Callable[..., Any]
) -> None:
    """The time-out names plugin, room and time, and leaves nothing behind; who waits longer is let in."""

    async def main(system: AsyncPluginSystem) -> None:
        await load(system, capacity=1)
        await system.pause(P)
        await system.dispatch(DATA, header(b"first"))
        full = f"mailbox of plugin {P} is full: 1 of 1 frames taken"
        with pytest.raises(DispatchTimeout) as late:
            await system.dispatch(DATA, header(b"second"), timeout=0.01)
        assert str(late.value) == f"plugin {P}: room in its mailbox ({full}) not within 0.01 s"
        assert late.value.receipt is None
        with pytest.raises(MailboxFull, match=full):
            system.dispatch_nowait(DATA, header())
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(system.request(DATA, header(b"third"), LONG_S))
            await system.resume(P)
        assert waiting.result() == b"third"
        assert (await system.dispatch_stats()).refused == {"DispatchTimeout": 1, "MailboxFull": 1}
        await has_room_for(system, 1)

    run(main)


def test_room_is_given_in_the_order_in_which_tasks_have_come(
    run: Callable[..., Any], load: Callable[..., Any], turns: Callable[..., Any]
) -> None:
    """First come, first served, and nobody who comes later is faster."""

    async def main(system: AsyncPluginSystem) -> None:
        await load(system, capacity=1)
        await system.pause(P)
        tasks = []
        for _ in range(20):
            tasks.append(asyncio.create_task(system.request(HANDSHAKE, header(), LONG_S)))
            await turns()
        await system.resume(P)
        assert await asyncio.gather(*tasks) == [b"%d" % number for number in range(1, 21)]

    run(main)


def test_who_waits_for_room_hears_at_once_that_it_is_in_vain(
    run: Callable[..., Any], load: Callable[..., Any], turns: Callable[..., Any]
) -> None:
    """A permission that is revoked, or an unload, refuses those whom it concerns, wherever they stand in line."""

    async def main(system: AsyncPluginSystem) -> None:
        await load(system, capacity=1)
        await system.pause(P)
        await system.dispatch(DATA, header())
        control = asyncio.create_task(system.dispatch(CONTROL, header(), LONG_S))
        data = asyncio.create_task(system.dispatch(DATA, header(), LONG_S))
        await turns()
        await system.revoke(P, "data_access")
        with pytest.raises(PermissionDenied):
            await data
        assert not control.done()
        await system.unload(P, timeout=0.0)
        with pytest.raises(NyxPluginError):
            await control

    run(main)


def test_dispatch_many(run: Callable[..., Any], load: Callable[..., Any]) -> None:
    """Many more frames than fit, or than may wait, are all accepted in order; errors stand in the place of frames."""

    async def main(system: AsyncPluginSystem) -> None:
        await load(system, capacity=5)
        frames = data_frames(*(b"%d" % number for number in range(1000)))
        frames[50] = (0x60, frames[50][1])
        results = await system.dispatch_many(iter(frames), timeout=LONG_S)
        assert isinstance(results.pop(50), InvalidFrameType)
        replies = [(await item.outcome(LONG_S)).reply for item in results if isinstance(item, AsyncReceipt)]
        assert replies == [b"%d" % number for number in range(1000) if number != 50]
        assert await system.dispatch_many([]) == []

    run(main)


def test_dispatch_many_gives_up_together(run: Callable[..., Any], load: Callable[..., Any]) -> None:
    """The time-out is that of the whole call; without waiting, what finds no room is refused in its place."""

    async def main(system: AsyncPluginSystem) -> None:
        await load(system, capacity=2)
        await system.pause(P)
        results = await system.dispatch_many(data_frames(b"a", b"b", b"c", b"d"), timeout=0.5)
        # Where time is up before it is known to be accepted, the frame is on its way.
        receipts = [result.receipt if isinstance(result, DispatchTimeout) else result for result in results]
        assert [type(receipt) for receipt in receipts] == [AsyncReceipt, AsyncReceipt, type(None), type(None)]
        results = await system.dispatch_many(data_frames(*[b"x"] * 300), wait=False)
        assert {type(result) for result in results} == {MailboxFull}
        await system.resume(P)
        await system.drain(LONG_S)
        assert (await system.plugin_stats(P)).accepted == 2

    run(main)


def test_an_iterator_is_asked_for_nothing_when_time_is_over(run: Callable[..., Any], load: Callable[..., Any]) -> None:
    """One error more than it has yielded frames says so."""

    async def main(system: AsyncPluginSystem) -> None:
        await load(system, capacity=2)
        await system.pause(P)
        endless = ((DATA, header(b"%d" % number)) for number in itertools.count())
        *results, end = await system.dispatch_many(endless, timeout=0.2)
        assert isinstance(end, DispatchTimeout)
        assert str(end) == "the end of the iterator of frames not within 0.2 s"
        assert PluginHeader.decode(next(endless)[1]).data == b"%d" % len(results)
        await system.resume(P)

    run(main)


@pytest.mark.needs_worker(reason="on inline there is no host process")
def test_many_frames_at_the_end_of_their_system(run: Callable[..., Any], load: Callable[..., Any]) -> None:
    """Who sends them when the host process is killed still gets a receipt or an error for each, and each is true."""

    async def main(system: AsyncPluginSystem) -> None:
        await load(system, capacity=5)
        await system.pause(P)
        sending = asyncio.ensure_future(system.dispatch_many(data_frames(*[b"x"] * 20), timeout=LONG_S))
        while (await system.plugin_stats(P)).in_mailbox < 5:
            pass
        os.kill(system.host_pid, signal.SIGKILL)
        entries = await sending
        for entry in entries[:5]:
            receipt = entry.receipt if isinstance(entry, FateUnknown) else entry
            assert isinstance(receipt, AsyncReceipt)
            with pytest.raises(FateUnknown) as unknown:
                await receipt.outcome(0)
            assert unknown.value.receipt is receipt
        assert [type(entry) for entry in entries[5:]] == [SystemStopped] * 15

    run(main)


def test_a_request_that_is_late_leaves_its_receipt(run: Callable[..., Any], load: Callable[..., Any]) -> None:
    """The frame is not taken back: the error carries the receipt, on which the outcome still arrives."""

    async def main(system: AsyncPluginSystem) -> None:
        await load(system)
        await system.pause(P)
        with pytest.raises(DispatchTimeout, match=r"an outcome not within 0\.01 s$") as late:
            await system.request(DATA, header(b"patience"), timeout=0.01)
        receipt = late.value.receipt
        assert isinstance(receipt, AsyncReceipt)
        with pytest.raises(DispatchTimeout, match=rf"outcomes of 1 frames \(by plugin: {{{P}: 1}}\) not within 0.01 s"):
            await system.drain(0.01)
        await system.resume(P)
        outcomes = await asyncio.gather(receipt.outcome(LONG_S), receipt.outcome(LONG_S), receipt.wait_accepted(LONG_S))
        assert outcomes[0] == outcomes[1] and outcomes[0].reply == b"patience"

    run(main)


def test_a_handler_that_raises_raises_where_it_is_awaited(run: Callable[..., Any], load: Callable[..., Any]) -> None:
    """A request raises PluginFailed; a receipt has the outcome."""

    async def main(system: AsyncPluginSystem) -> None:
        await load(system)
        with pytest.raises(PluginFailed, match="ValueError: as told"):
            await system.request(DATA, header(b"raise"))
        receipt = system.dispatch_nowait(DATA, header(b"raise"))
        assert (await receipt.outcome(LONG_S)).kind == "failed"

    run(main)


def test_closing_ends_whoever_waits(run: Callable[..., Any], load: Callable[..., Any]) -> None:
    """Tasks that wait for room, for an outcome or for a drain are told that the system has stopped; so is who calls."""

    async def main(system: AsyncPluginSystem) -> None:
        await load(system, capacity=1)
        await system.pause(P)
        receipt = await system.dispatch(DATA, header())
        waits = [system.dispatch(DATA, header(), LONG_S) for _ in range(3)]
        tasks = [asyncio.ensure_future(wait) for wait in waits]
        await asyncio.sleep(0)
        reports = await asyncio.gather(system.close(0.0), system.close(0.0))
        assert reports[0] == reports[1]
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(end, NyxPluginError) for end in ends)
        assert receipt.done
        for call in (system.dispatch(DATA, header()), system.plugins(), system.load("builtin:echo")):
            with pytest.raises(SystemStopped):
                await call
        with pytest.raises(SystemStopped):
            async with system:
                pass

    run(main)
