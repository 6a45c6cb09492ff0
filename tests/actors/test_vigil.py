"""What a vigil says of a worker that takes too long, and how long it waits: the lane and its time are made up."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from nyx_plugins.actors import vigil
from nyx_plugins.actors.vigil import Vigil


class HangingLane:
    """A lane whose worker has marked a run of frames, and never goes on."""

    def __init__(self, run: int) -> None:
        self.number = 0
        self.worker = SimpleNamespace(mark=lambda: (0, run))
        tray = SimpleNamespace(is_under_way=True, in_hand=lambda mark: mark, box=SimpleNamespace(finished=0))
        self.rack = SimpleNamespace(trays=[tray])
        self.holds_back = False
        self.is_at_snapshot = False
        self.deaths: list[str] = []

    def end_worker(self, death: Any) -> None:
        """Note why the worker is ended."""
        self.deaths.append(str(death))


def ended_after(lane: HangingLane, wall_time_s: float, monkeypatch: pytest.MonkeyPatch) -> float:
    """Let time pass until the worker is ended; return how many seconds that took."""
    now = [0.0]
    monkeypatch.setattr(vigil, "time", SimpleNamespace(monotonic=lambda: now[0]))
    home: Any = SimpleNamespace(
        plan=SimpleNamespace(policy=SimpleNamespace(wall_time_s=wall_time_s)), alarm=lambda *_: None
    )
    watching = Vigil(lane, home)  # type: ignore[arg-type]
    watching.begin(was_idle=True)
    while not lane.deaths:
        watching.check_deadline()
        now[0] += 0.5
    return now[0] - 0.5


@pytest.mark.parametrize(
    ("run", "wall_time_s", "took", "reason"),
    [
        (1, 1.0, 1.0, "exceeded its wall time of 1 s per frame"),
        (8, 1.0, 8.0, "exceeded its wall time of 8 s for a run of 8 frames (1 s for each, at most 60 s)"),
        (256, 5.0, 60.0, "exceeded its wall time of 60 s for a run of 256 frames (5 s for each, at most 60 s)"),
        (2, 90.0, 90.0, "exceeded its wall time of 90 s for a run of 2 frames (90 s for each, at most 90 s)"),
    ],
)
def test_a_run_of_frames_has_their_time_together_up_to_a_limit(
    run: int, wall_time_s: float, took: float, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason names the frames of the run, what each may take, and the most that all may."""
    lane = HangingLane(run)
    assert ended_after(lane, wall_time_s, monkeypatch) == took
    assert lane.deaths == [reason]


def test_a_snapshot_is_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was marked before a snapshot() gains that no time."""
    lane = HangingLane(256)
    lane.is_at_snapshot = True
    assert ended_after(lane, 1.0, monkeypatch) == 1.0
    assert lane.deaths == ["exceeded its wall time of 1 s at its snapshot()"]
