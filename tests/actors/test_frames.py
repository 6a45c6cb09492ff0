"""Frames in columns."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins.actors.frames import Frames, NewFrame

U64 = 2**64 - 1
ROWS = st.lists(st.tuples(st.integers(1, U64), st.integers(0, 255), st.binary(max_size=9), st.integers(0, U64)))


@given(rows=ROWS, place=st.integers(0, 9))
def test_columns_are_the_frames_that_they_were_made_of(rows: list[NewFrame], place: int) -> None:
    """Also after they have travelled, and a part of them."""
    frames = pickle.loads(pickle.dumps(Frames.of(rows)))
    assert (list(frames), len(frames), frames[:place]) == (rows, len(rows), rows[:place])
    assert frames == Frames.of(rows) == rows
    assert hash(frames) == hash(Frames.of(rows))
    assert repr(frames) == f"Frames.of({rows!r})"


@pytest.mark.parametrize(
    ("numbers", "seqs"), [([3, 4, 5], range(3, 6)), ([3, 5], (3, 5)), ([1, 1, 3], (1, 1, 3)), ([], range(0))]
)
def test_numbers_without_a_gap_are_a_range(numbers: list[int], seqs: object) -> None:
    """It takes no more room for a thousand frames than for two."""
    assert Frames.of([(number, 0x52, b"", 0) for number in numbers]).seqs == seqs
    assert Frames.of([]) != 0
