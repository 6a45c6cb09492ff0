"""Headers, CLOSE payloads and single stream frames as values, and the package's face."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nyx_plugins.plugins as face
from nyx_plugins.plugins import errors
from nyx_plugins.plugins.errors import FrameError, PluginNotRegistered
from nyx_plugins.plugins.wire import OTHER_KINDS, REQUIRED, FrameType, PluginHeader, StreamFrame, close_frame

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "vectors.json").read_text())

headers = st.builds(PluginHeader, st.integers(0, 2**32 - 1), st.integers(0, 255), st.binary(max_size=300))


@pytest.mark.parametrize("vector", VECTORS["headers_valid"], ids=lambda vector: vector["name"])
def test_header_vector(vector: dict[str, Any]) -> None:
    """Each valid vector is encoded byte for byte and decoded to the same header."""
    header = PluginHeader(vector["id"], vector["flags"], bytes.fromhex(vector["data"]))
    assert header.encode().hex() == vector["hex"]
    assert PluginHeader.decode(bytes.fromhex(vector["hex"])) == header


@given(headers)
def test_header_round_trip(header: PluginHeader) -> None:
    """An encoded header is what cbor2 writes, and decodes to the same."""
    assert header.encode() == cbor2.dumps(attrs.asdict(header))
    assert PluginHeader.decode(header.encode()) == header


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ((-1, 0, b""), "id is -1, expected 0 to 4294967295"),
        ((2**32, 0, b""), "id is 4294967296, expected 0 to 4294967295"),
        ((True, 0, b""), "id must be an unsigned integer, not bool"),
        ((1.0, 0, b""), "id must be an unsigned integer, not float"),
        ((1, 256, b""), "flags is 256, expected 0 to 255"),
        ((1, None, b""), "flags must be an unsigned integer, not NoneType"),
        ((1, 0, "text"), "data must be bytes, not str"),
        ((1, 0, bytearray()), "data must be bytes, not bytearray"),
    ],
)
def test_header_ranges(values: tuple[Any, Any, Any], what: str) -> None:
    """A header can't be made of values that the wire can't carry."""
    with pytest.raises(FrameError) as caught:
        PluginHeader(*values)
    assert caught.value.what == what


def test_header_max_bytes() -> None:
    """A header is refused when it is longer than the limit given."""
    raw = PluginHeader(1, 0, bytes(100)).encode()
    assert PluginHeader.decode(raw, max_bytes=len(raw)).id == 1
    with pytest.raises(FrameError, match="allowed"):
        PluginHeader.decode(raw, max_bytes=len(raw) - 1)


def test_header_is_frozen() -> None:
    """A header can't be changed."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        PluginHeader(1, 0, b"").id = 2  # type: ignore[misc]  # what is tested


@pytest.mark.parametrize("flags", [0x00, 0x01, 0xFE, 0xFF])
def test_required(flags: int) -> None:
    """Only the lowest flag means REQUIRED."""
    assert PluginHeader(1, flags, b"").required == bool(flags & REQUIRED)


def test_frame_types() -> None:
    """The four frame types have the numbers of the protocol."""
    assert {kind.name: kind.value for kind in FrameType} == {
        "HANDSHAKE": 0x51,
        "DATA": 0x52,
        "CONTROL": 0x53,
        "ERROR": 0x54,
    }


@pytest.mark.parametrize("vector", VECTORS["close"], ids=lambda vector: vector["hex"])
def test_close_vector(vector: dict[str, Any]) -> None:
    """The CLOSE payload is that of the vector, and that of the error for a required plugin."""
    assert close_frame(vector["capability"], vector["code"]).hex() == vector["hex"]
    assert close_frame(vector["capability"]) == PluginNotRegistered(vector["capability"], required=True).close


@pytest.mark.parametrize(("plugin_id", "code"), [(-1, 7), (2**32, 7), (1, -1), (1, 2**16), (True, 7)])
def test_close_ranges(plugin_id: int, code: int) -> None:
    """A CLOSE payload can't hold a code above u16 or an id above u32."""
    with pytest.raises(FrameError):
        close_frame(plugin_id, code)


@pytest.mark.parametrize("vector", VECTORS["stream_frames"], ids=lambda vector: vector["header"])
def test_stream_frame_vector(vector: dict[str, Any]) -> None:
    """A stream frame is encoded byte for byte, after its length."""
    body = bytes.fromhex(vector["hex"])
    frame = StreamFrame(vector["stream_id"], vector["seq"], vector["frame_type"], bytes.fromhex(vector["header"]))
    assert frame.encode() == len(body).to_bytes(4, "big") + body


@pytest.mark.parametrize("kind", [*OTHER_KINDS, 0, 0x52, FrameType.DATA, 255])
def test_stream_frame_kinds(kind: int | str) -> None:
    """Custom kinds are for the dispatcher, whatever their number; the others are encoded as their text."""
    frame = StreamFrame(1, 2, kind, b"x")
    assert frame.is_plugin_frame == isinstance(kind, int)
    ty = {"Custom": int(kind)} if isinstance(kind, int) else kind
    assert cbor2.loads(frame.encode()[4:]) == {"header": {"stream_id": 1, "seq": 2, "ty": ty}, "payload": b"x"}


@pytest.mark.parametrize(
    "values",
    [
        *((-1, 0, 0x52, b""), (2**32, 0, 0x52, b""), (0, 2**64, 0x52, b""), (0, 0, 256, b""), (0, 0, True, b"")),
        *((0, 0, "Other", b""), (0, 0, None, b""), (0, 0, 0x52, "text")),
    ],
)
def test_stream_frame_ranges(values: tuple[Any, Any, Any, Any]) -> None:
    """A stream frame can't be made of values that the wire can't carry."""
    with pytest.raises(FrameError):
        StreamFrame(*values)


def test_face_holds_what_it_lists() -> None:
    """Every name of ``__all__`` can be had from the package, and is the one of its own module."""
    for name in face.__all__:
        value = getattr(face, name)
        assert getattr(importlib.import_module(value.__module__), name) is value
    assert set(face.__all__) <= set(dir(face))


def test_face_holds_every_error() -> None:
    """No error that ``plugins.errors`` defines is missing from the face."""
    assert set(errors.__all__) - {"CLOSE_UNSUPPORTED_CAPABILITY"} <= set(face.__all__)


def test_face_refuses_other_names() -> None:
    """A name that is not there is an AttributeError, as of any module."""
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = face.nonsense  # type: ignore[attr-defined]  # what is tested


def test_face_is_lazy() -> None:
    """A plugin that imports the SDK from the face loads neither attrs, cbor2 nor the wire format."""
    code = (
        "import sys; from nyx_plugins.plugins import Context, Frame, Plugin;"
        "print([name for name in sys.modules if name in ('attr', 'cbor2') or name.endswith(('.wire', '.errors'))])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=150)
    assert found.stdout.strip() == "[]"
