"""Handshakes and capability lists."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins.plugins.errors import FrameError
from nyx_plugins.plugins.payloads import (
    CORE,
    PLUGIN_FRAMEWORK,
    Capability,
    Handshake,
    decode_capabilities,
    encode_capabilities,
    first_unsupported,
)
from nyx_plugins.plugins.wire import close_frame

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "vectors.json").read_text())
LIST = bytes.fromhex(VECTORS["capabilities"][0]["hex"])
ENTRY = Capability(CORE, 1, b"").encode()

capabilities = st.builds(Capability, st.integers(0, 2**32 - 1), st.integers(0, 255), st.binary(max_size=30))


@pytest.mark.parametrize("vector", VECTORS["handshake"], ids=lambda vector: vector["name"])
def test_handshake_vector(vector: dict[str, Any]) -> None:
    """The handshake vector is encoded byte for byte and decoded to the same."""
    handshake = Handshake(vector["version"], vector["name"])
    assert handshake.encode().hex() == vector["hex"]
    assert Handshake.decode(bytes.fromhex(vector["hex"])) == handshake


@given(st.integers(0, 65_535), st.text(max_size=256))
def test_handshake_round_trip(version: int, name: str) -> None:
    """An encoded handshake is what cbor2 writes, and decodes to the same."""
    handshake = Handshake(version, name)
    assert handshake.encode() == cbor2.dumps({"version": version, "name": name})
    assert Handshake.decode(handshake.encode()) == handshake


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        (b"", "truncated"),
        (b"\xa1gversion\x01", "handshake has no key 'name'"),
        (b"\xa1dname\x60", "handshake has no key 'version'"),
        (cbor2.dumps({"version": 65_536, "name": ""}), "version is 65536, more than 65535"),
        (cbor2.dumps({"version": True, "name": ""}), "version must be an unsigned integer, found a bool"),
        (cbor2.dumps({"version": 1, "name": b"geo"}), "name must be a text, found a byte string"),
        (cbor2.dumps({"version": 1, "name": "é" * 513}), "name of 1026 bytes, more than the 1024 allowed"),
        (cbor2.dumps({"version": 1, "name": ""}) + b"\x00", "1 trailing bytes"),
        (b"\xa3dname\x60" + cbor2.dumps({"version": 1, "name": ""})[1:], "handshake has a duplicate key 'name'"),
        (b"\xa2gversion\x01dname\x61\xff", "name is not UTF-8"),
        (b"\xa2gversion\x01dname\xc0\x60", "name must be a text, found a tag"),
    ],
)
def test_malformed_handshake(raw: bytes, what: str) -> None:
    """A malformed handshake is refused with its reason."""
    with pytest.raises(FrameError) as caught:
        Handshake.decode(raw)
    assert what in caught.value.what


@pytest.mark.parametrize(
    "values",
    [(-1, ""), (65_536, ""), (True, ""), (1, b"geo"), (1, "x" * 1025), (1, "é" * 513), (1, "\ud800"), (1, "", (7,))],
)
def test_handshake_ranges(values: tuple[Any, ...]) -> None:
    """A handshake can't be made of values that the wire can't carry."""
    with pytest.raises(FrameError):
        Handshake(*values)


def test_longest_name() -> None:
    """A name of exactly 1,024 bytes passes."""
    assert Handshake.decode(Handshake(1, "é" * 512).encode()).name == "é" * 512


def test_capability_vector() -> None:
    """The capability vector holds core, required, and plugin_framework, optional."""
    found = decode_capabilities(LIST)
    assert found == (Capability(CORE, 1, b""), Capability(PLUGIN_FRAMEWORK, 0, b""))
    assert [entry.required for entry in found] == [True, False]
    assert encode_capabilities(found) == LIST


@given(st.lists(capabilities, max_size=30))
def test_capabilities_round_trip(entries: list[Capability]) -> None:
    """A list comes back in order, indefinite or not."""
    raw = encode_capabilities(entries)
    assert decode_capabilities(raw) == tuple(entries)
    assert decode_capabilities(b"\x9f" + b"".join(entry.encode() for entry in entries) + b"\xff") == tuple(entries)


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        (ENTRY, "capability list must be an array, found a map"),
        (b"\x81\x01", "header must be a map, found an unsigned integer"),
        (b"\x82" + ENTRY, "truncated"),
        (b"\x9b\x7f" + bytes(7) + ENTRY, "capability list declares 9151314442816847872 entries"),
        (LIST + b"\x00", "1 trailing bytes"),
        (b"\xc1" + LIST, "capability list must be an array, found a tag"),
        (b"\x81" + ENTRY.replace(b"id\x01", b"id\xf5"), "id must be an unsigned integer, found a bool"),
        (b"\x81\xa2" + ENTRY[1:-6], "header has no key 'data'"),
    ],
)
def test_malformed_capabilities(raw: bytes, what: str) -> None:
    """A malformed capability list is refused with its reason."""
    with pytest.raises(FrameError) as caught:
        decode_capabilities(raw)
    assert what in caught.value.what


@pytest.mark.parametrize("decode", [Handshake.decode, decode_capabilities], ids=["handshake", "capabilities"])
def test_max_bytes(decode: Callable[..., Any]) -> None:
    """A payload longer than the limit is refused before it is read."""
    with pytest.raises(FrameError, match="30 bytes, more than the 29 allowed"):
        decode(bytes(30), max_bytes=29)


@given(st.binary(max_size=100))
def test_arbitrary_bytes_decode_or_raise_frame_error(raw: bytes) -> None:
    """No input raises anything but FrameError."""
    for decode in (Handshake.decode, decode_capabilities):
        try:
            decode(raw)
        except FrameError:
            continue


def test_first_unsupported() -> None:
    """The first required capability that is not supported is the one that fails a handshake; optional ones never do."""
    known, optional, first, second = (
        Capability(1, 1, b""),
        Capability(9, 0, b""),
        Capability(8, 1, b""),
        Capability(7, 1, b""),
    )
    assert first_unsupported([known, optional]) is None
    assert first_unsupported([known, optional, first, second]) is first
    assert first_unsupported([first, second], supported={8}) is second
    assert close_frame(first.id).hex() == "000700000008"
