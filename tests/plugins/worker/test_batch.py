"""Frames on their way to a worker."""

from __future__ import annotations

import pytest

from nyx_plugins.plugins.worker.batch import Batch
from nyx_plugins.plugins.worker.protocol import MessageReader, encode

ITEMS = [(0x52, b"one"), (0x53, b""), (0x5F, b"three")]


def test_what_comes_out_is_what_went_in() -> None:
    """A batch that has travelled is the frames that it was made of, with their ring index."""
    [[_, first, *fields]] = MessageReader().feed(encode(Batch.of(ITEMS).message(7)))
    assert first == 7
    assert Batch.of_message(*fields) == ITEMS
    assert (len(Batch.of_message(*fields)), repr(Batch.of(ITEMS))) == (3, f"Batch of {ITEMS!r}")


@pytest.mark.parametrize("ends", [(), (3,), (3, 3, 8, 9)])
def test_a_batch_whose_columns_differ_in_length_is_an_error(ends: tuple[int, ...]) -> None:
    """No frame is made up, or left out."""
    with pytest.raises(ValueError, match="zip"):
        list(Batch(b"\x52\x53\x5f", ends, b"onethree"))
