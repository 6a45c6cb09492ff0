"""A worker's way in: messages and replies, whichever thread reads them."""

from __future__ import annotations

import os
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from nyx_plugins.plugins.worker.inbox import NO_DESCRIPTOR, Inbox
from nyx_plugins.plugins.worker.protocol import BATCH, GRANTED, REFUSED, STOP, ProtocolError, encode

WAIT_S = 60.0


class Host:
    """The host's end of an inbox."""

    def __init__(self) -> None:
        self.socket, theirs = socket.socketpair()
        self.inbox = Inbox(theirs.detach())

    def say(self, *messages: list[object]) -> None:
        """Send messages in one piece."""
        self.socket.sendall(b"".join(map(encode, messages)))

    def grant(self, request_id: int, text: bytes = b"x") -> None:
        """Send GRANTED with the reading end of a pipe that holds ``text``."""
        reading, writing = os.pipe()
        os.write(writing, text)
        os.close(writing)
        socket.send_fds(self.socket, [encode([GRANTED, request_id])], [reading])
        os.close(reading)


@pytest.fixture
def host() -> Iterator[Host]:
    """Return a host with an inbox."""
    host = Host()
    yield host
    host.socket.close()
    host.inbox.close()


@pytest.fixture
def beside() -> Iterator[Callable[..., threading.Thread]]:
    """Return a function that runs another in a thread, and joins it in the end."""
    threads: list[threading.Thread] = []

    def run(function: Callable[[], object]) -> threading.Thread:
        threads.append(threading.Thread(target=function))
        threads[-1].start()
        return threads[-1]

    yield run
    for thread in threads:
        thread.join(WAIT_S)
        assert not thread.is_alive()


def content(fd: int) -> bytes:
    """Read a descriptor to its end, and close it."""
    with os.fdopen(fd, "rb") as file:
        return file.read()


def open_descriptors() -> int:
    """Count what this process has open."""
    return len(os.listdir("/proc/self/fd"))


def test_a_kind_that_is_no_number_is_for_the_workers_own_thread(host: Host) -> None:
    """It is no reply; whoever takes it refuses it, as any other message that there is not."""
    host.say([{}, 24], [STOP])
    assert [host.inbox.next(), host.inbox.next()] == [[{}, 24], [STOP]]


def test_messages_come_in_order(host: Host) -> None:
    """What is no reply is for the worker's own thread, in the order in which it came."""
    host.say([BATCH, 0, []], [BATCH, 1, []])
    host.say([STOP])
    assert [host.inbox.next() for _ in range(3)] == [[BATCH, 0, []], [BATCH, 1, []], [STOP]]


def test_a_reply_is_found_behind_other_messages(host: Host) -> None:
    """Who waits for a reply reads what comes before it, and leaves that for the worker's own thread."""
    request = host.inbox.expect()
    host.say([BATCH, 0, []], [REFUSED, request, 0, 13, "no"], [STOP])
    assert host.inbox.reply(request) == ([REFUSED, request, 0, 13, "no"], NO_DESCRIPTOR)
    assert [host.inbox.next(), host.inbox.next()] == [[BATCH, 0, []], [STOP]]


def test_each_descriptor_comes_with_its_own_reply(host: Host) -> None:
    """Replies in another order than the requests bring each request its own descriptor."""
    one, two, three = (host.inbox.expect() for _ in range(3))
    host.grant(three, b"three")
    host.say([REFUSED, two, 0, 13, "no"])
    host.grant(one, b"one")
    found = [host.inbox.reply(request)[1] for request in (one, three)]
    assert [content(fd) for fd in found] == [b"one", b"three"]


def test_a_descriptor_is_not_inherited(host: Host) -> None:
    """What is granted is closed in programs that the plugin executes."""
    request = host.inbox.expect()
    host.grant(request)
    _, fd = host.inbox.reply(request)
    assert not os.get_inheritable(fd)
    os.close(fd)


def test_the_waiting_worker_reads_for_a_thread(host: Host, beside: Callable[..., threading.Thread]) -> None:
    """While the worker's own thread waits for its next message, another thread gets its reply."""
    request, replies = host.inbox.expect(), []
    asking = threading.Event()

    def ask() -> None:
        asking.set()
        replies.append(host.inbox.reply(request)[0])
        host.say([STOP])

    beside(ask)
    assert asking.wait(WAIT_S)
    host.say([REFUSED, request, 0, 13, "no"])
    assert host.inbox.next() == [STOP]
    assert replies == [[REFUSED, request, 0, 13, "no"]]


def test_many_threads_and_the_worker_all_get_theirs(host: Host, beside: Callable[..., threading.Thread]) -> None:
    """Whatever the order of replies and batches, every thread gets its reply and the worker every message."""
    requests = [host.inbox.expect() for _ in range(20)]
    got: list[tuple[int, bytes]] = []

    def ask(request: int) -> None:
        got.append((request, content(host.inbox.reply(request)[1])))

    askers = [beside(partial(ask, request)) for request in requests]

    def answer() -> None:
        for request in reversed(requests):
            host.say([BATCH, request, []])
            host.grant(request, b"%d" % request)

    beside(answer)
    assert [host.inbox.next()[1] for _ in requests] == requests[::-1]
    for asker in askers:
        asker.join(WAIT_S)
    assert sorted(got) == [(request, b"%d" % request) for request in requests]


@pytest.mark.parametrize("request_id", [0, 1, 2, 2**63])
def test_a_reply_that_nobody_waits_for_is_a_breach(host: Host, request_id: int) -> None:
    """A reply to a request that was never made, or is answered, raises, and its descriptor is closed."""
    request = host.inbox.expect()
    host.grant(request)
    os.close(host.inbox.reply(request)[1])
    before = open_descriptors()
    host.grant(request_id)
    with pytest.raises(ProtocolError, match=f"reply to request {request_id}, which was not made or is answered"):
        host.inbox.next()
    assert open_descriptors() == before


def test_a_grant_needs_a_descriptor(host: Host) -> None:
    """A grant that comes with nothing raises."""
    request = host.inbox.expect()
    host.say([GRANTED, request])
    with pytest.raises(ProtocolError, match=f"request {request} is granted without a descriptor"):
        host.inbox.reply(request)


def test_a_forgotten_reply_is_let_go(host: Host) -> None:
    """The descriptor of a request that was given up is closed when it comes, or when it is there already."""
    late, early, other = (host.inbox.expect() for _ in range(3))
    before = open_descriptors()
    host.grant(early)
    host.say([REFUSED, other, 0, 1, ""])
    host.inbox.reply(other)
    host.inbox.forget(early)
    host.inbox.forget(late)
    host.grant(late)
    host.say([STOP])
    assert host.inbox.next() == [STOP]
    assert open_descriptors() == before


def test_a_descriptor_that_finds_no_room_is_missing_alone(host: Host) -> None:
    """At the limit of open files a grant comes without its descriptor; the next one is whole again."""
    one, two = host.inbox.expect(), host.inbox.expect()
    host.grant(one)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        reply = host.inbox.reply(one)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert reply == ([GRANTED, one], NO_DESCRIPTOR)
    host.grant(two, b"two")
    assert content(host.inbox.reply(two)[1]) == b"two"


@pytest.mark.parametrize(
    "message",
    [
        [GRANTED],
        [GRANTED, 1, 2],
        [GRANTED, [1]],
        [GRANTED, None],
        [REFUSED],
        [REFUSED, 1],
        [REFUSED, [], 0, 0, ""],
        [REFUSED, 1, 0, 0, b""],
        [REFUSED, 1, "", 0, ""],
        [REFUSED, 1, 0, None, ""],
        [REFUSED, 1, 0, 0, "", ""],
    ],
    ids=repr,
)
def test_a_reply_of_the_wrong_shape_is_a_breach(host: Host, message: list[object]) -> None:
    """Neither the thread that reads nor the one that asked meets another error than ProtocolError."""
    request = host.inbox.expect()
    host.say(message)
    with pytest.raises(ProtocolError, match="has not the fields"):
        host.inbox.reply(request)


@pytest.mark.parametrize("breach", [bytes(4), encode([REFUSED, 99, 0, 0, ""])], ids=["framing", "reply"])
def test_whoever_waits_next_meets_the_breach_too(host: Host, breach: bytes) -> None:
    """A breach that a plugin's thread has read, and kept for itself, ends the worker: it does not wait for the host."""
    request = host.inbox.expect()
    host.socket.sendall(breach)
    for wait in (partial(host.inbox.reply, request), host.inbox.next, partial(host.inbox.reply, request)):
        with pytest.raises(ProtocolError):
            wait()
