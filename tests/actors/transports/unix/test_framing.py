"""Introductions and frames: what is read is what was written, and whatever else comes is refused."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins.actors.transports.unix.framing import (
    HEADER,
    HEADER_BYTES,
    INTRODUCTION_BYTES,
    LARGE_BYTES,
    MAGIC,
    FrameReader,
    FramingError,
    introduce,
    read_introduction,
)

KEY = bytes(range(32))
PATHS = (
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=106)
    .map("/{}".format)
    .filter(lambda path: len(path.encode()) <= 107)
)


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _stream(payloads: list[bytes]) -> bytes:
    return b"".join(HEADER.pack(len(payload)) + payload for payload in payloads)


def _pass_through(reader: FrameReader, stream: bytes, pieces: list[int]) -> list[bytes]:
    """Give the reader a stream in pieces of these sizes, over and over, as a connection does."""
    payloads: list[bytes | bytearray] = []
    rest = memoryview(stream)
    for size in itertools.cycle(pieces):
        if not rest:
            break
        place = reader.wants()
        if place is None:
            payloads += reader.feed(rest[:size])
            rest = rest[size:]
        else:
            count = min(size, len(place), len(rest))
            place[:count] = rest[:count]
            place.release()
            payload = reader.filled(count)
            payloads += [] if payload is None else [payload]
            rest = rest[count:]
    return [bytes(payload) for payload in payloads]


@given(st.binary(min_size=32, max_size=32), PATHS)
def test_an_introduction_names_the_path(key: bytes, path: str) -> None:
    """Whoever has the key reads the path that was written, and every introduction has the same length."""
    data = introduce(key, path)
    assert len(data) == INTRODUCTION_BYTES
    assert read_introduction(data, key) == path


def test_another_protocol_is_refused() -> None:
    """An introduction with another magic is refused, although the key is right."""
    with pytest.raises(FramingError, match="does not speak this protocol"):
        read_introduction(b"ThespUx0" + introduce(KEY, "/s")[len(MAGIC) :], KEY)


@pytest.mark.parametrize("wrong", [bytes(32), KEY[:31] + b"\xff", b"\xff" + KEY[1:]], ids=["empty", "last", "first"])
def test_a_wrong_key_is_refused(wrong: bytes) -> None:
    """An introduction with another key is refused, however little it differs."""
    with pytest.raises(FramingError, match="does not know the key"):
        read_introduction(introduce(wrong, "/s"), KEY)


@pytest.mark.parametrize("known", [b"", KEY[:16]], ids=["missing", "half"])
def test_nobody_has_a_key_that_is_not_whole(known: bytes) -> None:
    """Where the key is missing or cut short, everybody is refused, also those who show as much of it padded."""
    with pytest.raises(FramingError, match="does not know the key"):
        read_introduction(introduce(known, "/s"), known)


def test_an_address_that_is_no_text_is_refused() -> None:
    """An introduction whose path can't be decoded is refused."""
    data = introduce(KEY, "/s")[:40] + b"/\xff\xfe".ljust(108, b"\0")
    with pytest.raises(FramingError, match="address is no text"):
        read_introduction(data, KEY)


@given(st.binary(min_size=INTRODUCTION_BYTES, max_size=INTRODUCTION_BYTES))
def test_noise_is_refused(data: bytes) -> None:
    """Random bytes of the right length are refused as what no peer sends."""
    with pytest.raises(FramingError):
        read_introduction(data, KEY)


@pytest.mark.parametrize("path", ["", "relative/path", "\0abstract", "/with\0zero"])
def test_an_address_that_is_no_path_is_refused(path: str) -> None:
    """An introduction that does not name the absolute path of a socket is refused."""
    with pytest.raises(FramingError, match="not the absolute path of a socket"):
        read_introduction(introduce(KEY, path), KEY)


@given(st.binary(max_size=108).map(lambda path: path.ljust(108, b"\0")), st.booleans())
def test_any_address_is_a_path_or_refused(path: bytes, is_absolute: bool) -> None:
    """Whatever a peer with the key says its address is, the answer is an absolute path or a refusal."""
    try:
        found = read_introduction(MAGIC + KEY + (b"/" + path[1:] if is_absolute else path), KEY)
    except FramingError as error:
        assert "its address is" in str(error)
    else:
        assert found.startswith("/") and "\0" not in found


@given(st.lists(st.binary(max_size=40)), st.lists(st.integers(1, 60), min_size=1))
def test_cuts_do_not_matter(payloads: list[bytes], pieces: list[int]) -> None:
    """The payloads of a stream come whole and in order, wherever it is cut."""
    assert _pass_through(FrameReader(40), _stream(payloads), pieces) == payloads


@given(
    st.lists(st.sampled_from([0, 1, 5, LARGE_BYTES - 1, LARGE_BYTES, LARGE_BYTES + 1, 3 * LARGE_BYTES]), max_size=6),
    st.lists(st.integers(1000, 4 * LARGE_BYTES), min_size=1, max_size=8),
)
def test_large_ones_are_filled_in_place(sizes: list[int], pieces: list[int]) -> None:
    """Large payloads come whole and in order between small ones, with their rests put where the reader wants them."""
    payloads = [bytes([index]) * size for index, size in enumerate(sizes)]
    assert _pass_through(FrameReader(3 * LARGE_BYTES), _stream(payloads), pieces) == payloads


def test_only_large_rests_have_a_place() -> None:
    """A place is offered for a large rest only, and never for more than the rest."""
    reader = FrameReader(4 * LARGE_BYTES)
    assert reader.wants() is None
    reader.feed(memoryview(HEADER.pack(2 * LARGE_BYTES)))
    place = reader.wants()
    assert place is not None and 0 < len(place) <= 2 * LARGE_BYTES
    place.release()
    assert reader.filled(1) is None
    reader.feed(memoryview(bytes(LARGE_BYTES)))
    assert reader.wants() is None
    assert reader.feed(memoryview(bytes(LARGE_BYTES - 1))) == [bytes(2 * LARGE_BYTES)]


def test_a_place_grows_with_what_has_come() -> None:
    """No more room is made for a message than has come of it already, or a small one takes."""
    size, come, payload = 1 << 24, 0, None
    reader = FrameReader(size)
    reader.feed(memoryview(HEADER.pack(size)))
    while payload is None:
        place = reader.wants()
        assert place is not None
        count = len(place)
        place.release()
        assert count <= max(come, LARGE_BYTES)
        come += count
        payload = reader.filled(count)
    assert len(payload) == come == size


def test_a_message_at_the_limit_comes_and_one_above_is_refused() -> None:
    """The limit itself is allowed, a byte more is refused with both numbers, before any of it has come."""
    reader = FrameReader(2000)
    assert reader.feed(memoryview(_stream([bytes(2000)]))) == [bytes(2000)]
    with pytest.raises(FramingError, match=r"2,001 bytes is above the limit of 2,000"):
        reader.feed(memoryview(HEADER.pack(2001)))


@given(st.integers(6, (1 << 32) - 2), st.integers(0, 1 << 31), st.integers(0, HEADER_BYTES - 1))
def test_a_length_above_the_limit_is_refused_in_any_pieces(limit: int, excess: int, cut: int) -> None:
    """A length above the limit is refused as soon as it is whole, behind other messages too."""
    reader, size = FrameReader(limit), min(limit + 1 + excess, (1 << 32) - 1)
    header = memoryview(HEADER.pack(size))
    assert reader.feed(memoryview(_stream([b"before"]) + header[:cut])) == [b"before"]
    with pytest.raises(FramingError):
        reader.feed(header[cut:])


def test_announcing_much_takes_no_memory() -> None:
    """A peer that only announces a large message does not make this process grow."""
    reader, before = FrameReader(1 << 28), _resident_bytes()
    reader.feed(memoryview(HEADER.pack(1 << 28)))
    assert _resident_bytes() - before < 1 << 26
