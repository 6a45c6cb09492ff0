"""How a plugin actor comes to have more lanes or fewer."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..config.errors import NyxPluginError
from ..plugins.errors import MailboxFailed
from . import messages as m
from .lane import Lane
from .lanes import Lanes

ALARM = "scale"
# A plugin actor that takes over waits so long before it spreads frames anew: what was under way to the one before
# comes again, and has to go where that one would have put it.
SETTLE_S = 2.0

Answer = Callable[[m.ScalePlugin, NyxPluginError | None], None]
"""Tells who asked that it is done, or why not."""


class Scaling:
    """Keeps the number of lanes what it should be, and answers who asked for it once it is.

    Where frames are spread by key, new ones are held back until all lanes are empty; else a key's frames could be in
    two lanes. A lane that is not needed any more finishes what it holds, and its worker stops.
    """

    def __init__(self, lanes: Lanes, target: int, answer: Answer) -> None:
        self._lanes = lanes
        self._target = target
        self._answer = answer
        self._asked: list[m.ScalePlugin] = []
        self._held: list[m.Enqueue] = []
        self._not_before = time.monotonic() + SETTLE_S if lanes.is_recovered else 0.0

    @property
    def is_pending(self) -> bool:
        """Whether frames are still spread as before."""
        return self._target != self._lanes.assigned

    @property
    def is_at_work(self) -> bool:
        """Whether anything is left to be done."""
        return bool(self.is_pending or self._asked or self._held or len(self._lanes) > self._lanes.assigned)

    @property
    def due_in_s(self) -> float:
        """How long it has to wait at least, in seconds."""
        return max(0.0, self._not_before - time.monotonic())

    def ask(self, question: m.ScalePlugin) -> None:
        """Have so many lanes from now on."""
        self._target = question.instances
        self._asked.append(question)

    def hold(self, message: m.Enqueue, by_key: bool) -> bool:
        """Whether these frames have to wait, and do from now on."""
        if self._held or (by_key and self.is_pending and not self.due_in_s):
            self._held.append(message)
            return True
        return False

    def spread(self, by_key: bool) -> list[Lane]:
        """Spread frames anew if that is possible now; return the lanes that need a worker and have none."""
        if not self.is_pending or self.due_in_s or (by_key and self._lanes.depth):
            return []
        try:
            self._lanes.spread(self._target)
        except MailboxFailed as error:
            self._target = self._lanes.assigned
            self.end(error)
            return []
        return [lane for lane in self._lanes.working if lane.worker is None]

    def released(self, at_once: bool = False) -> list[m.Enqueue]:
        """What was held back and need not be any more (``at_once``: or must not be), in order."""
        if self.is_pending and not at_once:
            return []
        held, self._held = self._held, []
        return held

    def surplus(self) -> list[Lane]:
        """Lanes with a worker that they do not need any more."""
        return [lane for lane in self._lanes if lane.worker is not None and not self._lanes.is_needed(lane)]

    def tell(self) -> None:
        """Answer who asked, if it is done."""
        spare = [lane for lane in self._lanes if lane.number >= self._lanes.assigned and lane.worker is not None]
        if self.is_pending or spare or not self._lanes.is_ready:
            return
        self.end()

    def end(self, error: NyxPluginError | None = None) -> None:
        """Answer who asked, done or not, and if not because of an ``error``, with that."""
        asked, self._asked = self._asked, []
        for question in asked:
            self._answer(question, error)
