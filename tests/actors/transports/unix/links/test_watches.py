"""Descriptors that an actor watches are reported once for each time that they are named, and disturb nothing."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nyx_plugins.actors.transports.unix.framing import INTRODUCTION_BYTES

if TYPE_CHECKING:
    from .conftest import Member, Town


@pytest.fixture
def member(town: Town) -> Member:
    """Return a member that watches something."""
    return town.member("member")


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Return the reading and the writing end of a pipe."""
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def _closed() -> int:
    """Return a number that was a descriptor's."""
    with open(os.devnull) as file:
        return file.fileno()


def _reported(member: Member) -> list[int]:
    member.links.poll(0.0)
    reported, member.links.ready_watches = member.links.ready_watches, []
    return reported


def test_what_can_be_read_is_reported_once(member: Member, pipe: tuple[int, int]) -> None:
    """A descriptor is reported when it can be read, and not again until it is watched anew."""
    reading, writing = pipe
    member.links.watch([reading])
    assert _reported(member) == []
    os.write(writing, b"x")
    assert _reported(member) == [reading]
    assert _reported(member) == []
    member.links.watch([reading])
    assert _reported(member) == [reading]
    os.read(reading, 1)
    member.links.watch([reading])
    assert _reported(member) == []


def test_a_wait_ends_for_it(member: Member, pipe: tuple[int, int]) -> None:
    """A wait without a limit ends when a watched descriptor can be read, or the other end is closed."""
    reading, writing = pipe
    member.links.watch([reading])
    os.write(writing, b"x")
    member.links.poll(None)
    assert member.links.ready_watches == [reading]
    one, two = socket.socketpair()
    with one:
        member.links.watch([one.fileno()])
        two.close()
        member.links.poll(None)
        assert member.links.ready_watches == [reading, one.fileno()]


def test_only_what_was_named_last_is_watched(member: Member, pipe: tuple[int, int]) -> None:
    """Naming others ends the watch of those before, and naming none ends all."""
    reading, writing = pipe
    other, _ = others = os.pipe()
    os.write(writing, b"x")
    os.write(others[1], b"x")
    member.links.watch([reading, other, reading])
    member.links.watch([other])
    assert _reported(member) == [other]
    member.links.watch([reading, other])
    assert sorted(_reported(member)) == sorted([reading, other])
    member.links.watch([reading])
    member.links.watch([])
    assert _reported(member) == []
    for fd in others:
        os.close(fd)


@pytest.mark.parametrize("is_told", [True, False])
def test_a_number_may_come_to_mean_another_file(member: Member, pipe: tuple[int, int], is_told: bool) -> None:
    """A descriptor that was closed, and its number given to another file, is watched as that when it is named again."""
    reading, writing = pipe
    one, two = socket.socketpair()
    number = one.fileno()
    member.links.watch([number])
    one.close()
    if is_told:
        member.links.watch([])
    os.dup2(reading, number)
    member.links.watch([number])
    assert _reported(member) == []
    os.write(writing, b"x")
    assert _reported(member) == [number]
    os.close(number)
    two.close()


def test_a_copy_of_what_was_closed_is_not_reported_for_ever(member: Member, pipe: tuple[int, int]) -> None:
    """A file that somebody else keeps open is reported at most once after its number was closed here."""
    reading, writing = pipe
    number = os.dup(reading)
    member.links.watch([number])
    os.close(number)
    os.write(writing, b"x")
    assert _reported(member) in ([], [number])
    assert _reported(member) == []
    member.links.watch([])
    assert _reported(member) == []


@pytest.mark.parametrize("kind", ["file", "closed", "negative", "impossible"])
def test_what_can_not_be_watched_is_left_out(member: Member, pipe: tuple[int, int], tmp_path: Path, kind: str) -> None:
    """A descriptor that is none, or none that can be waited for, is ignored; the others are watched."""
    reading, writing = pipe
    os.write(writing, b"x")
    with (tmp_path / "file").open("w") as file:
        bad = {"file": file.fileno(), "negative": -1, "impossible": 1 << 40, "closed": _closed()}[kind]
        member.links.watch([bad, reading])
        assert _reported(member) == [reading]
        member.links.watch([bad])
        assert _reported(member) == []
        member.links.watch([])


def test_a_connection_may_get_the_number_of_what_was_watched(town: Town, member: Member) -> None:
    """An actor closes what it has watched and sends a message; the connection gets the number, and works."""
    other = town.member("other")
    one, two = socket.socketpair()
    number = one.fileno()
    with two:
        member.links.watch([number])
        one.close()
        member.post(other, "question")
        assert number in member.links.descriptors()
        member.links.watch([])
        town.until(other.take)
        other.post(member, "answer")
        town.until(member.take)
    assert member.taken == ["answer"]


def test_a_stranger_may_get_the_number_of_what_was_watched(town: Town, member: Member) -> None:
    """Whoever comes in after what was watched was closed is met, and not taken for what was watched."""
    one, two = socket.socketpair()
    number = one.fileno()
    with two:
        member.links.watch([number])
        peer = town.knock(member)
        one.close()
        assert _reported(member) == []
        assert number in member.links.descriptors()
        peer.sendall(bytes(INTRODUCTION_BYTES))
        assert _reported(member) == []
    assert member.counts == {"refused: no member": 1}


def test_our_own_descriptors_can_not_be_watched(town: Town, member: Member) -> None:
    """An actor that goes on naming a number which has become a connection's does not disturb the connection."""
    other = town.member("other")
    other.post(member, 0)
    town.until(member.take)
    for wanted in (member.links.descriptors(), []):
        member.links.watch(wanted)
        for _ in range(2):
            other.post(member, "again")
            town.until(member.take)
    town.member("new").post(member, "new")
    town.until(member.take)
    assert member.taken == [0, "again", "again", "again", "again", "new"]
    assert member.links.ready_watches == []
