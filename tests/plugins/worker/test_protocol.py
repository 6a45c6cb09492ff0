"""The stream between a plugin actor and its worker: framing and strictness."""

from __future__ import annotations

import itertools
import tracemalloc
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins.config.errors import NyxPluginError
from nyx_plugins.plugins.worker import protocol
from nyx_plugins.plugins.worker.protocol import MessageReader, ProtocolError, clip, describe, encode

KNOWN_TAGS = [0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43000, 55799]

fields = st.one_of(st.none(), st.integers(0, 2**64 - 1), st.binary(max_size=40), st.text("xé€", max_size=40))
messages = st.lists(st.one_of(fields, st.lists(fields, max_size=4)), min_size=1, max_size=6)


def framed(body: bytes) -> bytes:
    """Put a length before ``body``."""
    return len(body).to_bytes(4, "big") + body


def test_the_documented_example() -> None:
    """STOP is the six bytes that the module's documentation names."""
    assert encode([protocol.STOP]) == bytes.fromhex("00 00 00 02 81 03")


@given(st.lists(messages, max_size=5), st.integers(1, 50))
def test_messages_survive_however_the_stream_is_cut(sent: list[list[Any]], size: int) -> None:
    """The reader returns what was encoded, in order, whatever pieces the stream comes in."""
    stream = b"".join(map(encode, sent))
    reader = MessageReader(10_000)
    pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
    assert [message for piece in pieces for message in reader.feed(piece)] == sent


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(noise: bytes) -> None:
    """Whatever a hostile worker sends, the reader raises nothing but ProtocolError."""
    for stream in (noise, framed(noise)):
        try:
            read = MessageReader(1_000).feed(stream)
        except ProtocolError:
            continue
        assert all(isinstance(message, list) for message in read)


@pytest.mark.parametrize("tag", [*KNOWN_TAGS, 6, 24, 32, 263, 65535, 2**64 - 1])
@pytest.mark.parametrize("value", [0, "a", b"\x01", [0, 1], {}])
def test_tags_are_refused(tag: int, value: object) -> None:
    """A tag is refused wherever it is, whether cbor2 knows it or not."""
    stream = framed(cbor2.dumps([1, cbor2.CBORTag(tag, value)]))
    with pytest.raises(ProtocolError):
        MessageReader().feed(stream)


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"", "message of 0 bytes"),
        (b"\x80", "not an array with a kind"),
        (b"\xa0", "message is dict"),
        (b"\x01", "message is int"),
        (b"\x81\x03\x00", "1 bytes follow the message"),
        (b"\x82\x03", "not the CBOR expected"),
        (b"\x9f\x03\xff", "not the CBOR expected"),
        (b"\x81\x5b\x7f\xff\xff\xff\xff\xff\xff\xff", "not the CBOR expected"),
        (b"\x81" * 20 + b"\x00", "not the CBOR expected"),
        (b"\x81\x61\xff", "not the CBOR expected"),
    ],
)
def test_malformed_messages_are_refused(body: bytes, what: str) -> None:
    """A message that is no single definite array, or is nested too deep, is refused with its fault."""
    with pytest.raises(ProtocolError, match=what):
        MessageReader(1_000).feed(framed(body))


def test_a_length_beyond_the_limit_is_refused_before_the_body_comes() -> None:
    """The reader does not wait for, or hold, a message of more than the limit."""
    reader = MessageReader(1_000)
    assert reader.feed(framed(encode([1])[4:])) == [[1]]
    with pytest.raises(ProtocolError, match=r"message of 1,001 bytes: the limit is 1,000"):
        reader.feed((1_001).to_bytes(4, "big"))


@pytest.mark.parametrize("item", [b"\x80", b"\xf6", b"\x60", b"\xf9\0\0", b"\x82\x60\x60"])
def test_a_message_of_many_items_is_refused_before_it_is_decoded(item: bytes) -> None:
    """Bytes that would become many small objects are refused, and cost hardly more memory than they are."""
    body = b"\x83\x0d\0\x9a" + (200_000).to_bytes(4, "big") + item * 200_000
    reader = MessageReader(1_000_000, max_items=protocol.max_items(100))
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError, match=r"message of more than 4,100 items"):
            reader.feed(framed(body))
        assert tracemalloc.get_traced_memory()[1] < 4 * len(body) + 65_536
    finally:
        tracemalloc.stop()


def test_keys_that_collide_are_refused_before_they_are_compared() -> None:
    """A map is refused where items are counted: of 60,000 keys with one hash each would be compared with all others."""
    keys = itertools.islice(itertools.product(b"\x20\x21", repeat=16), 60_000)
    body = b"\x82\x0d\xba" + (60_000).to_bytes(4, "big") + b"".join(b"\x90" + bytes(key) + b"\0" for key in keys)
    with pytest.raises(ProtocolError, match="message holds a map"):
        MessageReader(2_000_000, max_items=protocol.max_items(100)).feed(framed(body))


def test_as_many_items_as_an_honest_worker_sends_are_read() -> None:
    """The limit lets the fullest DONE and the fullest EMIT pass, and nothing in front of a string's end is an item."""
    done = [protocol.DONE, 0, [["E", "x" * 300]] * 2_000]
    emit = [protocol.EMIT, [[0x52, 255, b"\xa0" * 300]] * protocol.MAX_ITEMS]
    assert MessageReader(max_items=protocol.max_items(2_000)).feed(encode(done)) == [done]
    assert MessageReader(max_items=protocol.max_items(1)).feed(encode(emit)) == [emit]


def test_the_largest_message_is_read() -> None:
    """A message of exactly the limit passes."""
    message = [1, b"x" * 993]
    assert MessageReader(998).feed(encode(message)) == [message]


def test_a_failed_reader_stays_failed() -> None:
    """After an error every call raises the same error, even for good bytes."""
    reader = MessageReader(1_000)
    for data in (b"\xff\xff\xff\xff", encode([1])):
        with pytest.raises(ProtocolError, match="message of 4,294,967,295 bytes"):
            reader.feed(data)


def test_what_cbor_cannot_hold_is_a_protocol_error() -> None:
    """encode() raises only this project's error."""
    with pytest.raises(NyxPluginError, match="can't be encoded"):
        encode([1, object()])


@given(st.text("aé€\U0001f600\ud83d\udc80", max_size=50), st.integers(0, 20))
def test_clipped_text_is_short_enough_and_can_be_sent(text: str, limit: int) -> None:
    """clip() keeps to the limit and leaves nothing that UTF-8 can't hold, and keeps what was fine."""
    clipped = clip(text, limit)
    assert len(clipped) <= limit
    assert clipped.encode().decode() == clipped
    assert clip(clipped, limit) == clipped


def test_lone_surrogates_are_replaced() -> None:
    """A text with half a surrogate pair, which UTF-8 can't hold, is still sent."""
    assert clip("a\udc80b") == "a?b"


class Mute(Exception):
    """An exception whose text can't be had."""

    def __str__(self) -> str:
        raise RuntimeError


class Leaving(Exception):
    """Its text ends a program."""

    def __str__(self) -> str:
        raise KeyboardInterrupt


class OddText(str):
    """Text that is something else when it is cut."""

    __slots__ = ()

    def __getitem__(self, place: object) -> str:
        raise SystemExit


def test_exceptions_are_described_whatever_they_do() -> None:
    """describe() gives type and text, cut, even if asking for the text raises."""
    assert describe(ValueError("bad")) == ["ValueError", "bad"]
    assert describe(Mute()) == ["Mute", "(its text can't be had: RuntimeError)"]
    assert describe(Leaving()) == ["Leaving", "(its text can't be had: KeyboardInterrupt)"]
    assert describe(ValueError(OddText("odd"))) == ["ValueError", "odd"]
    assert len(describe(ValueError("x" * 5_000))[1]) == protocol.MAX_ERROR_CHARS
    assert len(describe(type("N" * 500, (Exception,), {})())[0]) == protocol.MAX_ERROR_TYPE_CHARS
