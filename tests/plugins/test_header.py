"""``split_header``: the fast path, the strict one behind it, and every refusal."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cbor2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nyx_plugins.plugins.errors import FrameError
from nyx_plugins.plugins.header import (
    MAX_HEADER_BYTES,
    MAX_ITEMS,
    MAX_NESTING,
    CborReader,
    decode,
    encode_head,
    read_header,
    split_header,
)

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "vectors.json").read_text())

ID, FLAGS, DATA = b"\x62id", b"\x65flags", b"\x64data"
PLAIN = b"\xa3" + ID + b"\x01" + FLAGS + b"\x00" + DATA + b"\x42hi"

headers = st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 255), st.binary(max_size=300))


def split_strictly(raw: bytes) -> tuple[int, int, bytes]:
    """Decode without the fast path."""
    return decode(raw, read_header, MAX_HEADER_BYTES)


def outcome(call: Callable[[bytes], Any], raw: bytes) -> Any:
    """Return the result, or what is wrong and where."""
    try:
        return call(raw)
    except FrameError as error:
        return error.what, error.offset


def canonical(header: tuple[int, int, bytes]) -> bytes:
    """Encode with cbor2, as the reference does."""
    return cbor2.dumps(dict(zip(("id", "flags", "data"), header, strict=True)))


def with_extra(value: bytes) -> bytes:
    """A header with an unknown key ``x`` of this value before the rest."""
    return b"\xa4\x61x" + value + PLAIN[1:]


@pytest.mark.parametrize("vector", VECTORS["headers_valid"], ids=lambda vector: vector["name"])
def test_valid_vector(vector: dict[str, Any]) -> None:
    """Each valid vector splits into its parts, on both paths."""
    raw = bytes.fromhex(vector["hex"])
    parts = vector["id"], vector["flags"], bytes.fromhex(vector["data"])
    assert split_header(raw) == split_strictly(raw) == parts


@pytest.mark.parametrize("vector", VECTORS["headers_invalid"], ids=lambda vector: vector["name"])
def test_invalid_vector(vector: dict[str, Any]) -> None:
    """Each invalid vector is refused."""
    with pytest.raises(FrameError):
        split_header(bytes.fromhex(vector["hex"]))


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"\xa3" + DATA + b"\x42hi" + ID + b"\x01" + FLAGS + b"\x00", id="other order"),
        pytest.param(b"\xbf" + PLAIN[1:] + b"\xff", id="indefinite map"),
        pytest.param(b"\xb8\x03" + PLAIN[1:], id="count in two bytes"),
        pytest.param(PLAIN[:-3] + b"\x5f\x41h\x40\x41i\xff", id="data in chunks"),
        pytest.param(PLAIN.replace(b"id\x01", b"id\x18\x01"), id="id in two bytes"),
        pytest.param(PLAIN.replace(b"id\x01", b"id\x1b\0\0\0\0\0\0\0\x01"), id="id in nine bytes"),
        pytest.param(PLAIN.replace(b"flags\x00", b"flags\x18\x00"), id="flags in two bytes"),
        pytest.param(PLAIN.replace(b"flags\x00", b"flags\x19\0\0"), id="flags in three bytes"),
        pytest.param(PLAIN[:-3] + b"\x58\x02hi", id="data with its length in two bytes"),
        pytest.param(PLAIN[:-3] + b"\x5b\0\0\0\0\0\0\0\x02hi", id="data with its length in nine bytes"),
        pytest.param(PLAIN.replace(ID, b"\x78\x02id"), id="key with its length in two bytes"),
        pytest.param(PLAIN.replace(ID, b"\x7f\x61i\x61d\xff"), id="key in chunks"),
    ],
)
def test_other_encodings_are_accepted(raw: bytes) -> None:
    """What CBOR allows beyond the canonical layout gives the same parts."""
    assert split_header(raw) == (1, 0, b"hi")


@pytest.mark.parametrize(
    "value",
    [
        *(b"\x00", b"\x20", b"\x3b" + b"\xff" * 8, b"\x40", b"\x60", b"\x80", b"\xa0", b"\x9f\xff", b"\xbf\xff"),
        *(b"\x5f\xff", b"\x7f\x62hi\xff", b"\x83\x01\x82\x02\x03\x40", b"\xa1\x01\xa1\x40\xf4"),
        *(b"\x9f\x01\xbf\x61a\x80\xff\xff", b"\xf4", b"\xf5", b"\xf6", b"\xf7", b"\xe0", b"\xf8\x20"),
        *(b"\xf9\0\0", b"\xfa\0\0\0\0", b"\xfb" + bytes(8), b"\x81" * MAX_NESTING + b"\x00"),
    ],
    ids=bytes.hex,
)
def test_unknown_keys_are_ignored(value: bytes) -> None:
    """An unknown text key is ignored with any well-formed untagged value."""
    assert split_header(with_extra(value)) == (1, 0, b"hi")


REFUSED = {
    "empty input": (b"", "truncated", 0),
    "no map": (b"\x83\x01\x02\x40", "header must be a map, found an array", 0),
    "text": (b"not cbor", "header must be a map, found a text", 0),
    "break": (b"\xff\x00\x10", "0xff begins no CBOR item", 0),
    "reserved length": (PLAIN.replace(b"id\x01", b"id\x1c"), "0x1c begins no CBOR item", 4),
    "indefinite integer": (PLAIN.replace(b"id\x01", b"id\x1f"), "0x1f begins no CBOR item", 4),
    "trailing byte": (PLAIN + b"\x00", "1 trailing bytes", len(PLAIN)),
    "second item": (PLAIN + PLAIN, f"{len(PLAIN)} trailing bytes", len(PLAIN)),
    "duplicate id": (b"\xa4" + ID + b"\x01" + PLAIN[1:], "duplicate key 'id'", 5),
    "duplicate unknown key": (b"\xa5\x61x\x00\x61x\x00" + PLAIN[1:], "duplicate key 'x'", 4),
    "duplicate key, encoded otherwise": (b"\xa4\x78\x02id\x01" + PLAIN[1:], "duplicate key 'id'", 6),
    "missing id": (b"\xa2" + PLAIN[5:], "no key 'id'", len(PLAIN) - 4),
    "missing flags": (b"\xa2" + ID + b"\x01" + DATA + b"\x40", "no key 'flags'", 11),
    "missing data": (b"\xa2" + ID + b"\x01" + FLAGS + b"\x00", "no key 'data'", 12),
    "empty map": (b"\xa0", "no key 'id'", 1),
    "key is an integer": (b"\xa4\x01\x00" + PLAIN[1:], "key must be a text, found an unsigned integer", 1),
    "key is bytes": (PLAIN.replace(ID, b"\x42id"), "key must be a text, found a byte string", 1),
    "key is null": (b"\xa4\xf6\x00" + PLAIN[1:], "key must be a text, found null", 1),
    "key is tagged": (b"\xa3\xc1" + PLAIN[1:], "key must be a text, found a tag", 1),
    "key is not UTF-8": (b"\xa4\x61\xff\x00" + PLAIN[1:], "key is not UTF-8", 1),
    "tagged header": (b"\xd9\xd9\xf7" + PLAIN, "header must be a map, found a tag", 0),
    "tagged id": (PLAIN.replace(b"id\x01", b"id\xc1\x01"), "id must be an unsigned integer, found a tag", 4),
    "tagged data": (PLAIN[:-3] + b"\xd8\x18\x42hi", "data must be a byte string, found a tag", 17),
    "tagged chunk": (PLAIN[:-3] + b"\x5f\xc2\x41h\xff", "data must be a byte string, found a tag", 18),
    "tagged value of an unknown key": (with_extra(b"\xc1\x00"), "a tag is not allowed", 3),
    "tag inside an unknown value": (with_extra(b"\x81\xa1\x01\xc0\x60"), "a tag is not allowed", 6),
    "tagged key inside an unknown value": (with_extra(b"\xa1\xc2\x41a\x00"), "a tag is not allowed", 4),
    "shared reference": (with_extra(b"\xd8\x1c\x81\xd8\x1d\x00"), "a tag is not allowed", 3),
    "id is a bool": (PLAIN.replace(b"id\x01", b"id\xf5"), "id must be an unsigned integer, found a bool", 4),
    "id is a float": (PLAIN.replace(b"id\x01", b"id\xf9\x3c\0"), "id must be an unsigned integer, found a float", 4),
    "id is a bignum": (PLAIN.replace(b"id\x01", b"id\xc2\x41\x01"), "id must be an unsigned integer, found a tag", 4),
    "id is negative": (PLAIN.replace(b"id\x01", b"id\x20"), "id must be an unsigned integer, found a negative", 4),
    "id is null": (PLAIN.replace(b"id\x01", b"id\xf6"), "id must be an unsigned integer, found null", 4),
    "id is undefined": (PLAIN.replace(b"id\x01", b"id\xf7"), "id must be an unsigned integer, found a simple value", 4),
    "id is text": (PLAIN.replace(b"id\x01", b"id\x611"), "id must be an unsigned integer, found a text", 4),
    "id above u32": (PLAIN.replace(b"id\x01", b"id\x1b\0\0\0\x01\0\0\0\0"), "id is 4294967296, more than", 4),
    "flags is a bool": (
        PLAIN.replace(b"flags\x00", b"flags\xf4"),
        "flags must be an unsigned integer, found a bool",
        11,
    ),
    "flags above u8": (PLAIN.replace(b"flags\x00", b"flags\x19\x01\x00"), "flags is 256, more than 255", 11),
    "data is an array": (PLAIN[:-3] + b"\x82\x01\x02", "data must be a byte string, found an array", 17),
    "data is text": (PLAIN[:-3] + b"\x62hi", "data must be a byte string, found a text", 17),
    "data cut": (PLAIN[:-1], "data declares 2 bytes, 1 follow", 17),
    "data of 2^64 - 1 bytes": (PLAIN[:-3] + b"\x5b" + b"\xff" * 8, "data declares 18446744073709551615 bytes", 17),
    "chunk of text": (PLAIN[:-3] + b"\x5f\x61h\xff", "data must be a byte string, found a text", 18),
    "chunk without a length": (PLAIN[:-3] + b"\x5f\x5f\xff\xff", "data has a chunk without a length", 18),
    "chunks without an end": (PLAIN[:-3] + b"\x5f\x41h", "truncated", 20),
    "map of 2^64 - 1 entries": (b"\xbb" + b"\xff" * 8 + PLAIN[1:], "header declares 18446744073709551615 entries", 0),
    "map of more entries than there are": (b"\xa4" + PLAIN[1:], "truncated", len(PLAIN)),
    "map without an end": (b"\xbf" + PLAIN[1:], "truncated", len(PLAIN)),
    "break instead of a value": (b"\xbf" + PLAIN[1:] + b"\x61x\xff", "0xff begins no CBOR item", len(PLAIN) + 2),
    "break in a definite array": (with_extra(b"\x81\xff"), "0xff begins no CBOR item", 4),
    "odd indefinite map": (with_extra(b"\xbf\x01\xff"), "0xff begins no CBOR item", 5),
    "array of 2^63 items": (with_extra(b"\x9b\x80" + bytes(7)), "value declares 9223372036854775808 entries", 3),
    "unknown text is not UTF-8": (with_extra(b"\x62\xc3\x28"), "value is not UTF-8", 3),
    "unknown text chunk cuts a character": (with_extra(b"\x7f\x61\xc3\x61\xa9\xff"), "value is not UTF-8", 4),
    "simple value in two bytes": (with_extra(b"\xf8\x1f"), "simple value 31 in two bytes", 3),
    "reserved simple value": (with_extra(b"\xfc"), "0xfc begins no CBOR item", 3),
    "cut integer": (b"\xa3" + ID + b"\x1a\x00\x00", "head declares 4 bytes, 2 follow", 4),
    "nested arrays": (with_extra(b"\x81" * (MAX_NESTING + 1) + b"\x00"), "more than 16 nested", 3 + MAX_NESTING),
    "nested maps": (with_extra(b"\xa1\x01" * 99 + b"\x00"), "more than 16 nested", 3 + 2 * MAX_NESTING),
    "nested indefinite arrays": (with_extra(b"\x9f" * 60_000), "more than 16 nested", 3 + MAX_NESTING),
    "too long": (canonical((1, 0, bytes(MAX_HEADER_BYTES))), "more than the 65536 allowed", MAX_HEADER_BYTES),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusal(name: str) -> None:
    """What is wrong is refused with its reason and its offset."""
    raw, what, offset = REFUSED[name]
    with pytest.raises(FrameError, match="malformed frame at byte") as caught:
        split_header(raw)
    assert what in caught.value.what
    assert caught.value.offset == offset


@pytest.mark.parametrize("value", [None, "text", 7, [1, 2]], ids=repr)
def test_what_is_not_bytes_is_refused(value: Any) -> None:
    """A header that is not bytes is a FrameError, not a TypeError from within."""
    with pytest.raises(FrameError, match="bytes expected"):
        split_header(value)


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_buffers_are_accepted(kind: Callable[[bytes], Any]) -> None:
    """Other buffers are read like bytes, and the data that comes out is bytes."""
    assert type(split_header(kind(PLAIN))[2]) is bytes


@pytest.mark.parametrize("raw", [PLAIN, b"\xbf" + PLAIN[1:] + b"\xff"], ids=["canonical", "other"])
def test_max_bytes_is_inclusive(raw: bytes) -> None:
    """A header of exactly ``max_bytes`` passes, one byte more is refused."""
    assert split_header(raw, len(raw)) == (1, 0, b"hi")
    with pytest.raises(FrameError, match=f"{len(raw)} bytes, more than the {len(raw) - 1} allowed"):
        split_header(raw, len(raw) - 1)


def test_items_are_bounded() -> None:
    """With a large ``max_bytes`` the number of items is what bounds the work."""
    raw = with_extra(encode_head(4, MAX_ITEMS) + bytes(MAX_ITEMS))
    with pytest.raises(FrameError, match="more than 65536 CBOR items"):
        split_header(raw, 2 * len(raw))


@given(headers)
def test_round_trip(header: tuple[int, int, bytes]) -> None:
    """What cbor2 encodes comes back, on both paths."""
    raw = canonical(header)
    assert split_header(raw) == split_strictly(raw) == header


@pytest.mark.parametrize("size", [0, 23, 24, 255, 256, 60_000])
@pytest.mark.parametrize("plugin_id", [0, 23, 24, 255, 256, 65_535, 65_536, 2**32 - 1])
@pytest.mark.parametrize("flags", [0, 23, 24, 255])
def test_widths(plugin_id: int, flags: int, size: int) -> None:
    """Every width of every field is read, on both paths."""
    header = plugin_id, flags, bytes(size)
    assert split_header(canonical(header)) == split_strictly(canonical(header)) == header


@given(st.binary(max_size=200))
@example(b"\x9f" * 200)
@example(b"\xc0" * 200)
def test_arbitrary_bytes_decode_or_raise_frame_error(raw: bytes) -> None:
    """No input raises anything but FrameError, whether read as a header or skipped as an unknown value."""
    outcome(split_header, raw)
    outcome(split_header, with_extra(raw))
    outcome(lambda whole: decode(whole, CborReader.skip, MAX_HEADER_BYTES), raw)


@given(headers, st.data())
def test_mutated_headers(header: tuple[int, int, bytes], data: st.DataObject) -> None:
    """A mutated header gives the same on both paths, and what is accepted is what cbor2 reads."""
    raw = bytearray(canonical(header))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(raw)))
        raw[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
    found = outcome(split_header, bytes(raw))
    assert found == outcome(split_strictly, bytes(raw))
    if len(found) == 3:
        decoded = cbor2.loads(bytes(raw))
        assert found == (decoded["id"], decoded["flags"], decoded["data"])


@pytest.mark.parametrize("header", [(1, 0, b"hi"), (200, 165, bytes(24)), (1001, 24, b""), (70_000, 255, bytes(256))])
def test_fast_path_agrees_with_strict_path(header: tuple[int, int, bytes]) -> None:
    """With any head byte replaced by any other, and cut anywhere, both paths give the same parts or the same error."""
    raw = canonical(header)
    variants = [raw[:at] for at in range(len(raw))]
    variants += [raw[:at] + bytes((byte,)) + raw[at + 1 :] for at in range(min(len(raw), 30)) for byte in range(256)]
    for variant in variants:
        assert outcome(split_header, variant) == outcome(split_strictly, variant)


leaves = st.integers(-(2**64), 2**64 - 1) | st.binary(max_size=5) | st.text(max_size=5) | st.floats() | st.booleans()
values = st.recursive(
    leaves | st.none(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.integers(0, 9) | st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(headers, st.dictionaries(st.text(max_size=5), values, max_size=3), st.booleans(), st.randoms())
def test_any_unknown_values_are_ignored(
    header: tuple[int, int, bytes], unknown: dict[str, Any], indefinite: bool, random: Any
) -> None:
    """Whatever untagged values unknown keys have, and wherever they stand, the header is read."""
    fields = list((unknown | dict(zip(("id", "flags", "data"), header, strict=True))).items())
    random.shuffle(fields)
    raw = cbor2.dumps(dict(fields), indefinite_containers=indefinite)
    assert split_header(raw) == header


@given(values, st.integers(0, 2**64 - 1), st.integers(0, 30))
def test_a_tag_in_any_unknown_value_is_refused(value: Any, tag: int, depth: int) -> None:
    """A tag is refused at any depth, whatever its number."""
    for _ in range(depth % 8):
        value = [value]
    tagged = b"\x81" * (depth % 8) + encode_head(6, tag) + cbor2.dumps(value)
    with pytest.raises(FrameError, match="a tag is not allowed"):
        split_header(with_extra(tagged))


HOSTILE = {
    "nested arrays": with_extra(b"\x81" * 16_000),
    "nested indefinite maps": with_extra(b"\xbf\x00" * 8_000),
    "nested tags": with_extra(b"\xc1" * 16_000),
    "empty arrays": with_extra(b"\x9f" + b"\x80" * 16_000 + b"\xff") + b"\x00",
    "empty maps": with_extra(b"\x99" + struct.pack(">H", 16_000) + b"\xa0" * 16_000),
    "distinct keys": b"\xbf" + b"".join(b"\x62" + bytes(divmod(n, 128)) + b"\x00" for n in range(4_916)),
    "tiny chunks": PLAIN[:-3] + b"\x5f" + b"\x41x" * 8_000 + b"\xff",
    "wide text": with_extra(b"\x79\x3e\x80" + "\U0001f600".encode() * 4_000),
    "long key": b"\xa4\x79\x3e\x80" + "\U0001f600".encode() * 4_000 + b"\x00" + PLAIN[1:] + b"\x00",
    "bignum": PLAIN.replace(b"id\x01", b"id\xc2\x59\x40\x00" + bytes(0x4000)),
    "shared references": with_extra(b"\xd8\x1c\x82" + b"\x80\xd8\x1d\x00" * 4_000),
    **{f"2^63 of major type {major}": PLAIN[:-3] + bytes((major << 5 | 27, 128)) + bytes(4_000) for major in range(8)},
    **{
        f"2^40 of major type {major} in an unknown value": with_extra(bytes((major << 5 | 27, 0, 0, 1)) + bytes(4_000))
        for major in range(8)
    },
}


@pytest.mark.parametrize("name", HOSTILE)
def test_memory_is_bounded(name: str) -> None:
    """A hostile header costs at most 100 times its size in memory, whether it is refused or not."""
    raw = HOSTILE[name]
    tracemalloc.start()
    try:
        outcome(split_header, raw)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= 100 * len(raw)


def test_errors_stay_short() -> None:
    """An error does not repeat a hostile key in full."""
    key = b"\x79\x3e\x80" + b"k" * 16_000
    with pytest.raises(FrameError) as caught:
        split_header(b"\xa5" + 2 * (key + b"\x00") + PLAIN[1:])
    assert len(str(caught.value)) < 200


def test_importing_is_light() -> None:
    """A worker that splits headers loads neither attrs nor cbor2 for it."""
    code = "import sys, nyx_plugins.plugins.header; print(sorted({'attr', 'attrs', 'cbor2'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=150)
    assert found.stdout.strip() == "[]"
