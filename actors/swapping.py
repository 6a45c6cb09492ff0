"""A swap within a plugin actor: all lanes go from one version to the next at one boundary between their frames."""

from __future__ import annotations

import enum
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import attrs

from ..config.errors import NyxPluginError
from ..plugins.errors import SwapFailed
from ..plugins.integrity import check_copy
from . import messages as m
from .deaths import Death
from .home import Home
from .lane import Lane
from .successor import Phase, Successor
from .worker import Worker

ALARM = "swap"
WAIT = "wait"
"""What a failure calls the step in which the old workers finish what they have in hand."""


class Step(enum.Enum):
    """How far the swap is."""

    STARTING = enum.auto()
    WAITING = enum.auto()
    MOVING = enum.auto()
    OVER = enum.auto()


@attrs.frozen
class Switch:
    """What became of a swap that has succeeded."""

    retired: tuple[Worker, ...]
    """The old version's workers, still to be stopped."""
    pause_s: float
    state_carried: bool


class Stage(Protocol):
    """The plugin actor, as its swap sees it."""

    def adopt(self, plan: m.StartPlugin) -> None:
        """The new version is in its place: workers that are started from now on are of that one."""

    def swapped(self, switch: Switch) -> None:
        """The new version works."""

    def swap_failed(self, error: NyxPluginError) -> None:
        """The old version goes on, and of the new one nothing is left."""


class Swapping:
    """From the start of the new workers beside the old ones to the switch, or to the end of the attempt."""

    def __init__(self, home: Home, stage: Stage, lanes: Sequence[Lane], order: m.SwapPlugin) -> None:
        self._home = home
        self._stage = stage
        self._order = order
        self._step = Step.STARTING
        self._idle_since: float | None = None
        self._plan = attrs.evolve(
            home.plan,
            manifest=order.manifest,
            policy=order.policy,
            digest=order.digest,
            bundle_directory=order.bundle_directory,
        )
        self._successors: list[Successor] = []
        self._retired: list[Worker] = []
        self._lanes = tuple(lanes)

    @property
    def workers(self) -> list[Worker]:
        """The new version's workers, and those of the old one that are not in their place any more."""
        return [successor.worker for successor in self._successors] + self._retired

    def begin(self) -> None:
        """Start the new version's workers."""
        self._home.alarm(ALARM, self._order.timeout_s)
        try:
            check_copy(self._plan.plugin_id, Path(self._plan.bundle_directory, "bundle"), self._plan.digest)
            self._successors = [Successor(self._home, lane, self._plan, self) for lane in self._lanes]
            for successor in self._successors:
                if self._step is Step.STARTING:
                    successor.start()
        except (NyxPluginError, ImportError) as error:
            self.fail("start", str(error))

    def advance(self) -> None:
        """Go on, if all lanes have come as far as is needed."""
        if self._step is Step.STARTING and self._all_are(Phase.READY):
            self._wait()
        if self._step is Step.WAITING and self._are_idle():
            self._move()
        if self._step is Step.MOVING and self._all_are(Phase.RESTORED):
            self._switch()

    def _all_are(self, phase: Phase) -> bool:
        return all(successor.phase is phase for successor in self._successors)

    def _wait(self) -> None:
        """Give the old workers no more frames: they finish what they have in hand, within their wall time."""
        self._step = Step.WAITING
        self._home.alarm(ALARM, self._order.timeout_s)
        for lane in self._lanes:
            lane.is_held = True

    def _are_idle(self) -> bool:
        idle = [lane.is_idle() for lane in self._lanes]
        if self._idle_since is None and any(idle):
            self._idle_since = time.monotonic()
        return all(idle)

    def _move(self) -> None:
        self._step = Step.MOVING
        self._home.alarm(ALARM, self._order.timeout_s)
        for successor in self._successors:
            if self._step is Step.MOVING:
                successor.take_over()

    def _switch(self) -> None:
        self._end()
        self._stage.adopt(self._plan)
        for successor in self._successors:
            old = successor.lane.switch(successor.worker)
            self._retired += [] if old is None else [old]
        for successor in self._successors:
            successor.let_out()
        pause_s = time.monotonic() - (self._idle_since or time.monotonic())
        state_carried = any(successor.has_state for successor in self._successors)
        self._stage.swapped(Switch(tuple(self._retired), pause_s, state_carried))
        self._release()

    # What ends it before.

    def fail(self, step: str, reason: str, goes_on: bool = True) -> None:
        """End the new workers; the old ones go on, unless their end is the reason."""
        if self._step is Step.OVER:
            return
        self._end()
        successors, self._successors = self._successors, []
        for successor in successors:
            successor.kill()
        self._stage.swap_failed(SwapFailed(self._plan.plugin_id, step, reason, goes_on))
        self._release()

    def abandon(self, reason: str) -> None:
        """The plugin is unloaded, or can't go on."""
        self.fail(self._where(), reason, goes_on=False)

    def lane_crashed(self, lane: Lane, death: Death) -> None:
        """The old version's worker of this lane has ended: it has nothing in hand now, and may have lost its state."""
        collecting = [other for other in self._successors if other.lane is lane and other.phase is Phase.COLLECTING]
        if collecting:
            self.fail("snapshot", f"the old version's worker {death}")
        else:
            self.advance()

    def on_alarm(self) -> None:
        """The new workers have not started in time, or not taken over."""
        where = self._where()
        self.fail(where, f"{_LATE[where]} within {self._order.timeout_s:g} s")

    def _where(self) -> str:
        """The step at which the slowest lane is."""
        phases = [successor.phase for successor in self._successors]
        if self._step is Step.WAITING:
            return WAIT
        reached = [phase for phase in _AT_WORK if phase in phases]
        return str(reached[0] if reached else Phase.STARTING)

    def _end(self) -> None:
        self._step = Step.OVER
        self._home.cancel_alarm(ALARM)
        for lane in self._lanes:
            lane.forget_snapshot()

    def _release(self) -> None:
        for lane in self._lanes:
            lane.is_held = False
            lane.pump()


# In which somebody has something to do, in their order.
_AT_WORK = (Phase.STARTING, Phase.COLLECTING, Phase.RESTORING, Phase.GETTING_READY)
_LATE: dict[str, str] = {
    Phase.STARTING: "the new version did not start",
    WAIT: "the old version did not finish what it had in hand",
    Phase.COLLECTING: "snapshot() of the old version, which its frames wait for, did not end",
    Phase.RESTORING: "restore() of the new version did not end",
    Phase.GETTING_READY: "on_ready() of the new version did not end",
}
