"""How many frames a worker gets at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins.actors.pace import BATCH_S, FIRST_FRAMES, QUICK_S, Pace


@pytest.mark.parametrize(
    ("frame_s", "frames"), [(0.1, 1), (0.005, 1), (0.001, 5), (0.0001, 50), (0.00001, 256), (0.0, 256)]
)
def test_as_many_as_fit_into_its_time(frame_s: float, frames: int) -> None:
    """Batches take about 5 ms, with 1 to 256 frames."""
    pace = Pace(256)
    assert pace.frames == FIRST_FRAMES
    for _ in range(20):
        pace.finished(8, 8 * frame_s)
    assert abs(pace.frames - frames) <= 1


@given(rounds=st.lists(st.tuples(st.integers(1, 256), st.floats(0, 1))), frame_s=st.floats(1e-4, 1e-2))
def test_what_was_is_forgotten(rounds: list[tuple[int, float]], frame_s: float) -> None:
    """Whatever the handlers did before, a steady pace is found within a hundred batches."""
    pace = Pace(256)
    for frames, seconds in rounds:
        pace.finished(frames, seconds)
    for _ in range(100):
        pace.finished(pace.frames, pace.frames * frame_s)
    assert abs(pace.frames - BATCH_S / frame_s) <= 1


def test_quick_is_what_is_known_to_be() -> None:
    """A worker that has done nothing yet is not, nor one whose frames take half a millisecond or more."""
    pace = Pace(256)
    assert not pace.is_quick
    pace.finished(8, 8 * QUICK_S / 2)
    assert pace.is_quick
    pace.finished(8, 8 * QUICK_S * 2)
    assert not pace.is_quick
