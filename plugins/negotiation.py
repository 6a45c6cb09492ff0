"""Whether a handshake comes to terms with a plugin: versions and capabilities. Pure, and the same for every sender."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from ..config import checks
from ..config.checks import Check
from ..config.errors import Fault
from .errors import FrameError
from .header import MAX_HEADER_BYTES, U16, U32
from .payloads import CORE, PLUGIN_FRAMEWORK, Handshake, first_unsupported


def _versions_of(value: object) -> Iterator[Fault]:
    yield from checks.each(checks.whole(0, U16)).faults(value)
    if value == ():
        yield Fault("", "must have at least one version")


_versions = Check(_versions_of)
_capabilities = checks.each(checks.whole(0, U32))


@attrs.frozen
class HandshakeOffer:
    """What a plugin understands: protocol versions (u16), and capabilities (u32) that a peer may insist on."""

    # The order is no difference.
    versions: tuple[int, ...] = attrs.field(default=(1,), validator=_versions, eq=frozenset)
    capabilities: tuple[int, ...] = attrs.field(default=(CORE, PLUGIN_FRAMEWORK), validator=_capabilities, eq=frozenset)


@attrs.frozen
class Agreement:
    """What both sides understand: the version, and those of the peer's capabilities that the plugin has too."""

    version: int
    name: str
    """The peer's name."""
    capabilities: tuple[int, ...] = ()


@attrs.frozen
class Disagreement:
    """Why a handshake fails; the peer is owed a CLOSE 0x07."""

    reason: str


def negotiate(offer: HandshakeOffer, data: bytes, max_bytes: int = MAX_HEADER_BYTES) -> Agreement | Disagreement:
    """Hold the data of a handshake frame against what a plugin offers.

    The version agreed on is the highest that the plugin has and that is not above the peer's. The first capability
    that the peer requires and the plugin lacks fails the handshake; others that it lacks are left out.
    """
    try:
        asked = Handshake.decode(data, max_bytes=max_bytes)
    except FrameError as error:
        return Disagreement(f"its data is no handshake: {error.what}")
    version = max((known for known in offer.versions if known <= asked.version), default=None)
    if version is None:
        known = ", ".join(map(str, sorted(offer.versions))) or "none"
        return Disagreement(f"version {asked.version} is older than what the plugin understands ({known})")
    missing = first_unsupported(asked.capabilities, offer.capabilities)
    if missing is not None:
        return Disagreement(f"it requires capability 0x{missing.id:04x}, which the plugin has not")
    shared = tuple(entry.id for entry in asked.capabilities if entry.id in offer.capabilities)
    return Agreement(version, asked.name, shared)
