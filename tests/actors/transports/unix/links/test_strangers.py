"""Whoever is no member of the system is counted and shut out, and those inside go on."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from thespian.system.transport import TransmitIntent

from nyx_plugins.actors.transports.unix import directory, door
from nyx_plugins.actors.transports.unix.connection import peer_user
from nyx_plugins.actors.transports.unix.framing import HEADER, INTRODUCTION_BYTES
from nyx_plugins.actors.transports.unix.tally import PAGE_BYTES, create

if TYPE_CHECKING:
    from .conftest import Member, Town

NOBODY = 65534
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


@pytest.fixture
def inside(town: Town) -> Iterator[tuple[Member, Member]]:
    """Return two members who talk, and go on talking at the end."""
    one, two = town.member("one"), town.member("two")
    one.post(two, "before")
    town.until(two.take)
    yield one, two
    one.post(two, "after")
    two.post(one, "after")
    town.until(lambda: one.take() is not None and two.take() is not None and len(one.taken + two.taken) == 3)
    assert (two.taken, one.taken) == (["before", "after"], ["after"])


def _is_shut_out(stranger: socket.socket) -> bool:
    """Whether the other end has closed, having said nothing."""
    stranger.setblocking(False)
    try:
        return stranger.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


@settings(max_examples=60)
@given(st.binary(min_size=INTRODUCTION_BYTES, max_size=3 * INTRODUCTION_BYTES))
def test_noise_is_shut_out(new_town: Callable[[], AbstractContextManager[Town]], noise: bytes) -> None:
    """Whoever sends anything else than an introduction is shut out and told nothing."""
    with new_town() as town:
        member = town.member("member")
        stranger = town.knock(member)
        stranger.sendall(noise)
        town.until(lambda: _is_shut_out(stranger))
        assert member.counts == {"refused: no member": 1}


def test_a_wrong_key_is_refused_for_good(town: Town, inside: tuple[Member, Member]) -> None:
    """Whoever shows another key is shut out, and told that it need not try again."""
    member, _ = inside
    stranger, tally = town.enter(member, town.path / "stranger", key=bytes(32))
    town.until(lambda: _is_shut_out(stranger))
    assert tally.refused
    assert member.counts == {"refused: no member": 1}


def test_where_there_is_no_key_nobody_gets_in(town: Town) -> None:
    """A process that has lost the key of its system lets nobody in, not even with an empty one."""
    member = town.member("member")
    directory.forget_key(str(town.path))
    for key in (bytes(32), b"", town.key):
        stranger, _ = town.enter(member, town.path / "stranger", key=key)
        town.until(lambda stranger=stranger: _is_shut_out(stranger))
    assert member.counts == {"refused: no member": 3}


@pytest.mark.parametrize("count", [1, 8, INTRODUCTION_BYTES - 1])
def test_half_an_introduction_is_counted(town: Town, inside: tuple[Member, Member], count: int) -> None:
    """Whoever leaves in the middle of its introduction is counted as that."""
    member, _ = inside
    stranger = town.knock(member)
    stranger.sendall(town.introduction(town.path / "stranger")[:count])
    town.turn()
    stranger.close()
    town.until(lambda: member.counts)
    assert member.counts == {"refused: half an introduction": 1}


def test_whoever_leaves_without_a_word_is_not_refused(town: Town, inside: tuple[Member, Member]) -> None:
    """A look whether anybody listens is told apart from a stranger."""
    member, _ = inside
    assert directory.is_listening(str(member.path))
    town.until(lambda: member.counts)
    assert member.counts == {"left without a word": 1}


@pytest.mark.parametrize("count", [0, 100])
def test_silence_has_an_end(town: Town, count: int) -> None:
    """Whoever says nothing, or nothing more, is shut out when its time is over, and a wait ends for that."""
    member = town.member("slow", introduction_s=0.01)
    stranger = town.knock(member)
    stranger.sendall(town.introduction(town.path / "stranger")[:count])
    while not member.counts:
        member.links.poll(None)
    assert member.counts == {"refused: silent": 1}
    assert _is_shut_out(stranger)


def test_an_introduction_may_come_in_pieces(town: Town, inside: tuple[Member, Member]) -> None:
    """An introduction that comes byte by byte, with its page anywhere in it, is one, and what follows is read."""
    member, _ = inside
    peer, page = town.knock(member), create()
    for index, byte in enumerate(town.introduction(town.path / "peer")):
        socket.send_fds(peer, [bytes([byte])], [page] if index == 77 else [])
        town.turn()
    os.close(page)
    peer.sendall(HEADER.pack(4) + b"text")
    town.until(lambda: member.links.incoming)
    item = member.links.next_item()
    assert item is not None and item[0] is not None
    assert (item[0].address.addressDetails.path, bytes(item[1])) == (str(town.path / "peer"), b"text")
    assert member.counts == {}


def test_more_strangers_than_allowed_shut_out_the_oldest(town: Town) -> None:
    """Only so many may be about to introduce themselves; the oldest goes for the newest, and members get in."""
    member, other = town.member("member", strangers=3), town.member("other")
    strangers = [town.knock(member) for _ in range(10)]
    town.until(lambda: sum(map(_is_shut_out, strangers)) == 7)
    assert [_is_shut_out(stranger) for stranger in strangers] == [True] * 7 + [False] * 3
    assert member.counts == {"refused: too many": 7}
    other.post(member, "hello")
    town.until(member.take)
    assert member.counts == {"refused: too many": 8}


def test_a_crowd_of_members_gets_in(town: Town) -> None:
    """Members that all come at once are let in, although they are more than strangers may be."""
    member = town.member("member", strangers=2)
    others = [town.member(f"other-{number}") for number in range(30)]
    for other in others:
        other.post(member, other.path.name)
    town.until(lambda: member.take() is not None and len(member.taken) == 30)
    assert sorted(member.taken) == sorted(other.path.name for other in others)
    assert member.counts == {}


def test_a_member_without_a_page_is_none(town: Town, inside: tuple[Member, Member]) -> None:
    """An introduction without the page in which both count is refused."""
    member, _ = inside
    stranger = town.knock(member)
    stranger.sendall(town.introduction(town.path / "stranger"))
    town.until(lambda: _is_shut_out(stranger))
    assert member.counts == {"refused: no member": 1}


def _open_null() -> int:
    return os.open(os.devnull, os.O_RDWR)


def _page(seals: int) -> int:
    fd = os.memfd_create("page", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, PAGE_BYTES)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


def _page_to_read() -> int:
    page = create()
    try:
        return os.open(f"/proc/self/fd/{page}", os.O_RDONLY)
    finally:
        os.close(page)


@pytest.mark.parametrize(
    "make",
    [_open_null, lambda: _page(0), lambda: _page(SEALS | fcntl.F_SEAL_WRITE), _page_to_read],
    ids=["device", "not sealed", "sealed against writing", "opened for reading"],
)
def test_a_member_with_another_descriptor_is_none(
    town: Town, inside: tuple[Member, Member], make: Callable[[], int]
) -> None:
    """An introduction with a descriptor that can't serve as the page is refused."""
    member, _ = inside
    stranger, other = town.knock(member), make()
    socket.send_fds(stranger, [town.introduction(town.path / "stranger")], [other])
    os.close(other)
    town.until(lambda: _is_shut_out(stranger))
    assert member.counts == {"refused: no member": 1}


def test_strangers_leave_no_descriptors(town: Town, open_descriptors: Callable[[], set[int]]) -> None:
    """Whatever strangers send along, with each byte of their introduction, is closed with them."""
    member, page = town.member("member"), create()
    stranger = town.knock(member)
    before = open_descriptors()
    for byte in town.introduction(town.path / "stranger", key=bytes(32)):
        socket.send_fds(stranger, [bytes([byte])], [page, page])
        town.turn()
    os.close(page)
    left = open_descriptors() - before
    for fd in left:
        os.close(fd)
    assert _is_shut_out(stranger)
    assert left == set()


@pytest.mark.parametrize("before", [0, 1, 3])
def test_a_broken_frame_ends_the_connection(town: Town, inside: tuple[Member, Member], before: int) -> None:
    """A member that announces more than is allowed is counted and cut off; nothing of it is handed out any more."""
    member, _ = inside
    peer, tally = town.enter(member, town.path / "peer")
    peer.sendall((HEADER.pack(1) + b"x") * before)
    town.turn()
    peer.sendall(HEADER.pack((1 << 32) - 1))
    town.until(lambda: _is_shut_out(peer))
    assert member.links.next_item() is None
    assert tally.taken_by_peer == 0
    assert member.counts == {"refused: broken frame": 1}


def test_what_was_taken_before_a_broken_frame_stays_taken(town: Town) -> None:
    """A message that was handed out before its sender broke the rules was taken, and says so."""
    member = town.member("member")
    peer, tally = town.enter(member, town.path / "peer")
    peer.sendall((HEADER.pack(1) + b"x") * 2)
    town.until(lambda: member.links.incoming)
    assert member.links.next_item() is not None
    peer.sendall(HEADER.pack((1 << 32) - 1))
    town.until(lambda: _is_shut_out(peer))
    assert member.links.next_item() is None
    assert tally.taken_by_peer == 1


@pytest.mark.parametrize("path", ["", "relative", "\0abstract/name", "/with\0zero"])
def test_a_member_must_say_where_it_is(town: Town, inside: tuple[Member, Member], path: str) -> None:
    """An introduction that names no path is refused, although the key is right."""
    member, _ = inside
    peer, _ = town.enter(member, path)
    town.until(lambda: _is_shut_out(peer))
    assert member.counts == {"refused: no member": 1}


@pytest.mark.parametrize("path", ["/" + "x" * 107, "/a/b/../c", "/", "/dev/null"], ids=len)
def test_a_member_at_a_path_of_nobody_harms_nobody(town: Town, inside: tuple[Member, Member], path: str) -> None:
    """Answers to a member that says it is where it is not go to it, and when it ends they are lost or fail."""
    member, _ = inside
    peer, _ = town.enter(member, path)
    peer.sendall(HEADER.pack(1) + b"x")
    town.until(lambda: member.links.incoming)
    item = member.links.next_item()
    assert item is not None and item[0] is not None
    for number in range(2):
        member.links.post(item[0].address, TransmitIntent(item[0].address, number), b"payload")
        peer.close()
        town.turn()
    town.until(lambda: member.lost + member.failed == [0, 1])


def test_another_user_is_shut_out(town: Town, inside: tuple[Member, Member], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a process of another user not a byte is read."""
    member, _ = inside
    with monkeypatch.context() as patch:
        patch.setattr(door, "peer_user", lambda _: os.getuid() + 1)
        stranger, _ = town.enter(member, town.path / "stranger")
        town.until(lambda: _is_shut_out(stranger))
    assert member.counts == {"refused: another user": 1}


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_the_kernel_says_who_connects(town: Town) -> None:
    """The user at the other end is the one who connected, or began to listen, whoever that is by now."""
    member = town.member("member")
    os.chmod(town.path, 0o711)
    os.chmod(member.path, 0o666)
    pid = os.fork()
    if pid == 0:
        try:
            os.setuid(NOBODY)
            stranger = town.knock(member)
            stranger.sendall(town.introduction(town.path / "stranger"))
            stranger.settimeout(30.0)
            os._exit(len(stranger.recv(1)))
        finally:
            os._exit(1)
    town.until(lambda: member.counts)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) in (0, 1)
    assert member.counts == {"refused: another user": 1}
    one, two = socket.socketpair()
    with one, two:
        assert peer_user(one) == peer_user(two) == os.getuid()
