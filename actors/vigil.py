"""Looks at a lane's worker now and then: how long it has been at a frame, and what it holds."""

from __future__ import annotations

import time
from typing import Protocol

from ..plugins.worker.protocol import MAX_RUN
from .deadline import Deadline
from .deaths import Cause, Death
from .home import Home
from .rack import Rack
from .worker import Worker

# How often a worker's memory, threads and scratch directory are looked at, in seconds.
LOOK_S = 0.5


class Watched(Protocol):
    """What a vigil needs of its lane."""

    number: int
    worker: Worker | None
    is_ready: bool
    rack: Rack

    @property
    def holds_back(self) -> bool:
        """Whether the worker has not been sent yet what is under way."""

    @property
    def is_at_snapshot(self) -> bool:
        """Whether the worker owes its plugin's state, and so has not begun with what it has in hand."""

    def end_worker(self, death: Death) -> None:
        """End the worker for this reason."""


class Vigil:
    """Ends the worker of its lane when it takes too long or holds too much; sets the alarms ``tick`` and ``look``."""

    def __init__(self, lane: Watched, home: Home) -> None:
        self._lane = lane
        self._home = home
        self._is_watching = False
        self._deadline = self._of_policy()

    def _of_policy(self) -> Deadline:
        return Deadline(self._home.plan.policy.wall_time_s, MAX_RUN)

    def renew(self) -> None:
        """Another worker is in its place, with a policy of its own."""
        self.end()
        self._deadline = self._of_policy()
        self.check_consumption()

    def end(self) -> None:
        """There is no worker any more."""
        self._is_watching = False
        for kind in ("tick", "look"):
            self._home.cancel_alarm((kind, self._lane.number))

    def begin(self, was_idle: bool) -> None:
        """The worker has frames in hand; ``was_idle``: it had none before."""
        if was_idle:
            self._deadline.begin(time.monotonic())
        if not self._is_watching:
            self._watch()

    def _watch(self) -> None:
        self._is_watching = True
        self._home.alarm(("tick", self._lane.number), self._deadline.interval_s)

    def check_deadline(self) -> None:
        """End the worker if its frame has taken too long."""
        self._is_watching = False
        tray = next((tray for tray in self._lane.rack.trays if tray.is_under_way), None)
        if tray is None or self._lane.worker is None:
            return
        index, count = tray.in_hand(self._lane.worker.mark())
        if self._lane.is_at_snapshot:
            # What it marked last is done.
            count = 1
        if self._lane.holds_back:
            # It is no fault of the worker that it has not begun.
            self._deadline.begin(time.monotonic())
        allowed = self._deadline.exceeded(index, count, tray.box.finished, time.monotonic())
        if allowed is None:
            self._watch()
        else:
            self._lane.end_worker(Death(Cause.DEADLINE, self._excess(allowed, count)))

    def _excess(self, allowed: float, count: int) -> str:
        if self._lane.is_at_snapshot:
            return f"exceeded its wall time of {allowed:g} s at its snapshot()"
        if count > 1:
            each, most = self._deadline.wall_time_s, self._deadline.most_s
            return (
                f"exceeded its wall time of {allowed:g} s for a run of {count} frames"
                f" ({each:g} s for each, at most {most:g} s)"
            )
        return f"exceeded its wall time of {allowed:g} s per frame"

    def check_consumption(self) -> None:
        """End the worker if it holds more than its policy allows."""
        if not self._lane.is_ready or self._lane.worker is None:
            return
        death = self._lane.worker.exceeded()
        if death is None:
            self._home.alarm(("look", self._lane.number), LOOK_S)
        else:
            self._lane.end_worker(death)
