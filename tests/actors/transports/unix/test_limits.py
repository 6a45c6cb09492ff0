"""Limits from the capabilities of a system."""

from __future__ import annotations

import dataclasses

import pytest

from nyx_plugins.actors.transports.unix.limits import MESSAGE_CAPABILITY, QUEUE_CAPABILITY, Limits

LARGEST = (1 << 32) - 1


def test_without_capabilities_the_defaults_hold() -> None:
    """A system that says nothing has the defaults."""
    assert Limits.of({}) == Limits.of({"Admin Port": 1900}) == Limits()


@pytest.mark.parametrize("value", [1024, 5000, LARGEST])
def test_the_size_of_a_message_can_be_set(value: int) -> None:
    """The capability sets the largest message, and nothing else."""
    assert Limits.of({MESSAGE_CAPABILITY: value}) == dataclasses.replace(Limits(), message_bytes=value)


@pytest.mark.parametrize("value", [1024, 5000, 1 << 40])
def test_the_size_of_a_queue_can_be_set(value: int) -> None:
    """The capability sets what may wait for a peer, and nothing else."""
    assert Limits.of({QUEUE_CAPABILITY: value}) == dataclasses.replace(Limits(), queue_bytes=value)


@pytest.mark.parametrize("value", [0, 1023, -5, LARGEST + 1, 5000.0, "5000", None, True, [5000]])
def test_a_wrong_size_of_a_message_is_refused(value: object) -> None:
    """A value out of range or of another kind is refused with the capability, the range and the value."""
    with pytest.raises(ValueError) as error:
        Limits.of({MESSAGE_CAPABILITY: value})
    text = str(error.value)
    assert MESSAGE_CAPABILITY in text and repr(value) in text
    assert "1024" in text and str(LARGEST) in text


@pytest.mark.parametrize("value", [0, 1023, -5, 5000.0, "5000", None, False, {}])
def test_a_wrong_size_of_a_queue_is_refused(value: object) -> None:
    """A value below the least or of another kind is refused with the capability, the least and the value."""
    with pytest.raises(ValueError) as error:
        Limits.of({QUEUE_CAPABILITY: value})
    text = str(error.value)
    assert QUEUE_CAPABILITY in text and repr(value) in text
    assert "1024" in text
