"""Real workers that take another worker's place."""

from __future__ import annotations

import cbor2

from nyx_plugins.plugins.worker import protocol
from nyx_plugins.plugins.worker.answers import (
    Ending,
    Log,
    LogLine,
    Restored,
    SnapshotDone,
    SnapshotPart,
    StartFailed,
    StateTaken,
    SwapFailed,
)

from .conftest import Peer, Start

KEEPS = """
def on_load(self, ctx): self.seen = []
def on_data(self, frame):
    self.seen.append(frame.data)
    return repr(self.seen).encode()
def on_ready(self): print("ready", len(self.seen))
def snapshot(self): return self.seen * int(self.ctx.config.get("times", 1)) or None
def restore(self, state, version): self.seen = state + [b"%d" % version]
"""
RAISES_WHEN_READY = """
def on_ready(self): raise ValueError("not today")
"""
LIMIT = 1 << 20


def state_of(peer: Peer) -> tuple[int | None, bytes]:
    """Ask a worker for its plugin's state."""
    peer.send([protocol.SNAPSHOT])
    pieces = []
    while isinstance(answer := peer.answer(), SnapshotPart):
        pieces.append(answer.piece)
    assert isinstance(answer, SnapshotDone)
    return answer.version, b"".join(pieces)


def test_a_worker_takes_the_place_of_another(ready: Start) -> None:
    """A worker that stands by goes on from the other one's state; on_ready() comes after that, and after a start."""
    old = ready(KEEPS, max_snapshot_bytes=LIMIT)
    assert old.reply(b"a") == b"[b'a']"
    version, state = state_of(old)
    new = ready(KEEPS, standby=True)
    new.send([protocol.RESTORE, version, state])
    assert (new.answer(), new.answer()) == (StateTaken(), Restored())
    assert (new.reply(b"b"), old.reply(b"c")) == (b"[b'a', b'1', b'b']", b"[b'a', b'c']")
    for peer, printed in ((old, "ready 0\n"), (new, "ready 2\n")):
        peer.send([protocol.STOP])
        peer.rest()
        assert peer.process.stdout is not None
        assert peer.process.stdout.read().decode() == printed


def test_a_large_state_comes_in_pieces(ready: Start) -> None:
    """No message is larger for a large state, and all of it arrives."""
    old = ready(KEEPS, max_snapshot_bytes=LIMIT, config={"times": 300_000})
    old.reply(b"ab")
    version, state = state_of(old)
    assert (version, cbor2.loads(state)) == (1, [b"ab"] * 300_000)


def test_a_plugin_without_state_says_so(ready: Start) -> None:
    """A plugin without snapshot() has no state."""
    assert state_of(ready()) == (None, b"")


def test_a_snapshot_that_fails_costs_nothing(ready: Start) -> None:
    """A state beyond the limit is refused with a line for the log, and the worker goes on."""
    old = ready(KEEPS, max_snapshot_bytes=3)
    old.reply(b"abc")
    old.send([protocol.SNAPSHOT])
    text = "snapshot of 5 bytes: the limit is 3 (limits.snapshot_bytes)"
    assert old.answer() == Log((LogLine(40, f"snapshot failed: ValueError: {text}"),))
    assert old.answer() == SwapFailed("snapshot", "ValueError", text)
    assert old.reply(b"d") == b"[b'abc', b'd']"


def test_a_worker_that_is_not_well_does_not_take_over(ready: Start) -> None:
    """What on_ready() raises is told, and the worker takes no frames."""
    new = ready(RAISES_WHEN_READY, standby=True)
    new.send([protocol.RESTORE, 0, None])
    assert new.answer() == StateTaken()
    assert isinstance(new.answer(), Log)
    assert new.answer() == SwapFailed("on_ready", "ValueError", "not today")
    new.batch(b"a")
    assert new.rest() == [Ending("ProtocolError: worker protocol: message of kind 2 is out of place")]
    assert "message of kind 2 is out of place" in new.errors()


def test_on_ready_may_refuse_a_load(started: Start) -> None:
    """What on_ready() raises at a start refuses it, as on_load() does."""
    peer = started(RAISES_WHEN_READY)
    assert isinstance(peer.answer(), Log)
    assert peer.answer() == StartFailed("ValueError", "not today")


def test_restore_is_for_a_worker_that_stands_by(ready: Start) -> None:
    """A worker that works already can't be given another one's state."""
    peer = ready(KEEPS)
    peer.send([protocol.RESTORE, 0, None])
    assert peer.rest() == [Ending("ProtocolError: worker protocol: message of kind 7 is out of place")]
    assert "message of kind 7 is out of place" in peer.errors()
