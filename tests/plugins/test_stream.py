"""``StreamDecoder``: any cut gives the same frames, and a malformed frame ends the stream."""

from __future__ import annotations

import json
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterable
from importlib.resources import files
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins.plugins import wire
from nyx_plugins.plugins.errors import FrameError
from nyx_plugins.plugins.header import decode
from nyx_plugins.plugins.wire import OTHER_KINDS, FrameType, StreamDecoder, StreamFrame

CAPTURE = files("nyx_plugins") / "data" / "licences.nyxcap"
EXPECTED = files("nyx_plugins") / "data" / "licences.expected.json"

FRAME = StreamFrame(7, 9, 0x52, b"hi")
BODY = FRAME.encode()[4:]

frames = st.builds(
    StreamFrame,
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**64 - 1),
    st.integers(0, 255) | st.sampled_from(OTHER_KINDS),
    st.binary(max_size=300),
)


def prefixed(body: bytes) -> bytes:
    """Put the length before a frame."""
    return len(body).to_bytes(4, "big") + body


def read(pieces: Iterable[bytes], max_frame_bytes: int = 8 << 20) -> tuple[list[StreamFrame], tuple[str, int] | None]:
    """The frames of a stream fed in these pieces, and the error that ended it."""
    decoder, found = StreamDecoder(max_frame_bytes), []
    try:
        for piece in pieces:
            found += decoder.feed(piece)
        decoder.finish()
    except FrameError as error:
        return found, (error.what, error.offset)
    return found, None


def outcome(call: Callable[[], Any]) -> Any:
    """Return the result, or what is wrong and where."""
    try:
        return call()
    except FrameError as error:
        return error.what, error.offset


def read_strictly(body: bytes) -> StreamFrame:
    """Decode without the fast path."""
    return decode(body, wire._read_stream_frame, len(body))


def test_capture() -> None:
    """The capture holds the frames that it is said to hold, and they encode to it again."""
    raw, expected = CAPTURE.read_bytes(), json.loads(EXPECTED.read_text())
    found, error = read([raw])
    assert error is None
    assert len(found) == expected["stream_frames"] == 1874
    assert Counter(frame.is_plugin_frame for frame in found) == {
        True: expected["plugin_frames"],
        False: expected["not_plugin_frames"],
    }
    assert b"".join(frame.encode() for frame in found) == raw


@pytest.mark.parametrize("size", [1, 3, 4, 100, 4096, 65_536])
def test_capture_in_pieces(size: int) -> None:
    """The capture gives the same frames in pieces of any size."""
    raw = CAPTURE.read_bytes()[:60_000]
    assert read(raw[at : at + size] for at in range(0, len(raw), size)) == read([raw])


def test_cut_at_any_byte() -> None:
    """A stream cut at any byte boundary gives the same frames and the same error."""
    good = b"".join(StreamFrame(1, 2, kind, b"data").encode() for kind in (FrameType.DATA, "Ack", FrameType.ERROR))
    for raw in (good, good + FRAME.encode()[:-1], good + prefixed(b"\xff") + FRAME.encode(), good + b"\xff" * 9):
        whole = read([raw])
        assert whole[0] == read([good])[0]
        for cut in range(len(raw) + 1):
            assert read([raw[:cut], raw[cut:]]) == whole


@given(st.lists(frames, max_size=8), st.data())
def test_round_trip(sent: list[StreamFrame], data: st.DataObject) -> None:
    """What is encoded comes back, in order, however it is cut."""
    raw = b"".join(frame.encode() for frame in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=5)))
    pieces = [raw[start:end] for start, end in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    assert read(pieces) == (sent, None)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(
            b"\xa2gpayload\x42hi\x66header\xa3\x62ty\xa1\x66Custom\x18\x52\x63seq\x09\x69stream_id\x07",
            id="other order",
        ),
        pytest.param(
            b"\xbf\x66header\xbf\x69stream_id\x07\x63seq\x09\x62ty\xbf\x66Custom\x18\x52\xff\xffgpayload\x5f\x42hi\xff\xff",
            id="indefinite",
        ),
        pytest.param(BODY.replace(b"seq\x09", b"seq\x1b" + bytes(7) + b"\x09"), id="seq in nine bytes"),
        pytest.param(BODY.replace(b"_id\x07", b"_id\x1b" + bytes(7) + b"\x07"), id="stream_id in nine bytes"),
        pytest.param(b"\xa3\x61x\x82\x00\x80" + BODY[1:], id="unknown key"),
        pytest.param(BODY.replace(b"\xa3", b"\xa4\x61x\xa1\x00\x00"), id="unknown key in the header"),
    ],
)
def test_other_encodings_are_accepted(body: bytes) -> None:
    """What CBOR allows beyond the canonical layout gives the same frame."""
    assert read([prefixed(body)]) == ([FRAME], None)


REFUSED = {
    "empty frame": (b"", "truncated", 0),
    "no map": (b"\x80", "stream frame must be a map, found an array", 0),
    "trailing byte": (BODY + b"\x00", "1 trailing bytes", len(BODY)),
    "tagged frame": (b"\xc1" + BODY, "stream frame must be a map, found a tag", 0),
    "missing header": (b"\xa1" + BODY[-11:], "no key 'header'", 12),
    "missing payload": (b"\xa1" + BODY[1:-11], "no key 'payload'", len(BODY) - 11),
    "missing seq": (BODY.replace(b"\xa3", b"\xa2").replace(b"cseq\x09", b""), "no key 'seq'", 33),
    "duplicate payload": (b"\xa3" + BODY[1:] + BODY[-11:], "duplicate key 'payload'", len(BODY)),
    "duplicate seq": (BODY.replace(b"\xa3", b"\xa4").replace(b"cseq\x09", b"cseq\x09" * 2), "duplicate key 'seq'", 25),
    "key is no text": (b"\xa3\x00\x00" + BODY[1:], "key must be a text", 1),
    "header is no map": (b"\xa2fheader\x01" + BODY[-11:], "stream header must be a map", 8),
    "stream_id above u32": (BODY.replace(b"_id\x07", b"_id\x1b\0\0\0\x01\0\0\0\0"), "stream_id is 4294967296", 19),
    "stream_id is a bool": (BODY.replace(b"_id\x07", b"_id\xf5"), "stream_id must be an unsigned integer", 19),
    "seq is a bignum": (
        BODY.replace(b"seq\x09", b"seq\xc2\x41\x09"),
        "seq must be an unsigned integer, found a tag",
        24,
    ),
    "seq is negative": (BODY.replace(b"seq\x09", b"seq\x29"), "seq must be an unsigned integer, found a negative", 24),
    "ty unknown": (BODY.replace(b"\xa1fCustom\x18\x52", b"\x65Other"), "ty 'Other' is none of Data, Ack", 28),
    "ty is a number": (BODY.replace(b"\xa1fCustom\x18\x52", b"\x18\x52"), "ty must be a map", 28),
    "ty empty": (BODY.replace(b"\xa1fCustom\x18\x52", b"\xa0"), "ty has no key 'Custom'", 29),
    "ty ambiguous": (BODY.replace(b"\xa1fCus", b"\xa2dData\xf6fCus"), "ty has an unknown key 'Data'", 29),
    "Custom above u8": (BODY.replace(b"\x18\x52", b"\x19\x01\x52"), "Custom is 338, more than 255", 36),
    "Custom is a float": (
        BODY.replace(b"\x18\x52", b"\xf9\0\0"),
        "Custom must be an unsigned integer, found a float",
        36,
    ),
    "payload is text": (BODY[:-3] + b"\x62hi", "payload must be a byte string, found a text", len(BODY) - 3),
    "payload cut": (BODY[:-1], "payload declares 2 bytes, 1 follow", len(BODY) - 3),
    "payload longer than its frame": (BODY[:-3] + b"\x5a\xff\xff\xff\xffhi", "payload declares", len(BODY) - 3),
    "tag in an unknown value": (b"\xa3\x61x\x81\xc1\x00" + BODY[1:], "a tag is not allowed", 4),
    "nesting": (b"\xa3\x61x" + b"\x81" * 500 + b"\x00" + BODY[1:], "more than 16 nested", 19),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusal(name: str) -> None:
    """A malformed frame is refused with its reason and its offset in the stream; the frames before it are not lost."""
    body, what, offset = REFUSED[name]
    found, error = read([FRAME.encode() + prefixed(body) + FRAME.encode()])
    assert found == [FRAME]
    assert error is not None
    assert what in error[0]
    assert error[1] == len(BODY) + 8 + offset


def test_a_failed_decoder_stays_failed() -> None:
    """After an error every call raises the same error."""
    decoder = StreamDecoder()
    with pytest.raises(FrameError) as first:
        decoder.feed(prefixed(b"\xff"))
    for call in (lambda: decoder.feed(FRAME.encode()), lambda: decoder.feed(b""), decoder.finish):
        with pytest.raises(FrameError) as later:
            call()
        assert (later.value.what, later.value.offset) == (first.value.what, first.value.offset)


def test_frames_before_a_malformed_one_come_first() -> None:
    """The call that meets a malformed frame returns those before it; the next call raises."""
    decoder = StreamDecoder()
    assert decoder.feed(FRAME.encode() + prefixed(b"\xff")) == [FRAME]
    with pytest.raises(FrameError, match="0xff begins no CBOR item"):
        decoder.finish()


@pytest.mark.parametrize("size", [1, 3, 4, 5, len(BODY) + 3])
def test_a_partial_frame_at_the_end_is_refused(size: int) -> None:
    """A stream that ends within a frame is malformed."""
    decoder = StreamDecoder()
    decoder.feed(FRAME.encode()[:size])
    with pytest.raises(FrameError, match=f"the stream ends within a frame: {size} of at least"):
        decoder.finish()


def test_an_empty_stream_is_fine() -> None:
    """No frame at all is a complete stream."""
    assert read([]) == read([b"", b""]) == ([], None)


def test_max_frame_bytes_is_inclusive() -> None:
    """A frame of exactly the limit passes; one byte more is refused as soon as its length is known."""
    overhead = len(StreamFrame(1, 1, 0x52, bytes(900)).encode()) - 4 - 900
    fits, too_long = (StreamFrame(1, 1, 0x52, bytes(1024 - overhead + more)).encode() for more in (0, 1))
    assert read([fits], 1024)[1] is None
    what = "stream frame of 1025 bytes, more than the 1024 allowed"
    assert read([fits + too_long[:4]], 1024)[1] == (what, len(fits))


@pytest.mark.parametrize("limit", [0, 1023, 64 * 1024 * 1024 + 1])
def test_max_frame_bytes_has_a_range(limit: int) -> None:
    """A limit that makes no sense is a ValueError."""
    with pytest.raises(ValueError, match="expected 1024 to 67108864"):
        StreamDecoder(limit)


@given(st.lists(st.binary(max_size=60), max_size=4))
def test_arbitrary_bytes_decode_or_raise_frame_error(pieces: list[bytes]) -> None:
    """No stream raises anything but FrameError, and its pieces don't matter."""
    assert read(pieces) == read([b"".join(pieces)])
    read([prefixed(b"".join(pieces))])


@given(frames, st.data())
def test_mutated_frames(frame: StreamFrame, data: st.DataObject) -> None:
    """A mutated frame gives the same on the fast and the strict path, and what is accepted is what cbor2 reads."""
    raw = bytearray(frame.encode()[4:])
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(raw)))
        raw[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
    body = bytes(raw)
    found, error = read([prefixed(body)])
    strict = outcome(lambda: read_strictly(body))
    if error is None:
        decoded = cbor2.loads(body)
        header, kind = decoded["header"], decoded["header"]["ty"]
        kind = kind if isinstance(kind, str) else kind["Custom"]
        assert found == [strict] == [StreamFrame(header["stream_id"], header["seq"], kind, decoded["payload"])]
    else:
        assert (error[0], error[1] - 4) == strict


@pytest.mark.parametrize(
    "frame", [FRAME, StreamFrame(2**32 - 1, 2**64 - 1, 3, bytes(24)), StreamFrame(300, 2**20, 255, bytes(300))]
)
def test_fast_path_agrees_with_strict_path(frame: StreamFrame) -> None:
    """With any head byte replaced by any other, and cut anywhere, both paths give the same frame or error."""
    body = frame.encode()[4:]
    variants = [body[:at] for at in range(len(body))]
    variants += [body[:at] + bytes((byte,)) + body[at + 1 :] for at in range(min(len(body), 70)) for byte in range(256)]
    for variant in variants:
        fast = wire._read_canonical(variant)
        assert fast is None or fast == read_strictly(variant)


def peak_of(call: Callable[[], Any]) -> int:
    """Return the most memory that the call held, in bytes."""
    tracemalloc.start()
    try:
        outcome(call)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(prefixed(b"\xa3\x61x" + b"\x81" * 8_000), id="nesting"),
        pytest.param(prefixed(b"\xa3\x61x\x9f" + b"\x80" * 8_000 + b"\xff"), id="empty arrays"),
        pytest.param(prefixed(BODY[:-3] + b"\x5f" + b"\x41x" * 4_000 + b"\xff"), id="chunks"),
        pytest.param(prefixed(BODY[:-3] + b"\x5b\x7f" + bytes(8_000)), id="length of 2^62"),
        pytest.param(StreamFrame(0, 0, 0, b"").encode() * 100, id="small frames"),
    ],
)
def test_memory_is_bounded(raw: bytes) -> None:
    """A hostile stream costs at most 100 times its size in memory."""
    assert peak_of(lambda: StreamDecoder().feed(raw)) <= 100 * len(raw)


def test_a_declared_length_reserves_nothing() -> None:
    """A length prefix alone costs nothing, however much it declares."""
    assert peak_of(lambda: StreamDecoder().feed((8 << 20).to_bytes(4, "big"))) < 4096


def test_a_failed_decoder_keeps_nothing() -> None:
    """What a failed decoder was fed, before and after its failure, is not kept."""
    decoder = StreamDecoder()
    tracemalloc.start()
    try:
        for _ in range(3):
            outcome(lambda: decoder.feed(prefixed(b"\xff") + bytes(1 << 20)))
        assert tracemalloc.get_traced_memory()[0] < 16_384
    finally:
        tracemalloc.stop()
