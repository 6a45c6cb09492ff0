"""What a plugin actor puts down about frames on their way: handed out, buried, settled; and the fences between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs

from . import messages as m
from ._thespian import Address
from .answers import Answers
from .durability import OnDisk, Volatile
from .fences import Fences
from .lane_files import CONTROL
from .lanes import Lanes
from .letter_book import DeadFrame
from .letter_office import LetterOffice
from .results import Result
from .tray import HandOut, Settled, Tray


@attrs.frozen(eq=False)
class Ledger:
    """Of one plugin actor. Nobody is told anything, and no worker given anything, before it is put down."""

    _lanes: Lanes
    _answers: Answers
    _store: Volatile | OnDisk
    _office: LetterOffice
    _send: Callable[[Address, Any], None]
    _fences: Fences = attrs.field(factory=Fences)
    _fenced_for: dict[int, Address] = attrs.field(factory=dict)

    def hand_out(self, number: int, batch: HandOut, then: Callable[[], None]) -> None:
        """Give a batch to a worker, once it is known after another start of the machine that it had it."""
        if not self._store.is_on_disk:
            then()
            return
        tray, first = self._lanes[number].rack.tray(batch.first & CONTROL), batch.first & ~CONTROL
        self._store.hand_out(tray.ring(number), first, tray.box.origins(first, len(batch.frames)), then)

    @property
    def is_on_disk(self) -> bool:
        """Whether it is put down for longer than the system."""
        return self._store.is_on_disk

    def suspect(self, tray: Tray, count: int, then: Callable[[], None]) -> None:
        """The oldest frames of a tray go to another worker, and count as often delivered as they were by now."""
        first = tray.box.finished
        names = [(*name, tray.box.deliveries(first + n)) for n, name in enumerate(tray.box.origins(first, count))]
        self._store.take_back(names, then)

    def after(self, then: Callable[[], None]) -> None:
        """Call ``then`` once all is put down that was said before."""
        self._store.after(then)

    def bury(self, reason: str, frames: Sequence[DeadFrame]) -> None:
        """Keep frames that are about to be dead-lettered."""
        self._office.keep(reason, frames)

    def buried(self, number: int, tray: Tray) -> list[Result]:
        """The results of the oldest frames, if an earlier plugin actor was killed after it had kept them as dead."""
        return self._office.fates(tray.ring(number), tray.box.finished, tray.box.depth)

    def settled(self, outcomes: Settled, then: Callable[[], None] | None = None) -> None:
        """Tell the sessions the outcomes of their frames, and call ``then``."""
        self._store.settle(outcomes, lambda: self._tell(outcomes, then))

    def _tell(self, outcomes: Settled, then: Callable[[], None] | None) -> None:
        for session, settled in outcomes.items():
            self._answers.settled(session, settled)
        self._pass_fences()
        if then is not None:
            then()

    def fence(self, fence: m.Fence, sender: Address) -> None:
        """Answer the sender once all that was accepted up to now is (``settled``: has outcomes)."""
        self._fences.add(fence.token, self._lanes.accepted() if fence.settled else {})
        self._fenced_for[fence.token] = sender
        self._pass_fences()

    def _pass_fences(self) -> None:
        for token in self._fences.pass_by(self._lanes.finished):
            self._send(self._fenced_for.pop(token), m.FencePassed(token))
