"""The deadline: wall time per frame, with no clock of its own."""

from __future__ import annotations

import pytest

from nyx_plugins.actors.deadline import Deadline


def test_a_worker_that_moves_on_is_left_alone() -> None:
    """As long as the mark or the outcomes move, the time starts anew."""
    deadline = Deadline(1.0, 256)
    deadline.begin(0.0)
    for step in range(1, 20):
        assert deadline.exceeded(step, 1, step - 1, step * 0.9) is None


def test_a_worker_that_stays_at_one_frame_is_over_its_time() -> None:
    """At the wall time, counted from when it was first seen there, the deadline strikes and says what was allowed."""
    deadline = Deadline(1.0, 256)
    deadline.begin(0.0)
    assert deadline.exceeded(5, 1, 5, 0.25) is None
    assert deadline.exceeded(5, 1, 5, 1.2) is None
    assert deadline.exceeded(5, 1, 5, 1.25) == 1.0


def test_a_run_of_frames_has_the_time_of_all_and_a_lie_has_a_limit() -> None:
    """on_batch is allowed the wall time for each frame of its run, but no more frames than it can get, nor a minute."""
    deadline = Deadline(1.0, 256)
    deadline.begin(0.0)
    assert deadline.exceeded(0, 10, 0, 0.0) is None
    assert deadline.exceeded(0, 10, 0, 9.9) is None
    assert deadline.exceeded(0, 10, 0, 10.0) == 10.0
    assert deadline.exceeded(0, 1 << 60, 0, 60.0) == 60.0
    short = Deadline(0.1, 256)
    short.begin(0.0)
    assert short.exceeded(0, 1 << 60, 0, 0.0) is None
    assert short.exceeded(0, 1 << 60, 0, 30.0) == pytest.approx(25.6)
    long = Deadline(300.0, 256)
    long.begin(0.0)
    assert long.exceeded(0, 256, 0, 0.0) is None
    assert long.exceeded(0, 256, 0, 300.0) == 300.0


def test_the_interval_is_a_quarter_of_the_wall_time_within_bounds() -> None:
    """Neither does a short wall time keep the actor busy, nor does a long one make it inattentive."""
    assert [Deadline(wall, 1).interval_s for wall in (0.001, 1.0, 60.0)] == [0.01, 0.25, 1.0]
