"""How many frames a worker gets at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins.actors.pace import BATCH_S, FIRST_FRAMES, Pace


@pytest.mark.parametrize(
    ("frame_s", "frames"), [(0.1, 1), (0.005, 1), (0.001, 5), (0.0001, 50), (0.00001, 256), (0.0, 256)]
)
def test_as_many_as_fit_into_its_time(frame_s: float, frames: int) -> None:
    """Batches take about 5 ms, with 1 to 256 frames."""
    pace, now = Pace(256), 100.0
    assert pace.frames == FIRST_FRAMES
    pace.begin(now)
    for _ in range(20):
        now += 8 * frame_s
        pace.finished(8, now)
    assert abs(pace.frames - frames) <= 1


@given(rounds=st.lists(st.tuples(st.integers(1, 256), st.floats(0, 1))), frame_s=st.floats(1e-4, 1e-2))
def test_what_was_is_forgotten(rounds: list[tuple[int, float]], frame_s: float) -> None:
    """Whatever the handlers did before, a steady pace is found within a hundred batches."""
    pace, now = Pace(256), 0.0
    for frames, seconds in rounds:
        now += seconds
        pace.finished(frames, now)
    for _ in range(100):
        pace.begin(now)
        now += pace.frames * frame_s
        pace.finished(pace.frames, now)
    assert abs(pace.frames - BATCH_S / frame_s) <= 1


def test_waiting_for_frames_is_not_their_time() -> None:
    """What passes while a worker has nothing in hand does not count."""
    pace = Pace(256)
    pace.begin(0.0)
    pace.finished(8, 0.008)
    pace.begin(1000.0)
    pace.finished(8, 1000.008)
    assert abs(pace.frames - 5) <= 1
