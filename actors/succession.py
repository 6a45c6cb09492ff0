"""From one version of a plugin to the next, within its plugin actor: the swap, and the end of the old workers."""

from __future__ import annotations

from typing import Any, Protocol

from ..config.errors import NyxPluginError
from ..plugins.errors import SwapFailed
from . import messages as m
from . import retiring, swapping
from ._thespian import Address
from .deaths import Death
from .home import Home
from .lane import Lane
from .lanes import Lanes
from .retiring import Retiring
from .swapping import Swapping, Switch
from .worker import Worker


class Owner(Home, Protocol):
    """What a succession needs of its actor, besides what lanes need."""

    def send(self, target: Address, message: Any) -> None:
        """Send a message."""

    def adopt(self, plan: m.StartPlugin) -> None:
        """Start workers with this plan from now on."""

    def swap_over(self) -> None:
        """Nothing is being swapped any more: go on with what has waited for that."""


class Succession:
    """Of one plugin actor: at most one swap at a time, and of the one before the workers that unload."""

    def __init__(self, owner: Owner, parent: Address, lanes: Lanes) -> None:
        self._owner = owner
        self._parent = parent
        self._lanes = lanes
        self._swap_id = 0
        self.swapping: Swapping | None = None
        """The swap that is under way."""
        self._retiring: Retiring | None = None

    @property
    def workers(self) -> list[Worker]:
        """All that are not a lane's and have not ended."""
        coming = [] if self.swapping is None else self.swapping.workers
        return coming + self._leaving

    @property
    def _leaving(self) -> list[Worker]:
        return [] if self._retiring is None else self._retiring.workers

    def is_leaving(self, worker: Worker) -> bool:
        """Whether it is of the old version, and unloads."""
        return worker in self._leaving

    def begin(self, order: m.SwapPlugin) -> None:
        """Swap as ordered; the supervisor is told what came of it."""
        self._swap_id = order.swap_id
        standing, plugin_id = self._owner.standing, self._owner.plan.plugin_id
        if standing.given_up or standing.draining is not None:
            reason = standing.given_up or "it is being unloaded"
            self.swap_failed(SwapFailed(plugin_id, "start", reason, goes_on=False))
            return
        self.swapping = Swapping(self._owner, self, self._lanes.working, order)
        self.swapping.begin()

    def lane_crashed(self, lane: Lane, death: Death) -> None:
        """The worker of this lane has ended, and is started again."""
        if self.swapping is not None:
            self.swapping.lane_crashed(lane, death)

    def abandon(self, reason: str) -> None:
        """End the swap that is under way, if one is: the plugin itself ends."""
        if self.swapping is not None:
            self.swapping.abandon(reason)

    def on_alarm(self, name: str) -> None:
        """A swap, or the end of the old workers, takes too long."""
        if name == swapping.ALARM and self.swapping is not None:
            self.swapping.on_alarm()
        elif name == retiring.ALARM:
            self.end()

    def end(self) -> None:
        """End those of the old version that have not ended by themselves."""
        if self._retiring is not None:
            self._retiring.end()

    # What the swap says.

    def adopt(self, plan: m.StartPlugin) -> None:
        """Start workers with this plan from now on."""
        self._retiring = Retiring(self._owner, self._owner.plan.policy, self._old_version_stopped)
        self._owner.adopt(plan)

    def swapped(self, switch: Switch) -> None:
        """Report that the new version works, and let the old one's workers unload."""
        self.swapping = None
        self._owner.send(self._parent, m.PluginSwapped(self._swap_id, switch.pause_s, switch.state_carried))
        assert self._retiring is not None
        self._retiring.begin(switch.retired)
        self._owner.swap_over()

    def swap_failed(self, error: NyxPluginError) -> None:
        """Report that the old version goes on."""
        self.swapping = None
        self._owner.send(self._parent, m.SwapAbandoned(self._swap_id, error))
        self._owner.swap_over()

    def _old_version_stopped(self) -> None:
        self._retiring = None
        self._owner.send(self._parent, m.OldVersionStopped(self._swap_id))
