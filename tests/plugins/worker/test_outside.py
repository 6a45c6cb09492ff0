"""What a plugin gets of what it asks for: sockets, files, and errors that say why not."""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nyx_plugins.plugins import SandboxViolation
from nyx_plugins.plugins.sdk import Context
from nyx_plugins.plugins.worker.inbox import Inbox
from nyx_plugins.plugins.worker.line import Line
from nyx_plugins.plugins.worker.outbox import Outbox
from nyx_plugins.plugins.worker.outside import Outside, Refusal, descriptor_of
from nyx_plugins.plugins.worker.protocol import (
    BY_POLICY,
    BY_RESOLVER,
    BY_SYSTEM,
    CONNECT,
    EMIT,
    MAX_REQUESTS,
    OPEN,
    REFUSED,
    MessageReader,
    encode,
)


class Actor:
    """Answers with what it was told to, and keeps what was asked."""

    def __init__(self, answer: int | Refusal) -> None:
        self.asked: list[Any] = []
        self._answer = answer

    def __call__(self, *request: Any) -> int | Refusal:
        """Answer."""
        self.asked.append(request)
        return self._answer


def context(answer: int | Refusal) -> tuple[Context, Actor]:
    """Make a context whose requests are answered like this."""
    actor = Actor(answer)
    outside = Outside(7, actor)
    ctx = Context(7, "p", {}, emit=lambda *_: None, log=lambda *_: None, max_emit_bytes=1, outside=lambda: outside)
    return ctx, actor


def test_a_connection_is_a_socket_with_the_timeout() -> None:
    """connect() returns a connected socket of the right family, whose operations have the timeout asked for."""
    ours, theirs = socket.socketpair()
    ctx, actor = context(theirs.detach())
    with ours, ctx.connect("example.com", 443, timeout=2.5) as connection:
        ours.sendall(b"hello")
        assert connection.recv(10) == b"hello"
        assert (type(connection), connection.family, connection.gettimeout()) == (socket.socket, socket.AF_UNIX, 2.5)
    assert actor.asked == [(CONNECT, "example.com", 443, 2500)]


def test_what_is_no_socket_is_closed() -> None:
    """A descriptor that can't be made into a socket is not left open."""
    fd = os.memfd_create("none")
    ctx, _ = context(fd)
    with pytest.raises(OSError):
        ctx.connect("example.com", 443)
    assert not os.path.lexists(f"/proc/self/fd/{fd}")


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        (("", 1), ValueError, "host of 0 characters"),
        (("x" * 256, 1), ValueError, "host of 256 characters: must have 1 to 255"),
        (("\ud800", 1), ValueError, "surrogates not allowed"),
        ((b"x", 1), TypeError, "not bytes, int, float"),
        (("x", True), TypeError, "not str, bool, float"),
        (("x", "80"), TypeError, "not str, str, float"),
        (("x", 0), ValueError, "port 0 is not in 1 to 65,535"),
        (("x", 65_536), ValueError, "port 65536"),
        (("x", 1, None), TypeError, "not str, int, NoneType"),
        (("x", 1, 0), ValueError, "timeout 0 s is not in 0.001 to 3,600"),
        (("x", 1, float("nan")), ValueError, "timeout nan s"),
        (("x", 1, 3601), ValueError, "timeout 3601 s"),
    ],
)
def test_wrong_arguments_are_not_asked(arguments: tuple[Any, ...], error: type[Exception], text: str) -> None:
    """What no host could mean is refused at once, and the plugin actor is not bothered."""
    ctx, actor = context(0)
    with pytest.raises(error, match=text):
        ctx.connect(*arguments)
    assert actor.asked == []


@pytest.mark.parametrize(
    ("refusal", "error", "text"),
    [
        (
            Refusal(BY_POLICY, 13, "host 'h' is not in the network list (none)"),
            SandboxViolation,
            "plugin 7: 'connect to h:80' denied by policy: host 'h' is not in the network list (none)",
        ),
        (Refusal(BY_RESOLVER, socket.EAI_NONAME, "unknown"), socket.gaierror, "unknown"),
        (Refusal(BY_SYSTEM, errno.ECONNREFUSED, "refused"), ConnectionRefusedError, "refused"),
        (Refusal(BY_SYSTEM, errno.ETIMEDOUT, "late"), TimeoutError, "late"),
        (Refusal(BY_SYSTEM, errno.ENETUNREACH, "far"), OSError, "far"),
    ],
)
def test_a_refused_connection_raises_the_usual_error(refusal: Refusal, error: type[Exception], text: str) -> None:
    """Denials are violations with the reason; everything else is what a socket would raise."""
    ctx, _ = context(refusal)
    with pytest.raises(error) as caught:
        ctx.connect("h", 80)
    assert type(caught.value) is error
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("mode", "flags"),
    [
        ("rb", os.O_RDONLY),
        ("r+b", os.O_RDWR),
        ("w", os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
        ("xb", os.O_WRONLY | os.O_CREAT | os.O_EXCL),
        ("ab", os.O_WRONLY | os.O_CREAT | os.O_APPEND),
    ],
)
def test_open_asks_for_what_the_mode_means(mode: str, flags: int) -> None:
    """The modes are those of the builtin open(), and so are the files."""
    fd = os.memfd_create("file")
    ctx, actor = context(fd)
    with ctx.open(Path("/data/f"), mode) as file:
        assert (file.fileno(), file.name) == (fd, "/data/f")
    assert actor.asked == [(OPEN, b"/data/f", flags)]


def test_open_reads_text() -> None:
    """A mode without 'b' makes text, in the encoding asked for."""
    fd = os.memfd_create("file")
    os.pwrite(fd, "é".encode("latin-1"), 0)
    ctx, _ = context(fd)
    with ctx.open("/data/f", "r", encoding="latin-1") as file:
        assert file.read() == "é"


def test_a_refused_file_names_its_path() -> None:
    """What open() raises carries the path, and a denial says what was to be done with it."""
    missing, _ = context(Refusal(BY_SYSTEM, errno.ENOENT, "No such file or directory"))
    with pytest.raises(FileNotFoundError) as caught:
        missing.open("/data/f")
    assert (caught.value.filename, caught.value.errno) == ("/data/f", errno.ENOENT)
    denied, _ = context(Refusal(BY_POLICY, errno.EACCES, "path '/etc/f' is not in the allowed paths"))
    with pytest.raises(SandboxViolation, match="\"write to '/etc/f'\" denied by policy: path '/etc/f' is not in"):
        denied.open("/etc/f", "ab")
    with pytest.raises(SandboxViolation, match="\"read of '/etc/f'\" denied"):
        denied.open("/etc/f")


@pytest.mark.parametrize(
    ("path", "mode", "error"),
    [
        (3, "rb", TypeError),
        ("/f", "z", ValueError),
        ("/f\0", "rb", ValueError),
        ("/" + "x" * 4096, "rb", OSError),
    ],
)
def test_paths_and_modes_that_make_no_sense_are_not_asked(path: Any, mode: str, error: type[Exception]) -> None:
    """A descriptor in place of a path, an unknown mode, a path with a zero or a very long one raise at once."""
    ctx, actor = context(Refusal(BY_SYSTEM, 1, "asked"))
    with pytest.raises(error):
        ctx.open(path, mode)
    assert actor.asked == []


def test_a_context_without_a_runtime_says_so() -> None:
    """Where a context was made by hand, nothing can be reached, and the error says why."""
    ctx = Context(7, "p", {}, emit=lambda *_: None, log=lambda *_: None, max_emit_bytes=1)
    with pytest.raises(RuntimeError, match="leads nowhere"):
        ctx.connect("h", 80)


BothEnds = tuple[socket.socket, Inbox, Outbox]


@pytest.fixture
def both_ends() -> Iterator[BothEnds]:
    """Return the host's end of a socket, and a worker's two ways over the other end."""
    ours, theirs = socket.socketpair()
    fd = theirs.detach()
    inbox = Inbox(fd)
    yield ours, inbox, Outbox(fd)
    ours.close()
    inbox.close()


def test_no_more_requests_are_under_way_than_an_actor_bears(both_ends: BothEnds) -> None:
    """With more threads than requests that may be under way, the rest wait until one is answered."""
    ours, inbox, outbox = both_ends
    line = Line(inbox, outbox)
    answers: list[Any] = []
    threads = [
        threading.Thread(target=lambda: answers.append(descriptor_of(line.ask(CONNECT, "h", 80, 1))))
        for _ in range(MAX_REQUESTS + 8)
    ]
    for thread in threads:
        thread.start()
    asked = _requests(ours, MAX_REQUESTS)
    ours.setblocking(False)
    with pytest.raises(BlockingIOError):
        ours.recv(1)
    ours.setblocking(True)
    _refuse(ours, asked)
    _refuse(ours, _requests(ours, 8))
    for thread in threads:
        thread.join(60.0)
    assert answers == [Refusal(BY_SYSTEM, 1, "no")] * (MAX_REQUESTS + 8)


def _requests(ours: socket.socket, count: int) -> list[int]:
    """Wait for so many requests; returns their ids."""
    reader, found = MessageReader(), []
    while len(found) < count:
        found += [message[1] for message in reader.feed(ours.recv(65_536))]
    return found


def _refuse(ours: socket.socket, requests: list[int]) -> None:
    ours.sendall(b"".join(encode([REFUSED, request, BY_SYSTEM, 1, "no"]) for request in requests))


def test_the_line_sends_what_is_held_first(both_ends: BothEnds) -> None:
    """What a handler emits before it asks reaches the host before the request."""
    ours, inbox, outbox = both_ends
    line = Line(inbox, outbox)
    outbox.emit(0x52, 0, b"first")
    ours.sendall(encode([REFUSED, 1, BY_SYSTEM, 1, "no"]))
    line.ask(CONNECT, "h", 80, 1)
    kinds = [message[0] for message in MessageReader().feed(ours.recv(65_536))]
    assert kinds == [EMIT, CONNECT]
