"""Tallies: what one end counts, the other sees; and which descriptors are taken for one."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins.actors.transports.unix.tally import ACCEPTED, CONNECTED, PAGE_BYTES, Tally, create, receive

SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


def _ends() -> tuple[Tally, Tally]:
    page = create()
    try:
        return Tally(page, CONNECTED), Tally(page, ACCEPTED)
    finally:
        os.close(page)


def _mapped() -> int:
    return Path("/proc/self/maps").read_text().count("thespian-tally")


def _memory(size: int, seals: int) -> int:
    fd = os.memfd_create("other", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Return both ends of a connection."""
    ends = socket.socketpair()
    yield ends
    for end in ends:
        end.close()


def test_a_new_tally_is_empty() -> None:
    """Nothing is taken or refused at first."""
    for end in _ends():
        assert (end.taken_by_peer, end.refused) == (0, False)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, (1 << 64) - 1))))
def test_each_end_sees_the_count_of_the_other(steps: list[tuple[bool, int]]) -> None:
    """Both ends count for themselves, and each sees the other's latest count."""
    ends, counts = _ends(), [0, 0]
    for side, count in steps:
        ends[side].took(count)
        counts[side] = count
        assert [ends[1].taken_by_peer, ends[0].taken_by_peer] == counts


def test_a_refusal_is_seen_and_leaves_the_counts_alone() -> None:
    """An end that refuses says so to the other, beside the counts."""
    connected, accepted = _ends()
    connected.took(3)
    accepted.took(5)
    accepted.refuse()
    assert connected.refused
    assert (connected.taken_by_peer, accepted.taken_by_peer) == (5, 3)


def test_a_tally_outlives_its_descriptor_and_goes_with_its_object() -> None:
    """The page stays mapped without a descriptor, and is unmapped once nobody asks for it any more."""
    before = _mapped()
    ends = _ends()
    assert _mapped() == before + 2
    del ends
    assert _mapped() == before


def test_what_can_not_be_mapped_is_an_error() -> None:
    """A descriptor that can't be mapped is an OSError, and nothing is left of the attempt."""
    reading, writing = os.pipe()
    try:
        with pytest.raises(OSError, match="can't be mapped"):
            Tally(reading, CONNECTED)
    finally:
        os.close(reading)
        os.close(writing)


def test_a_page_can_not_be_shrunk() -> None:
    """The size of a page is fixed, so that no access to it can fail."""
    page = create()
    try:
        for size in (0, PAGE_BYTES * 2):
            with pytest.raises(PermissionError):
                os.ftruncate(page, size)
    finally:
        os.close(page)


def test_a_page_is_received(pair: tuple[socket.socket, socket.socket]) -> None:
    """A page that comes with bytes is handed over, closed on exec, and is the sender's."""
    page = create()
    here = Tally(page, CONNECTED)
    socket.send_fds(pair[0], [b"hello"], [page])
    os.close(page)
    data, received = receive(pair[1], 100)
    assert data == b"hello" and received is not None
    assert not os.get_inheritable(received)
    there = Tally(received, ACCEPTED)
    os.close(received)
    there.took(7)
    assert here.taken_by_peer == 7


def test_bytes_without_a_page_are_received(pair: tuple[socket.socket, socket.socket]) -> None:
    """Bytes come without a descriptor as well, and no more of them than asked for; then the end."""
    pair[0].sendall(b"hello")
    assert receive(pair[1], 3) == (b"hel", None)
    assert receive(pair[1], 3) == (b"lo", None)
    pair[0].close()
    assert receive(pair[1], 3) == (b"", None)


@pytest.mark.parametrize(
    "make",
    [
        lambda: os.open(os.devnull, os.O_RDWR),
        lambda: os.open(__file__, os.O_RDONLY),
        lambda: os.eventfd(0),
        lambda: _memory(PAGE_BYTES, 0),
        lambda: _memory(PAGE_BYTES, fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL),
        lambda: _memory(PAGE_BYTES, fcntl.F_SEAL_SHRINK),
        lambda: _memory(0, SEALS),
        lambda: _memory(PAGE_BYTES - 1, SEALS),
        lambda: _memory(2 * PAGE_BYTES, SEALS),
    ],
    ids=["device", "file", "eventfd", "no seals", "may shrink", "may be unsealed", "empty", "short", "long"],
)
def test_what_is_no_page_is_closed(
    make: Callable[[], int], pair: tuple[socket.socket, socket.socket], open_descriptors: Callable[[], set[int]]
) -> None:
    """A descriptor of anything else than a sealed page of the right size is closed as it comes."""
    other, before = make(), open_descriptors()
    socket.send_fds(pair[0], [b"x"], [other])
    assert receive(pair[1], 10) == (b"x", None)
    assert open_descriptors() == before
    os.close(other)


@pytest.mark.parametrize("count", [2, 3, 50])
def test_of_several_descriptors_at_most_one_is_kept(
    count: int, pair: tuple[socket.socket, socket.socket], open_descriptors: Callable[[], set[int]]
) -> None:
    """Whoever sends more descriptors than one fills nobody's table with them."""
    page = create()
    before = open_descriptors()
    socket.send_fds(pair[0], [b"x"], [page] * count)
    data, received = receive(pair[1], 10)
    more = open_descriptors() - before
    for fd in (page, *more):
        os.close(fd)
    assert data == b"x"
    assert more <= {received}


def test_a_forked_process_has_no_part_in_it() -> None:
    """A forked process does not inherit the page, and its end leaves the parent's alone."""
    connected, accepted = _ends()
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writing, b"%d" % _mapped())
            del connected, accepted
            os._exit(0)
        finally:
            os._exit(1)
    os.close(writing)
    assert os.read(reading, 10) == b"0"
    os.close(reading)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    connected.took(2)
    assert accepted.taken_by_peer == 2
