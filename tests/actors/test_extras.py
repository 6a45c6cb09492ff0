"""Keys and times to live, as senders give them."""

from __future__ import annotations

import time
from typing import Any
from zlib import crc32

import pytest

from nyx_plugins.actors.extras import MAX_KEY_BYTES, checked_key, extra
from nyx_plugins.actors.messages import Extra


def test_a_frame_with_nothing_special_carries_nothing() -> None:
    """The usual frame costs nothing more."""
    assert extra(None, None) is None
    assert extra("a", None) == Extra(crc32(b"ta"), 0)


def test_keys_of_different_kinds_are_different_keys() -> None:
    """A number is not the text that spells it, and nothing is taken for something else."""
    keys = [checked_key(key) for key in (1, "1", b"1", -1, "", b"", "i1", b"i1")]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("key", [1.5, True, None, ["a"], object()])
def test_other_things_are_no_keys(key: Any) -> None:
    """What has no obvious bytes is refused."""
    with pytest.raises(TypeError, match="a key must be text, bytes or an int"):
        checked_key(key)


@pytest.mark.parametrize(
    "key", ["x" * (MAX_KEY_BYTES + 1), b"x" * (MAX_KEY_BYTES + 1), 10**MAX_KEY_BYTES, "\u20ac" * 86]
)
def test_keys_are_short(key: Any) -> None:
    """Counted in bytes; the longest is taken."""
    with pytest.raises(ValueError, match=f"at most {MAX_KEY_BYTES} bytes"):
        checked_key(key)
    assert checked_key(10 ** (MAX_KEY_BYTES - 1)) == crc32(b"i1" + b"0" * (MAX_KEY_BYTES - 1))
    assert checked_key("x" * MAX_KEY_BYTES) == crc32(b"t" + b"x" * MAX_KEY_BYTES)


def test_a_lone_surrogate_is_a_key_too() -> None:
    """As file names may hold it."""
    assert checked_key("\udc80") != checked_key("?")


def test_the_time_of_a_frame_ends_not_before_it_should() -> None:
    """In milliseconds of the wall clock, rounded up."""
    before = time.time()
    found = extra(None, 0.5)
    after = time.time()
    assert found is not None and found.key is None
    assert (before + 0.5) * 1000 <= found.expires_at_ms <= (after + 0.5) * 1000 + 1


@pytest.mark.parametrize("ttl", [0, -1, float("nan"), float("-inf")])
def test_a_frame_must_have_some_time(ttl: float) -> None:
    """A frame that is over before it is sent is a mistake."""
    with pytest.raises(ValueError, match="a ttl must be more than 0 s"):
        extra(None, ttl)


def test_a_time_is_a_number() -> None:
    """And may be for ever, which is a year."""
    for wrong in ("1", True, [1]):
        with pytest.raises(TypeError, match="a ttl must be seconds"):
            extra(None, wrong)  # type: ignore[arg-type]
    year = extra(None, float("inf"))
    assert year is not None and year.expires_at_ms < (time.time() + 367 * 86_400) * 1000
