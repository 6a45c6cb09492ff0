"""Whether two come to terms, with nothing started."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins.config.errors import ConfigError
from nyx_plugins.plugins.negotiation import Agreement, Disagreement, HandshakeOffer, negotiate
from nyx_plugins.plugins.payloads import Capability, Handshake
from nyx_plugins.plugins.wire import REQUIRED

U16 = st.integers(0, 0xFFFF)
U32 = st.integers(0, 0xFFFF_FFFF)


@given(st.lists(U16, min_size=1).map(tuple), U16, st.text(max_size=20), st.lists(U32).map(tuple), st.lists(U32))
def test_an_agreement_is_within_what_both_have(
    versions: tuple[int, ...], version: int, name: str, has: tuple[int, ...], asks: list[int]
) -> None:
    """And is the best of it; without a version that is old enough there is none."""
    listed = tuple(Capability(number, 0, b"") for number in asks)
    found = negotiate(HandshakeOffer(versions, has), Handshake(version, name, listed).encode(), 1 << 20)
    common = [known for known in versions if known <= version]
    if not common:
        assert isinstance(found, Disagreement)
    else:
        assert found == Agreement(max(common), name, tuple(number for number in asks if number in has))


@given(st.lists(st.tuples(U32, st.booleans())))
def test_one_required_capability_that_is_missing_is_enough(asks: list[tuple[int, bool]]) -> None:
    """The first is named."""
    listed = tuple(Capability(number, REQUIRED if required else 0, b"") for number, required in asks)
    found = negotiate(HandshakeOffer(), Handshake(1, "", listed).encode(), 1 << 20)
    missing = [number for number, required in asks if required and number not in (1, 2)]
    assert isinstance(found, Disagreement) == bool(missing)
    if isinstance(found, Disagreement):
        assert f"0x{missing[0]:04x}" in found.reason


@given(st.binary(max_size=64))
def test_no_bytes_do_more_than_disagree(data: bytes) -> None:
    """Whatever comes is a handshake or a reason."""
    assert isinstance(negotiate(HandshakeOffer(), data), Agreement | Disagreement)


@pytest.mark.parametrize("versions", [(), (-1,), (65_536,), (True,), [1]])
def test_a_plugin_offers_some_versions(versions: object) -> None:
    """Each a u16."""
    with pytest.raises(ConfigError):
        HandshakeOffer(versions=versions)  # type: ignore[arg-type]
