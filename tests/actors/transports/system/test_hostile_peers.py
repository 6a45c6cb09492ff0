"""Peers that lie, flood and say nothing: those who talk with the same actor, or its admin, get every answer.

``victim`` is an actor or its admin; ``victim.unharmed()`` says what that means.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pickle
import random
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from thespian.system.messages.admin import QueryExists
from thespian.system.messages.status import Thespian_StatusReq

from nyx_plugins.actors.transports import unix
from nyx_plugins.actors.transports.unix import framing, tally

MIB = 1 << 20
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
# Of linux/fcntl.h; Python has no name for it.
F_SEAL_FUTURE_WRITE = 0x10


class Mark:
    """Leaves a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def frame(message: Any) -> bytes:
    """Encode a message."""
    payload = pickle.dumps(message)
    return framing.HEADER.pack(len(payload)) + payload


def send(sock: socket.socket, data: bytes) -> None:
    """Send what can be sent: the other end may close at any time."""
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        sock.sendall(data)


def is_closed(sock: socket.socket) -> bool:
    """Wait until the other end has closed; whatever it sent before is not looked at."""
    with contextlib.suppress(ConnectionResetError):
        while sock.recv(65536):
            pass
    return True


def is_closed_after(sock: socket.socket, data: bytes) -> bool:
    """Send the last that is to be said, and wait until the other end has closed."""
    send(sock, data)
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_WR)
    return is_closed(sock)


def memory(size: int, seals: int) -> int:
    """Make a file in memory."""
    fd = os.memfd_create("tally", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.truncate(fd, size)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


# Strangers.


def test_random_bytes_are_refused(victim: Any) -> None:
    """Whoever sends anything but an introduction is refused at once, and counted."""
    dice = random.Random(1)
    with victim.unharmed(no_member=300):
        for _ in range(300):
            with victim.connect() as sock:
                send(sock, dice.randbytes(dice.randrange(framing.INTRODUCTION_BYTES, 5000)))
                assert is_closed(sock)


def test_half_introductions_are_refused(victim: Any) -> None:
    """Whoever ends before its introduction is whole is refused, and counted."""
    whole = victim.introduction()
    with victim.unharmed(half_an_introduction=len(whole) - 1):
        for length in range(1, len(whole)):
            with victim.connect() as sock:
                assert is_closed_after(sock, whole[:length])


def test_silence_in_an_introduction_is_refused(victim: Any) -> None:
    """Whoever stops in the midst of its introduction is refused after a while, and counted."""
    whole = victim.introduction()
    with victim.unharmed(silent=50), contextlib.ExitStack() as stack:
        crowd = [stack.enter_context(victim.introduced(whole[: 1 + index])) for index in range(50)]
        assert all(is_closed(sock) for sock in crowd)


def test_nothing_of_a_stranger_is_unpickled(victim: Any, tmp_path: Path) -> None:
    """Whoever doesn't know the key is refused, and what it sends is not unpickled."""
    marker = tmp_path / "unpickled"
    right = victim.introduction()
    wrong_keys = [bytes(32), b"\xff" * 32, right[8:39] + bytes([right[39] ^ 1]), right[39:7:-1]]
    with victim.unharmed(no_member=2 * len(wrong_keys) + 1):
        for wrong in wrong_keys:
            for own_path in ("/tmp/nowhere", victim.path):
                with victim.introduced(framing.introduce(wrong, own_path)) as sock:
                    send(sock, frame(Mark(marker)))
                    assert is_closed(sock)
        with victim.connect() as sock:
            send(sock, frame(Mark(marker)) + bytes(framing.INTRODUCTION_BYTES))
            assert is_closed(sock)
    assert not marker.exists()


def test_a_message_of_a_member_is_unpickled(victim: Any, tmp_path: Path, eventually: Callable[..., None]) -> None:
    """The test above proves something: with the right key the same message leaves its mark."""
    marker = tmp_path / "unpickled"
    with victim.introduced() as sock:
        send(sock, frame(Mark(marker)))
        eventually(marker.exists)


def no_tallies() -> dict[str, Callable[[], int]]:
    """Say how descriptors are made that are no tally."""
    return {
        "a device": lambda: os.open("/dev/zero", os.O_RDWR),
        "an unsealed page": lambda: memory(tally.PAGE_BYTES, 0),
        "a page too small": lambda: memory(1, SEALS),
        "a page too large": lambda: memory(MIB, SEALS),
        "a sealed page": lambda: memory(tally.PAGE_BYTES, SEALS | fcntl.F_SEAL_WRITE),
        "a page to be sealed": lambda: memory(tally.PAGE_BYTES, SEALS | F_SEAL_FUTURE_WRITE),
    }


@pytest.mark.parametrize("what", no_tallies())
def test_a_member_without_a_tally_is_refused(victim: Any, what: str) -> None:
    """A descriptor in which nothing can be counted is closed, and who sent it is refused, although it has the key."""
    with victim.unharmed(no_member=50):
        for _ in range(50):
            with victim.introduced(page=no_tallies()[what]()) as sock:
                assert is_closed(sock)


def test_a_member_that_sends_no_descriptor_is_refused(victim: Any) -> None:
    """The key alone is no introduction."""
    with victim.unharmed(no_member=50):
        for _ in range(50):
            with victim.connect() as sock:
                send(sock, victim.introduction())
                assert is_closed(sock)


@pytest.mark.parametrize("number", [2, 100])
def test_descriptors_of_strangers_are_closed(victim: Any, number: int) -> None:
    """Whoever sends descriptors, many at once and one after the other, fills nobody's table of open files."""
    page = tally.create()
    with victim.unharmed(half_an_introduction=100):
        for _ in range(100):
            with victim.connect() as sock:
                for byte in b"Thes":
                    socket.send_fds(sock, [bytes([byte])], [page] * number)
                assert is_closed_after(sock, b"p")
    os.close(page)


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """Let the test have more open files than usual."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_descriptors")
def test_a_silent_crowd_keeps_nobody_out(victim: Any) -> None:
    """Of 1,000 connections that say nothing few are kept, for a short time; others can still come in."""
    before, descriptors, most = victim.counts(), victim.descriptors(), 0
    with victim.unharmed(), contextlib.ExitStack() as stack:
        crowd = [stack.enter_context(victim.connect()) for _ in range(1000)]
        victim.serve_newcomers()
        for sock in crowd:
            most = max(most, victim.descriptors() - descriptors)
            assert is_closed(sock)
    after = victim.counts()
    assert sum(after.get(why, 0) - before.get(why, 0) for why in ("refused: too many", "refused: silent")) == 1000
    assert most <= unix.Limits().strangers + 8


# Members: they know the key and so may do much, but not harm those who talk with others.


def test_half_a_message_keeps_nobody_waiting(victim: Any) -> None:
    """Whoever stops in the midst of a message, or of its length, is left alone until it goes."""
    message = frame(bytes(1000))
    with victim.unharmed(), contextlib.ExitStack() as stack:
        for length in range(1, 100):
            send(stack.enter_context(victim.introduced()), message[:length])
        victim.serve_newcomers()


@pytest.mark.parametrize("size", [128 * MIB + 1, (1 << 32) - 1])
def test_a_message_above_the_limit_is_refused(victim: Any, size: int) -> None:
    """Whoever announces a message above the limit is refused, and nothing is set aside for it."""
    with victim.unharmed(broken_frame=100):
        for _ in range(100):
            with victim.introduced() as sock:
                send(sock, framing.HEADER.pack(size) + b"begin")
                assert is_closed(sock)


def test_an_announced_message_takes_no_memory(victim: Any) -> None:
    """Whoever announces the largest message allowed and sends little of it takes little memory."""
    with victim.unharmed(), contextlib.ExitStack() as stack:
        for _ in range(4):
            send(stack.enter_context(victim.introduced()), framing.HEADER.pack(128 * MIB) + b"begin")
        victim.serve_newcomers()


def test_a_flood_of_small_messages_takes_little_memory(victim: Any) -> None:
    """Whoever sends messages faster than they are handled has to wait, however small they are."""
    with victim.unharmed(), victim.introduced() as sock:
        assert is_closed_after(sock, frame(None) * 40_000)


@pytest.mark.parametrize("victim", ["actor"], indirect=True)
def test_a_flood_from_many_sides_takes_little_memory(victim: Any) -> None:
    """Of many who send at the same time most have to wait until what was read from others is handled."""
    with victim.unharmed(), contextlib.ExitStack() as stack:
        crowd = [stack.enter_context(victim.introduced()) for _ in range(16)]
        victim.serve_newcomers()
        os.kill(victim.pid, signal.SIGSTOP)
        for sock in crowd:
            send(sock, frame(None) * 12_000)
        os.kill(victim.pid, signal.SIGCONT)
        assert all(is_closed_after(sock, b"") for sock in crowd)


def test_a_status_does_not_grow_with_what_waits(victim: Any) -> None:
    """Whoever asks for the status, with many messages behind, gets an answer of moderate size."""
    with victim.unharmed(), victim.introduced() as sock:
        os.kill(victim.pid, signal.SIGSTOP)
        send(sock, frame(Thespian_StatusReq()) + frame(None) * 12_000)
        os.kill(victim.pid, signal.SIGCONT)
        (size,) = framing.HEADER.unpack(sock.recv(framing.HEADER_BYTES, socket.MSG_WAITALL))
        assert size < 64 * 1024


def test_what_is_no_pickle_is_dropped(victim: Any) -> None:
    """A message that can't be unpickled is dropped, and counted."""
    before = victim.counts()
    with victim.unharmed(), victim.introduced() as sock:
        assert is_closed_after(sock, framing.HEADER.pack(0) * 2_000 + framing.HEADER.pack(3) + b"abc")
    assert victim.counts()["unreadable"] - before.get("unreadable", 0) == 2_001


def test_a_lie_in_a_tally_harms_the_liar_only(victim: Any) -> None:
    """Whoever says that it has taken what was never sent, or writes over the other's count, deceives itself."""
    page = tally.create()
    os.pwrite(page, b"\xff" * tally.PAGE_BYTES, 0)
    with victim.unharmed(), victim.introduced(page=page) as sock:
        assert is_closed_after(sock, b"".join(frame(number) for number in range(100)))


ADDRESSES = {
    "none": b"",
    "relative": b"here",
    "abstract": b"\0abstract",
    "with a zero": b"/tmp/a\0b",
    "too long": b"/" + 107 * b"x",
}


@pytest.mark.parametrize("own_path", ADDRESSES.values(), ids=ADDRESSES)
def test_any_address_can_be_answered(victim: Any, own_path: bytes) -> None:
    """Whatever a member gives as its address, answers that can't be delivered there harm nobody."""
    introduction = victim.introduction("")[:-108] + own_path.ljust(108, b"\0")
    with victim.unharmed():
        for _ in range(20):
            with victim.introduced(introduction) as sock:
                send(sock, 10 * frame(Thespian_StatusReq()))
            # Gone before it can be answered.


def test_an_address_that_is_no_text_is_refused(victim: Any) -> None:
    """A member whose address can't be read is none."""
    introduction = victim.introduction("")[:-108] + b"/tmp/\xff".ljust(108, b"\0")
    with victim.unharmed(no_member=20):
        for _ in range(20):
            with victim.introduced(introduction) as sock:
                assert is_closed(sock)


def test_a_member_that_never_reads_is_given_up(victim: Any, eventually: Callable[..., None]) -> None:
    """Messages for somebody who takes none are dead letters after a while; little of them is kept."""
    is_admin = victim.address != victim.echo
    requests = 5_000 * frame(QueryExists()) if is_admin else frame(("flood", 10_000, 1_000))
    with victim.unharmed(), victim.introduced() as sock:
        send(sock, requests)
        eventually(lambda: victim.counts().get("overflow", 0) > 2_000)
