"""Each way of sending a frame: what it returns, what it refuses, and when it waits."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from nyx_plugins import (
    DispatchTimeout,
    FrameError,
    InvalidFrameType,
    MailboxFull,
    NyxPluginError,
    PermissionDenied,
    PluginFailed,
    PluginHeader,
    PluginNotRegistered,
    PluginSystem,
    Receipt,
    SandboxViolation,
)

HANDSHAKE, DATA, CONTROL = 0x51, 0x52, 0x53
P = 7
LONG_S = 30.0


def header(data: bytes = b"", plugin_id: int = P) -> bytes:
    """Encode a header."""
    return PluginHeader(plugin_id, 0, data).encode()


def data_frames(*texts: bytes) -> list[tuple[int, bytes]]:
    """Make data frames for plugin ``P``."""
    return [(DATA, header(text)) for text in texts]


def test_a_receipt_tells_of_acceptance_and_of_the_reply(load: Callable[..., PluginSystem]) -> None:
    """A dispatched frame is accepted when dispatch returns, and its outcome holds the handler's reply."""
    receipt = load().dispatch(DATA, header(b"hello"))
    assert (receipt.accepted, receipt.plugin_id, receipt.error) == (True, P, None)
    outcome = receipt.outcome(LONG_S)
    assert (outcome.kind, outcome.reply, outcome.reason, outcome.reply_lost) == ("processed", b"hello", "", False)
    assert receipt.done
    assert "processed" in repr(receipt)


def test_a_handler_that_raises_fails_its_frame_only(load: Callable[..., PluginSystem]) -> None:
    """The outcome names the exception; the frames before and after it are processed, and the counters tell."""
    system = load()
    receipts = [system.dispatch(*frame) for frame in data_frames(b"a", b"raise", b"b")]
    assert [receipt.outcome(LONG_S).kind for receipt in receipts] == ["processed", "failed", "processed"]
    assert receipts[1].outcome().reason == "ValueError: as told"
    stats = system.plugin_stats(P)
    assert (stats.processed, stats.failed, stats.errors, stats.messages_processed) == (2, 1, 1, 3)


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
    load: Callable[..., PluginSystem],
    frame_type: int,
    raw: bytes,
    error: type[NyxPluginError],
    counted: Callable[..., Any],
) -> None:
    """A refusal is raised at once and counted once, whichever way the frame was sent."""
    system = load(permissions=["data_access", "control"])
    books = counted(system)
    for send in (system.dispatch, system.dispatch_nowait, system.request):
        with pytest.raises(error):
            send(frame_type, raw)
    for wait in (True, False):
        [result] = system.dispatch_many([(frame_type, raw)], wait=wait)
        assert isinstance(result, error)
    assert (books.dispatched, books.refused) == (0, {error.__name__: 5})
    violations = 5 if error in (PermissionDenied, SandboxViolation) else 0
    assert system.plugin_stats(P).permission_violations == violations


def test_a_paused_plugin_accepts_until_its_mailbox_is_full(load: Callable[..., PluginSystem]) -> None:
    """While paused nothing is processed; what was accepted is processed in order on resume."""
    system = load(capacity=3)
    system.pause(P)
    assert system.plugin_stats(P).state == system.plugin_info(P).state == "paused"
    assert system.is_plugin_loaded(P)
    receipts = [system.dispatch(HANDSHAKE, header()) for _ in range(3)]
    with pytest.raises(MailboxFull, match=f"mailbox of plugin {P} is full: 3 of 3 frames taken") as full:
        system.dispatch_nowait(HANDSHAKE, header())
    assert (full.value.plugin_id, full.value.depth, full.value.capacity, full.value.unit) == (P, 3, 3, "frames")
    stats = system.plugin_stats(P)
    assert (stats.in_mailbox, stats.processed, stats.peak, stats.capacity) == (3, 0, 3, 3)
    system.resume(P)
    assert [receipt.outcome(LONG_S).reply for receipt in receipts] == [b"1", b"2", b"3"]
    assert system.plugin_stats(P).state == system.plugin_info(P).state == "ready"


def test_a_mailbox_is_full_by_bytes_too(load: Callable[..., PluginSystem], fates: Callable[..., Any]) -> None:
    """Headers that are not finished take their bytes; who waits is let in as they are finished."""
    system = load(capacity=10, capacity_bytes=65_536)
    raw = header(bytes(30_000))
    system.pause(P)
    receipts = [system.dispatch(DATA, raw), system.dispatch(DATA, raw)]
    with pytest.raises(MailboxFull, match=f"{2 * len(raw)} of 65536 bytes taken") as full:
        system.dispatch_nowait(DATA, raw)
    assert full.value.unit == "bytes"
    assert system.plugin_stats(P).bytes_held == 2 * len(raw)
    with pytest.raises(DispatchTimeout, match="bytes taken"):
        system.dispatch(DATA, raw, timeout=0.01)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(system.dispatch, DATA, raw, LONG_S)
        system.resume(P)
        receipts.append(waiting.result(LONG_S))
    assert fates(receipts) == {"processed": 3}
    assert system.plugin_stats(P).bytes_held == 0


def test_dispatch_waits_for_room_and_says_so_when_there_is_none(
    load: Callable[..., PluginSystem], counted: Callable[..., Any]
) -> None:
    """The time-out names plugin, room and time, is counted as a refusal, and leaves nothing in the mailbox."""
    system = load(capacity=1)
    books = counted(system)
    system.pause(P)
    system.dispatch(DATA, header(b"first"))
    with pytest.raises(DispatchTimeout) as late:
        system.dispatch(DATA, header(b"second"), timeout=0.01)
    full = f"mailbox of plugin {P} is full: 1 of 1 frames taken"
    assert str(late.value) == f"plugin {P}: room in its mailbox ({full}) not within 0.01 s"
    assert (late.value.receipt, late.value.timeout) == (None, 0.01)
    assert (books.dispatched, books.refused) == (1, {"DispatchTimeout": 1})
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(system.dispatch, DATA, header(b"third"), LONG_S)
        system.resume(P)
        assert waiting.result(LONG_S).outcome(LONG_S).reply == b"third"
    assert system.plugin_stats(P).accepted == 2


def test_dispatch_many_waits_for_room(load: Callable[..., PluginSystem]) -> None:
    """Many more frames than fit are all accepted, and errors stand in the place of their frames."""
    system = load(capacity=5)
    frames = data_frames(*(b"%d" % number for number in range(100)))
    frames[50] = (0x60, frames[50][1])
    results = list(system.dispatch_many(frames, timeout=LONG_S))
    assert isinstance(results.pop(50), InvalidFrameType)
    del frames[50]
    replies = [item.outcome(LONG_S).reply for item in results if isinstance(item, Receipt)]
    assert replies == [PluginHeader.decode(raw).data for _, raw in frames]


def test_dispatch_many_gives_up_together(load: Callable[..., PluginSystem], fates: Callable[..., Any]) -> None:
    """The time-out is that of the whole call: what has found no room by then gets the error, the rest is accepted."""
    system = load(capacity=2)
    system.pause(P)
    results = system.dispatch_many(data_frames(b"a", b"b", b"c", b"d"), timeout=0.5)
    # Where time is up before it is known to be accepted, the frame is on its way.
    receipts = [result.receipt if isinstance(result, DispatchTimeout) else result for result in results]
    assert [type(receipt) for receipt in receipts] == [Receipt, Receipt, type(None), type(None)]
    system.resume(P)
    assert fates(receipts[:2]) == {"processed": 2}


def test_dispatch_many_without_waiting(load: Callable[..., PluginSystem], counted: Callable[..., Any]) -> None:
    """What finds no room is refused in its place, and the rest is processed."""
    system = load(capacity=3)
    books = counted(system)
    system.pause(P)
    results = system.dispatch_many(data_frames(b"a", b"b", b"c", b"d", b"e"), wait=False)
    assert [type(result) for result in results] == [Receipt, Receipt, Receipt, MailboxFull, MailboxFull]
    system.resume(P)
    assert [receipt.outcome(LONG_S).reply for receipt in results[:3]] == [b"a", b"b", b"c"]
    assert (books.dispatched, books.refused) == (3, {"MailboxFull": 2})


def test_dispatch_many_takes_nothing_and_a_generator(load: Callable[..., PluginSystem]) -> None:
    """No frames give no results; frames may be made on the way."""
    system = load()
    assert system.dispatch_many([]) == []
    results = system.dispatch_many((DATA, PluginHeader(P, 0, b"%d" % number)) for number in range(3))
    assert [receipt.outcome(LONG_S).reply for receipt in results] == [b"0", b"1", b"2"]


def test_a_generator_is_asked_for_nothing_when_time_is_over(load: Callable[..., PluginSystem]) -> None:
    """One error more than it has yielded frames says so, with and without room; nothing of it is lost."""
    system, endless = load(capacity=2), ((DATA, header(b"%d" % number)) for number in itertools.count())
    system.pause(P)
    results = list(system.dispatch_many(endless, timeout=0.2))
    system.resume(P)
    system.drain(LONG_S)
    [rest] = system.dispatch_many(itertools.islice(endless, 1), timeout=float("inf"))
    assert isinstance(rest, Receipt)
    assert rest.outcome(LONG_S).reply == b"%d" % (len(results) - 1)
    for end in (results[-1], *system.dispatch_many(endless, timeout=0.2)[-1:]):
        assert isinstance(end, DispatchTimeout)
        assert str(end) == "the end of the iterator of frames not within 0.2 s"


def test_a_generator_may_send_and_wait_itself(load: Callable[..., PluginSystem]) -> None:
    """What it has yielded goes before what it sends then, and is waited for with everything else."""
    system, between, waited = load(), [], []
    before = system.dispatch(DATA, header()).seq

    def frames() -> Iterator[tuple[int, bytes]]:
        for number in range(3):
            yield DATA, header(b"a%d" % number)
            yield DATA, header(b"b%d" % number)
            between.append(system.dispatch_nowait(DATA, header(b"between")))
            system.drain(LONG_S)
            waited.append(between[-1].done)

    results = system.dispatch_many(frames())
    assert [result.seq - before for result in results if isinstance(result, Receipt)] == [1, 2, 4, 5, 7, 8]
    assert [receipt.seq - before for receipt in between] == [3, 6, 9]
    assert waited == [True] * 3


def test_request_returns_the_reply(load: Callable[..., PluginSystem]) -> None:
    """The reply is the handler's bytes, or None where it gave none; a handler that raised raises here."""
    system = load()
    assert system.request(DATA, header(b"question")) == b"question"
    assert system.request(DATA, header()) == b""
    assert system.request(CONTROL, header(b"?")) is None
    with pytest.raises(PluginFailed, match="ValueError: as told") as failed:
        system.request(DATA, header(b"raise"))
    assert (failed.value.plugin_id, failed.value.step) == (P, "failed")


def test_a_request_that_is_late_leaves_its_receipt(load: Callable[..., PluginSystem]) -> None:
    """The frame is not taken back: the error carries the receipt, on which the outcome still arrives."""
    system = load()
    system.pause(P)
    with pytest.raises(DispatchTimeout, match=r"an outcome not within 0\.01 s$") as late:
        system.request(DATA, header(b"patience"), timeout=0.01)
    assert isinstance(late.value.receipt, Receipt)
    system.resume(P)
    assert late.value.receipt.outcome(LONG_S).reply == b"patience"


def test_drain_waits_for_every_outcome(load: Callable[..., PluginSystem]) -> None:
    """Drain returns when nothing is outstanding, and else says how many frames of which plugin are."""
    system = load()
    system.drain(0.0)
    system.pause(P)
    receipts = system.dispatch_many(data_frames(b"a", b"raise", b"c"))
    with pytest.raises(DispatchTimeout, match=rf"outcomes of 3 frames \(by plugin: {{{P}: 3}}\) not within 0.01 s"):
        system.drain(0.01)
    system.resume(P)
    system.drain(LONG_S)
    assert all(receipt.done for receipt in receipts if isinstance(receipt, Receipt))


def test_a_plugin_can_take_frames_as_soon_as_it_is_loaded(shared: PluginSystem) -> None:
    """A frame that does not wait finds room right after load, every time."""
    for _ in range(10):
        shared.load("builtin:echo", plugin_id=P, capacity=1)
        assert shared.dispatch_nowait(DATA, header(b"at once")).outcome(LONG_S).reply == b"at once"
        shared.unload(P)


def test_a_sender_may_wait_until_its_frame_is_processed(load: Callable[..., PluginSystem]) -> None:
    """What becomes of it otherwise is raised, with the reason; what nobody can wait for is refused."""
    system = load()
    receipt = system.dispatch(DATA, header(b"hello"), confirm="processed")
    assert receipt.done and receipt.result().reply == b"hello"
    with pytest.raises(PluginFailed, match="ValueError: as told") as failed:
        system.dispatch(DATA, header(b"raise"), confirm="processed")
    assert failed.value.step == "failed"
    with pytest.raises(ValueError, match="confirm must be one of accepted, processed, not 'never'"):
        system.dispatch(DATA, header(), confirm="never")  # type: ignore[arg-type]
    assert system.plugin_stats(P).accepted == 2
