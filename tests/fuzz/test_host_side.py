"""Whatever a worker writes, its plugin actor ends with it in good order: no other error, no growth, no long pause."""

from __future__ import annotations

import contextlib
import os
import socket
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from nyx_plugins.actors.deaths import Cause, Death
from nyx_plugins.actors.outside import Place, fulfil
from nyx_plugins.actors.worker_link import WorkerLink
from nyx_plugins.plugins.policy import Policy
from nyx_plugins.plugins.worker import protocol
from nyx_plugins.plugins.worker.answers import Answer, Connect, Open, check_from_worker
from nyx_plugins.plugins.worker.protocol import MessageReader, ProtocolError

from .conftest import bounded
from .streams import Writer

MAX_REPLY_BYTES = 40
MAX_RESULTS = 5
MAX_BYTES = protocol.max_message_bytes(MAX_REPLY_BYTES)
MAX_ITEMS = protocol.max_items(MAX_RESULTS)
# Of an item that is decoded, its place in the array included; bytes that are held, copied and decoded.
ITEM_BYTES, COPIES = 120, 3
# Processor time, and far more than is needed, since coverage may be measured.
FIXED_S, BYTE_S = 1.0, 0.0002
# Reads and resolves everything, and grants no writing.
POLICY = Policy(network=("*",), read_paths=("/etc", "/proc/self"))

writers = st.randoms(use_true_random=False).map(Writer)


@contextlib.contextmanager
def bounds(stream: bytes, longest_piece: int) -> Iterator[None]:
    """Fail if more memory or time is used than so many bytes may cost."""
    tracemalloc.start()
    before, begun = tracemalloc.get_traced_memory()[0], time.thread_time()
    try:
        yield
        peak, took_s = tracemalloc.get_traced_memory()[1] - before, time.thread_time() - begun
    finally:
        tracemalloc.stop()
    assert peak <= COPIES * (MAX_BYTES + longest_piece) + ITEM_BYTES * (MAX_ITEMS + longest_piece)
    assert took_s <= FIXED_S + BYTE_S * len(stream)


def read(pieces: list[bytes]) -> list[Answer]:
    """Read what a worker says, as a plugin actor does, until it breaks the protocol."""
    reader = MessageReader(MAX_BYTES, max_items=MAX_ITEMS)
    answers: list[Answer] = []
    for piece in pieces:
        for message in reader.feed(piece):
            answers.append(check_from_worker(message, max_reply_bytes=MAX_REPLY_BYTES, max_results=MAX_RESULTS))
    return answers


@bounded
@given(writers)
def test_a_stream_of_a_worker_is_read_or_refused(writer: Writer) -> None:
    """Bent and damaged messages, in any pieces, become typed values or a ProtocolError, within bounds."""
    stream = writer.stream(writer.from_worker)
    note(f"stream: {stream.hex()}")
    pieces = list(writer.pieces(stream))
    with bounds(stream, max(map(len, pieces), default=0)), contextlib.suppress(ProtocolError):
        assert all(isinstance(answer, tuple) for answer in read(pieces))


@bounded
@given(st.binary(max_size=400), writers)
def test_noise_is_read_or_refused(noise: bytes, writer: Writer) -> None:
    """Arbitrary bytes, as they are and as the body of a message, are likewise read or refused."""
    for stream in (noise, len(noise).to_bytes(4, "big") + noise):
        pieces = list(writer.pieces(stream))
        with bounds(stream, len(stream)), contextlib.suppress(ProtocolError):
            read(pieces)


@bounded
@given(writers)
def test_pieces_make_no_difference(writer: Writer) -> None:
    """However a stream is cut, the same is read of it, or it is refused for the same reason."""
    stream = writer.stream(writer.from_worker)
    note(f"stream: {stream.hex()}")
    assert verdict(list(writer.pieces(stream))) == verdict([stream])


def verdict(pieces: list[bytes]) -> str:
    """Say what comes of a stream: what breaks the protocol, else all messages."""
    reader = MessageReader(MAX_BYTES, max_items=MAX_ITEMS)
    try:
        messages = [message for piece in pieces for message in reader.feed(piece)]
    except ProtocolError as error:
        return str(error)
    return repr(messages)


# A link, with all that belongs to it but the process.


class Actor:
    """A plugin actor: answers requests, keeps what it is told, and watches descriptors when told to."""

    def __init__(self, folder: Path) -> None:
        self.link = Wired(self, folder / "mark")
        self.answers: list[Answer] = []
        self.misbehaved: list[str] = []
        self.deaths: list[Death] = []
        self.watched: dict[int, Callable[[int], None]] = {}

    def watch(self, fd: int, watcher: Callable[[int], None], events: int = 0) -> None:
        """Remember a descriptor."""
        self.watched[fd] = watcher

    def unwatch(self, fd: int) -> None:
        """Forget it."""
        self.watched.pop(fd, None)

    def from_worker(self, message: Answer) -> None:
        """Take a message; a request is answered at once."""
        assert not self.deaths
        self.answers.append(message)
        if isinstance(message, Connect | Open):
            self.link.answer(message.request_id, fulfil(POLICY, message, time.monotonic() + 1.0, nowhere))

    def worker_gone(self, death: Death) -> None:
        """Keep why the worker is gone."""
        self.deaths.append(death)

    def worker_misbehaved(self, what: str) -> None:
        """Keep what broke the protocol."""
        self.misbehaved.append(what)


def nowhere(host: str, port: int) -> list[Place]:
    """Resolve nothing."""
    raise socket.gaierror(socket.EAI_NONAME, "no such host")


class Wired(WorkerLink):
    """A link whose worker is the test: there is a socket, and no process that could be killed."""

    def __init__(self, actor: Actor, page: Path) -> None:
        super().__init__(actor, actor, page, MAX_REPLY_BYTES, MAX_RESULTS)  # type: ignore[arg-type]
        self._socket, self.theirs = socket.socketpair()
        self._socket.setblocking(False)
        self._process: Any = object()

    def _reaped(self, timeout_s: float) -> None:
        return None

    def _end(self) -> None:
        self._process = None
        super()._end()

    def take_all(self) -> None:
        """Take what is in the socket."""
        while self._socket is not None and self._read():
            pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for the page of marks."""
    return tmp_path_factory.mktemp("link")


@bounded
@given(writers)
def test_a_link_outlives_its_worker_in_good_order(folder: Path, writer: Writer) -> None:
    """A worker that says anything is gone at most once, with its reason, and leaves no descriptor open."""
    before = os.listdir("/proc/self/fd")
    stream = writer.stream(writer.from_worker)
    note(f"stream: {stream.hex()}")
    # Before anything is open: what is drawn may end the attempt.
    pieces = list(writer.pieces(stream))
    actor = Actor(folder)
    with actor.link.theirs as theirs, bounds(stream, 1 << 18):
        for piece in pieces:
            with contextlib.suppress(BrokenPipeError):
                theirs.settimeout(0)
                send(theirs, piece, actor.link)
        settle(theirs, actor)
    actor.link.kill()
    # What an earlier test has left to the garbage collector may go meanwhile.
    assert len(os.listdir("/proc/self/fd")) <= len(before)


def send(theirs: socket.socket, piece: bytes, link: Wired) -> None:
    """Write a piece, whatever the socket holds, and let the link take it."""
    rest = memoryview(piece)
    while rest:
        with contextlib.suppress(BlockingIOError):
            rest = rest[theirs.send(rest) :]
        link.take_all()


def settle(theirs: socket.socket, actor: Actor) -> None:
    """Close the worker's end, if it has not been ended, and look at how it was."""
    assert len(actor.misbehaved) == len(actor.deaths) <= 1
    theirs.close()
    actor.link.take_all()
    [death] = actor.deaths
    assert death.cause is Cause.PROTOCOL
    assert actor.misbehaved == [] or actor.misbehaved[0] in str(death)
    assert actor.watched == {}


def test_the_same_choices_give_the_same_stream() -> None:
    """A seed can be tried again: it gives the same bytes."""
    for seed in range(50):
        first, second = Writer(Random(seed)), Writer(Random(seed))
        assert first.stream(first.from_worker) == second.stream(second.from_worker)
