"""What the data of handshake frames holds by convention: handshakes and capability lists."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any, Self

import attrs

from .errors import FrameError
from .header import (
    ARRAY,
    MAP,
    MAX_HEADER_BYTES,
    U16,
    CborReader,
    check_unsigned,
    decode,
    encode_head,
    encode_text,
    read_header,
)
from .wire import PluginHeader

if TYPE_CHECKING:
    from .header import Shape

MAX_NAME_BYTES = 1024
CORE = 0x0001
PLUGIN_FRAMEWORK = 0x0002


@attrs.frozen
class Capability(PluginHeader):
    """One entry of a capability list: shaped like a header, and ``required`` if the peer insists on it."""


@attrs.frozen
class Handshake:
    """The data of a handshake frame. Values out of range raise :class:`FrameError`."""

    version: int
    """The sender's version, a u16."""
    name: str
    """The sender's name, up to 1,024 bytes of UTF-8."""
    capabilities: tuple[Capability, ...] = ()
    """What the sender can do, and what of it its peer must be able to do too."""

    def __attrs_post_init__(self) -> None:
        check_unsigned("version", self.version, U16)
        _check_name(self.name)
        for entry in self.capabilities:
            if not isinstance(entry, Capability):
                raise FrameError(f"a capability must be a Capability, not {type(entry).__name__}")

    def encode(self) -> bytes:
        """Return the canonical CBOR."""
        listed = b"lcapabilities" + encode_capabilities(self.capabilities) if self.capabilities else b""
        fields = b"gversion" + encode_head(0, self.version) + b"dname" + encode_text(self.name) + listed
        return encode_head(MAP, 3 if listed else 2) + fields

    @classmethod
    def decode(cls, raw: bytes, *, max_bytes: int = MAX_HEADER_BYTES) -> Self:
        """Return the handshake that fills ``raw``, of at most ``max_bytes``, or raise :class:`FrameError`."""
        return cls(**decode(raw, _read_handshake, max_bytes))


def encode_capabilities(capabilities: Iterable[Capability]) -> bytes:
    """Return the canonical CBOR of a capability list."""
    entries = [capability.encode() for capability in capabilities]
    return encode_head(ARRAY, len(entries)) + b"".join(entries)


def decode_capabilities(raw: bytes, *, max_bytes: int = MAX_HEADER_BYTES) -> tuple[Capability, ...]:
    """Return the capability list that fills ``raw``, of at most ``max_bytes``, or raise :class:`FrameError`."""
    return decode(raw, _read_capabilities, max_bytes)


def first_unsupported(
    capabilities: Iterable[Capability], supported: Collection[int] = (CORE, PLUGIN_FRAMEWORK)
) -> Capability | None:
    """Return the first required capability that is not ``supported``, to which ``close_frame`` is the answer."""
    return next((entry for entry in capabilities if entry.required and entry.id not in supported), None)


def _read_capabilities(reader: CborReader) -> tuple[Capability, ...]:
    return tuple([Capability(*read_header(reader)) for _ in reader.entries(ARRAY, "capability list")])


def _check_name(name: object) -> None:
    if not isinstance(name, str):
        raise FrameError(f"name must be a text, not {type(name).__name__}")
    try:
        length = len(name.encode())
    except UnicodeEncodeError as error:
        raise FrameError(f"name is not UTF-8: {error.reason}") from None
    if length > MAX_NAME_BYTES:
        raise FrameError(f"name of {length} bytes, more than the {MAX_NAME_BYTES} allowed")


def _read_handshake(reader: CborReader) -> dict[str, Any]:
    return reader.fields("handshake", _HANDSHAKE, optional={"capabilities": _read_capabilities})


_HANDSHAKE: Shape = {
    "version": lambda reader: reader.unsigned("version", U16),
    "name": lambda reader: reader.text("name"),
}
