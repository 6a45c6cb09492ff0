"""When frames wait for others, and for how long."""

from __future__ import annotations

import pytest

from nyx_plugins.actors.gathering import INTERVAL_S, MANY_FRAMES, Gathering


def test_who_is_alone_does_not_wait() -> None:
    """Neither at first, nor once all that was sent has arrived, however short the time since."""
    gathering = Gathering()
    assert gathering.wait_s(5.0, 1, is_flow=True) == 0
    gathering.sent(5.0)
    assert gathering.wait_s(5.0, 1, is_flow=False) == 0


def test_a_flow_gathers_until_the_interval_is_over() -> None:
    """What comes later in it waits for less."""
    gathering = Gathering()
    gathering.sent(5.0)
    assert gathering.wait_s(5.0, 1, is_flow=True) == pytest.approx(INTERVAL_S)
    assert gathering.wait_s(5.0 + INTERVAL_S / 4, 2, is_flow=True) == pytest.approx(INTERVAL_S * 3 / 4)
    assert gathering.wait_s(5.0 + INTERVAL_S * 2, 3, is_flow=True) == 0


def test_many_frames_go_at_once() -> None:
    """And so does what is no frame."""
    gathering = Gathering()
    gathering.sent(5.0)
    assert gathering.wait_s(5.0, MANY_FRAMES - 1, is_flow=True) > 0
    assert gathering.wait_s(5.0, MANY_FRAMES, is_flow=True) == 0
    assert gathering.wait_s(5.0, 0, is_flow=True) == 0
