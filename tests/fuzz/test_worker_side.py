"""Whatever arrives on its socket, a worker takes it or ends with a ProtocolError: no other error, no waiting."""

from __future__ import annotations

import array
import contextlib
import itertools
import os
import socket
from collections.abc import Iterator
from typing import NoReturn

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from nyx_plugins.plugins.worker import inbox as module
from nyx_plugins.plugins.worker.inbox import NO_DESCRIPTOR, Inbox
from nyx_plugins.plugins.worker.protocol import ProtocolError

from .conftest import bounded
from .streams import Writer

writers = st.randoms(use_true_random=False).map(Writer)
REQUESTS = 3
# A socket holds them all, and nobody reads before all is written.
MAX_STREAM_BYTES, MAX_PIECES = 20_000, 100


class HostGone(BaseException):
    """In place of the end of the process."""


@pytest.fixture(autouse=True)
def survive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the test outlive what ends a worker: the end of its socket."""

    def end(status: int) -> NoReturn:
        assert status == 0
        raise HostGone

    monkeypatch.setattr(module.os, "_exit", end)


@contextlib.contextmanager
def worker_inbox() -> Iterator[tuple[Inbox, socket.socket]]:
    """Open a worker's inbox, with the host's end of its socket."""
    ours, theirs = socket.socketpair()
    inbox = Inbox(ours.detach())
    with theirs, contextlib.closing(inbox):
        yield inbox, theirs


def send(host: socket.socket, piece: bytes, with_descriptor: bool) -> None:
    """Write a piece, if anything, and perhaps a descriptor with its first byte."""
    if not piece:
        return
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [host.fileno()]))] if with_descriptor else []
    host.sendmsg([piece], ancillary)


def drain(inbox: Inbox) -> ProtocolError | None:
    """Read as the worker's own thread does, until the host is gone or breaks the protocol."""
    try:
        while True:
            assert inbox.next()
    except ProtocolError as error:
        return error
    except HostGone:
        return None


@bounded
@given(writers, st.lists(st.booleans(), min_size=1, max_size=8))
def test_a_stream_of_a_host_is_taken_or_refused(writer: Writer, granting: list[bool]) -> None:
    """Bent and damaged messages, with descriptors or without, in any pieces, end in a ProtocolError, if at all."""
    stream = writer.stream(writer.from_host)
    note(f"stream: {stream.hex()}")
    pieces = writer.pieces(stream[:MAX_STREAM_BYTES])[:MAX_PIECES]
    with worker_inbox() as (inbox, host):
        for _ in range(REQUESTS):
            inbox.expect()
        host.setblocking(False)
        for piece, with_descriptor in zip(pieces, itertools.cycle(granting), strict=False):
            send(host, piece, with_descriptor)
        host.shutdown(socket.SHUT_WR)
        fault = drain(inbox)
        close_granted(inbox)
        if fault is not None:
            # What came before it may still be there.
            again = drain(inbox)
            assert again is not None
            assert again.what == fault.what


def close_granted(inbox: Inbox) -> None:
    """Close what has been granted, or has come for nothing."""
    for reply in inbox._replies.values():
        if reply is not None and reply[1] != NO_DESCRIPTOR:
            os.close(reply[1])
    for fd in inbox._descriptors:
        if fd != NO_DESCRIPTOR:
            os.close(fd)
