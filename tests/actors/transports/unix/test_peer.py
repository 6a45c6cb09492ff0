"""The way to one peer, against a model: what is written, taken, and sent again after a connection has ended."""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Iterator

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from thespian.system.transport import TransmitIntent

from nyx_plugins.actors.transports.unix.address import address
from nyx_plugins.actors.transports.unix.connection import Connection
from nyx_plugins.actors.transports.unix.framing import HEADER_BYTES, LARGE_BYTES, FrameReader
from nyx_plugins.actors.transports.unix.peer import MOST_PIECES, Parcel, Peer
from nyx_plugins.actors.transports.unix.tally import ACCEPTED, CONNECTED, Tally, create

TARGET = address("/run/system/peer")
SIZES = [4, 5, 100, 5000, LARGE_BYTES - 1, LARGE_BYTES, 100_000]


class Pipe:
    """A connection to a peer, with little room in it, and what the peer does at its other end."""

    def __init__(self) -> None:
        here, self._there = socket.socketpair()
        here.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        for end in (here, self._there):
            end.setblocking(False)
        page = create()
        self.connection = Connection(here, TARGET, Tally(page, CONNECTED), 1 << 20)
        self._tally = Tally(page, ACCEPTED)
        os.close(page)
        self._reader = FrameReader(1 << 20)
        self._taken = 0
        self.received: deque[bytes] = deque()

    def read(self, most: int = 1 << 20) -> bool:
        """Read once what there is; false if there is nothing."""
        try:
            data = self._there.recv(most)
        except BlockingIOError:
            return False
        self.received += (bytes(payload) for payload in self._reader.feed(memoryview(data)))
        return True

    def take(self) -> bytes:
        """Take one message."""
        self._taken += 1
        self._tally.took(self._taken)
        return self.received.popleft()

    def claim(self, count: int) -> None:
        """Write any number into the tally."""
        self._tally.took(count)

    def end(self) -> None:
        """Close the other end."""
        self._there.close()

    def close(self) -> None:
        """Close both ends."""
        self._there.close()
        self.connection.close()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """Return a connection with an end to play the peer at."""
    pipe = Pipe()
    yield pipe
    pipe.close()


@pytest.fixture
def peer(pipe: Pipe) -> Peer:
    """Return the way to a peer over that connection."""
    peer = Peer(TARGET)
    peer.attach(pipe.connection)
    return peer


def _parcel(number: int, size: int = 4) -> Parcel:
    return Parcel(TransmitIntent(TARGET, number), number.to_bytes(4, "big").ljust(size, b"."))


def _numbers(parcels: list[Parcel]) -> list[int]:
    return [parcel.intent.message for parcel in parcels]


def _write(peer: Peer) -> list[int]:
    try:
        return _numbers(peer.write())
    except BlockingIOError:
        return []


def test_a_new_way_is_empty() -> None:
    """At first nothing waits and nothing is connected."""
    peer = Peer(TARGET)
    assert (len(peer), peer.untaken, peer.queued_bytes, peer.connection) == (0, 0, 0, None)
    assert (peer.address, peer.path) == (TARGET, "/run/system/peer")
    peer.trim()
    peer.detach()
    assert peer.give_up() == []


def test_what_waits_is_counted_with_what_it_costs_to_keep() -> None:
    """Many small messages count for what they take in memory, not only for their bytes."""
    peer, parcels = Peer(TARGET), [_parcel(number) for number in range(100)]
    for parcel in parcels:
        peer.add(parcel)
    assert peer.queued_bytes == sum(parcel.memory_bytes for parcel in parcels) > 100 * 1024
    assert list(peer.messages()) == list(range(100))


def test_many_go_in_few_calls_and_in_order(peer: Peer, pipe: Pipe) -> None:
    """More messages than fit into one call of the kernel arrive in order."""
    numbers = list(range(3 * MOST_PIECES))
    got, told = [], []
    for number in numbers:
        peer.add(_parcel(number))
    while len(peer):
        told += _write(peer)
        pipe.read()
    while pipe.received:
        got.append(int.from_bytes(pipe.take()))
    assert got == told == numbers
    assert peer.queued_bytes == 0


@pytest.mark.parametrize("size", [LARGE_BYTES - 1, LARGE_BYTES, 300_000])
def test_a_large_one_goes_on_where_it_stopped(peer: Peer, pipe: Pipe, size: int) -> None:
    """A message that finds room for parts of it only arrives unharmed, between its neighbours."""
    parcels = [_parcel(0), _parcel(1, size), _parcel(2)]
    for parcel in parcels:
        peer.add(parcel)
    told = _write(peer)
    assert told == [0] and len(peer) == 2
    while len(peer):
        with pytest.raises(BlockingIOError):
            peer.write()
        assert pipe.read()
        told += _write(peer)
    while pipe.read():
        pass
    assert told == [0, 1, 2]
    assert [pipe.take() for _ in parcels] == [b"".join(parcel.pieces)[HEADER_BYTES:] for parcel in parcels]
    assert peer.written_bytes == sum(parcel.size for parcel in parcels)


def test_only_what_was_taken_is_forgotten(peer: Peer, pipe: Pipe) -> None:
    """Written messages are kept until the peer has taken them, one by one."""
    for number in range(5):
        peer.add(_parcel(number))
    assert _write(peer) == [0, 1, 2, 3, 4]
    pipe.read()
    for taken in range(5):
        peer.trim()
        assert peer.untaken == 5 - taken
        pipe.take()
    peer.trim()
    assert peer.untaken == 0


def test_a_peer_that_claims_nonsense_deceives_itself(peer: Peer, pipe: Pipe) -> None:
    """Counts that can't be forget what was written at most, and never bring anything back."""
    for number in range(4):
        peer.add(_parcel(number))
    assert _write(peer) == [0, 1, 2, 3]
    for claimed, left in ((2, 2), (1, 2), (0, 2), ((1 << 64) - 1, 0), (0, 0)):
        pipe.claim(claimed)
        peer.trim()
        assert peer.untaken == left
    peer.add(_parcel(4))
    assert _write(peer) == [4]
    peer.trim()
    assert peer.untaken == 1


def test_a_new_connection_brings_what_was_not_taken(peer: Peer, pipe: Pipe) -> None:
    """What the peer has not taken goes first over the next connection, whole and in order."""
    for number in range(6):
        peer.add(_parcel(number, 30_000 if number == 4 else 4))
    assert _write(peer) == [0, 1, 2, 3]
    pipe.read()
    assert [int.from_bytes(pipe.take()) for _ in range(2)] == [0, 1]
    peer.detach()
    assert (len(peer), peer.untaken, peer.connection) == (4, 0, None)
    assert list(peer.messages()) == [2, 3, 4, 5]
    other = Pipe()
    peer.attach(other.connection)
    while len(peer):
        _write(peer)
        other.read()
    assert [int.from_bytes(other.take()[:4]) for _ in range(4)] == [2, 3, 4, 5]
    peer.trim()
    assert (peer.untaken, peer.queued_bytes) == (0, 0)
    other.close()


def test_a_message_that_was_told_as_sent_is_told_so_once(peer: Peer, pipe: Pipe) -> None:
    """What is written again keeps the note that its sender knows."""
    peer.add(_parcel(0))
    [parcel] = peer.write()
    parcel.is_settled = True
    peer.detach()
    assert [parcel.is_settled for parcel in peer.give_up()] == [True]


def test_giving_up_returns_everything_once(peer: Peer, pipe: Pipe) -> None:
    """What was written and what waits come back in order, and nothing stays."""
    for number in range(3):
        peer.add(_parcel(number, 30_000 if number == 1 else 4))
    assert _write(peer) == [0]
    assert _numbers(peer.give_up()) == [0, 1, 2]
    assert (len(peer), peer.untaken, peer.queued_bytes, list(peer.messages())) == (0, 0, 0, [])


def test_progress_ends_a_stall(peer: Peer, pipe: Pipe) -> None:
    """A peer counts as stalled until something is written again."""
    peer.add(_parcel(0, 100_000))
    _write(peer)
    peer.is_stalled = True
    assert _write(peer) == [] and peer.is_stalled
    pipe.read()
    assert _write(peer) == [] and not peer.is_stalled


def test_an_end_is_told(peer: Peer, pipe: Pipe) -> None:
    """Writing to a peer that has closed its end is an OSError, and the message still waits."""
    peer.add(_parcel(0))
    pipe.end()
    with pytest.raises(OSError):
        peer.write()
    assert list(peer.messages()) == [0]


class PeerMachine(RuleBasedStateMachine):
    """Any sequence of adding, writing, reading, taking, trimming and of connections that end."""

    def __init__(self) -> None:
        super().__init__()
        self.peer, self.pipe = Peer(TARGET), None
        self.added: list[Parcel] = []
        self.queue: list[int] = []
        self.written: list[int] = []
        self.taken: list[int] = []

    def _pipe(self) -> Pipe:
        assert self.pipe is not None
        return self.pipe

    @rule(sizes=st.lists(st.sampled_from(SIZES), min_size=1, max_size=5))
    def add(self, sizes: list[int]) -> None:
        """Send messages of these sizes."""
        for size in sizes:
            self.queue.append(len(self.added))
            self.added.append(_parcel(len(self.added), size))
            self.peer.add(self.added[-1])

    @precondition(lambda self: self.pipe is None)
    @rule()
    def attach(self) -> None:
        """Connect."""
        self.pipe = Pipe()
        self.peer.attach(self.pipe.connection)

    @precondition(lambda self: self.pipe is not None)
    @rule()
    def write(self) -> None:
        """Write as much as there is room for."""
        done = _write(self.peer)
        assert done == self.queue[: len(done)]
        self.written += done
        del self.queue[: len(done)]

    @precondition(lambda self: self.pipe is not None)
    @rule(most=st.sampled_from([1, 1000, 1 << 20]))
    def read(self, most: int) -> None:
        """Let the peer read."""
        self._pipe().read(most)

    @precondition(lambda self: self.pipe is not None and self.pipe.received)
    @rule(count=st.integers(1, 3))
    def take(self, count: int) -> None:
        """Let the peer take what it has read, unharmed."""
        pipe = self._pipe()
        for _ in range(min(count, len(pipe.received))):
            payload = pipe.take()
            number = int.from_bytes(payload[:4])
            assert payload == b"".join(self.added[number].pieces)[HEADER_BYTES:]
            self.taken.append(number)

    @precondition(lambda self: self.pipe is not None)
    @rule()
    def trim(self) -> None:
        """Forget what was taken."""
        self.peer.trim()
        self.written = [number for number in self.written if number not in self.taken]

    @precondition(lambda self: self.pipe is not None)
    @rule()
    def detach(self) -> None:
        """End the connection: what the peer has not taken is as good as never written."""
        self.trim()
        self._pipe().close()
        self.pipe = None
        self.peer.detach()
        self.queue = self.written + self.queue
        self.written = []

    @invariant()
    def waits_and_is_untaken_as_in_the_model(self) -> None:
        """The same messages wait, and as many are untaken, as in the model."""
        assert list(self.peer.messages()) == self.queue
        assert len(self.peer) == len(self.queue)
        assert self.peer.untaken == len(self.written)
        assert self.peer.queued_bytes == sum(self.added[number].memory_bytes for number in self.queue)

    @invariant()
    def comes_once_and_in_order(self) -> None:
        """Nothing is taken twice or out of order."""
        assert self.taken == list(range(len(self.taken)))

    def teardown(self) -> None:
        """In the end everything is taken, and nothing is left."""
        if self.pipe is None:
            self.attach()
        while self.queue:
            self.write()
            self.read(1 << 20)
        self.read(1 << 20)
        self.take(len(self._pipe().received))
        self.detach()
        assert self.taken == list(range(len(self.added)))
        assert (self.peer.queued_bytes, len(self.peer), self.peer.untaken) == (0, 0, 0)


TestPeerMachine = PeerMachine.TestCase
TestPeerMachine.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
