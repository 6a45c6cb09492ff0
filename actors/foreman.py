"""What follows when the worker of a lane is ready, has done something or has ended; how many lanes there are."""

from __future__ import annotations

import random
import time

from ..config.errors import NyxPluginError
from ..plugins.errors import PluginFailed
from . import messages as m
from . import scaling
from ._thespian import Address
from .closing import Closing
from .deaths import Death
from .lanes import Lanes
from .owner import Owner
from .pausing import Pausing
from .plans import child_spec
from .reception import Reception
from .remarks import Remarks
from .scaling import Scaling
from .succession import Succession
from .supervision import GiveUp, Restart, Stay, Verdict, decide


class Foreman:
    """Of the lanes of one plugin actor; its supervisor is told what they come to."""

    def __init__(
        self,
        owner: Owner,
        parent: Address,
        lanes: Lanes,
        scaling: Scaling,
        reception: Reception,
        pausing: Pausing,
        succession: Succession,
        closing: Closing,
        remarks: Remarks,
    ) -> None:
        self._owner = owner
        self._standing = owner.standing
        self._parent = parent
        self._lanes = lanes
        self._scaling = scaling
        self._reception = reception
        self._pausing = pausing
        self._succession = succession
        self._closing = closing
        self._remarks = remarks
        self._is_down = True
        self._restarts = owner.plan.restarts

    def forget_restarts(self) -> None:
        """Another version is there, which has not crashed yet."""
        self._restarts = ()

    def lane_ready(self) -> None:
        """Report that the plugin is ready, once all its lanes are."""
        self._tell_ready()
        self.rescale()

    def _tell_ready(self) -> None:
        if self._lanes.is_ready and self._is_down:
            self._is_down, self._standing.has_been_ready = False, True
            self._owner.send(self._parent, m.PluginStarted(self._owner.plan.load_id))

    def lane_failed(self, reason: str, error: NyxPluginError | None) -> None:
        """Report that the plugin can't be loaded."""
        for lane in self._lanes:
            lane.drop_worker()
        self._remarks.finish()
        self._standing.give_up(reason)
        plan = self._owner.plan
        failed = error or PluginFailed(plan.plugin_id, reason, "start")
        self._owner.send(self._parent, m.PluginStartFailed(plan.load_id, failed))

    def lane_crashed(self, number: int, death: Death) -> None:
        """Start the worker again if its policy allows; else no frame will be processed any more."""
        lane = self._lanes[number]
        if not self._standing.given_up and not self._lanes.is_needed(lane):
            self.rescale()
            return
        reason, self._is_down = f"worker {death}", True
        verdict = Stay() if self._standing.given_up else self._verdict(death.normal)
        after_s = verdict.after_s if isinstance(verdict, Restart) else None
        why = verdict.reason if isinstance(verdict, GiveUp) else ""
        load_id = self._owner.plan.load_id
        self._owner.send(self._parent, m.WorkerCrashed(load_id, reason, after_s, self._restarts, why))
        if after_s is None and not self._standing.has_been_ready:
            self.lane_failed(reason, None)
        elif after_s is None:
            self._fail(reason)
        else:
            lane.restart(after_s)
            self._succession.lane_crashed(lane, death)

    def _verdict(self, normal: bool) -> Verdict:
        spec = child_spec("worker", self._owner.plan.settings, self._owner.plan.manifest.restart)
        self._restarts, verdict = decide(spec, self._restarts, time.monotonic(), normal, random.random())
        return verdict

    def _fail(self, reason: str) -> None:
        self._standing.give_up(self._standing.given_up or reason)
        for lane in self._lanes:
            lane.condemn("failed plugin")
        self._succession.abandon("the plugin has failed")
        self._closing.advance()
        self.rescale()

    def quarantine(self, reason: str) -> None:
        """Nothing more goes to the workers or comes from them."""
        self._standing.quarantine(reason)
        self._succession.abandon("it was quarantined")
        for lane in self._lanes:
            lane.condemn("quarantined")
        self._closing.advance()

    def lane_went_on(self) -> None:
        """Answer who has waited for the end of what was in hand."""
        self._pausing.answer()
        self._closing.advance()
        if self._succession.swapping is not None:
            self._succession.swapping.advance()
        self.rescale()

    def lane_stopped(self, number: int, error: str | None) -> None:
        """Report that the plugin needs nothing more, once no lane does; start one again that is needed after all."""
        self._closing.note(error)
        if self._standing.draining is not None:
            self._closing.stopped()
            return
        if self._lanes.is_needed(self._lanes[number]) and not self._standing.given_up:
            self._lanes[number].start()
        self.rescale()

    def rescale(self) -> None:
        """Go on with a change of the number of lanes, if there is one."""
        is_held_up = self._standing.draining is not None or self._succession.swapping is not None
        if is_held_up or not self._scaling.is_at_work:
            return
        if self._standing.given_up:
            self._reception.let_in()
            self._scaling.end()
            return
        by_key = self._owner.plan.balance == "by_key"
        for lane in self._scaling.spread(by_key):
            lane.start()
        if self._scaling.is_pending and self._scaling.due_in_s:
            self._owner.alarm(scaling.ALARM, self._scaling.due_in_s)
        for message in self._scaling.released():
            self._reception.take(message)
        for lane in self._scaling.surplus():
            lane.stop()
        self._scaling.tell()
        # The lane that all have waited for may be the one that is not needed any more.
        self._tell_ready()
