"""The end of a plugin that is unloaded: its frames finished, its workers stopped, its sessions told, in this order."""

from __future__ import annotations

import attrs

from . import messages as m
from ._thespian import Address
from .answers import Answers
from .durability import OnDisk, Volatile
from .lanes import Lanes
from .owner import Owner
from .pausing import Pausing
from .reception import Reception
from .remarks import Remarks
from .succession import Succession
from .word_book import Words

# How long an unload waits for sessions that do not read what became of their frames, in seconds.
CONFIRM_S = 1.0
DRAIN_ALARM = "drain"
CONFIRM_ALARM = "confirmed"


class Closing:
    """Of one plugin actor; its supervisor is told when there is nothing left."""

    def __init__(
        self,
        owner: Owner,
        parent: Address,
        lanes: Lanes,
        reception: Reception,
        pausing: Pausing,
        succession: Succession,
        answers: Answers,
        store: Volatile | OnDisk,
        remarks: Remarks,
    ) -> None:
        self._owner = owner
        self._standing = owner.standing
        self._parent = parent
        self._lanes = lanes
        self._reception = reception
        self._pausing = pausing
        self._succession = succession
        self._answers = answers
        self._store = store
        self._remarks = remarks
        self._lost_before = 0
        self._stop_error: str | None = None
        self._last_words: m.PluginDrained | None = None

    def drain(self, message: m.DrainPlugin) -> None:
        """Finish what is there, then stop the workers."""
        self._reception.let_in()
        self._succession.abandon("it was unloaded")
        self._standing.draining = message
        self._lost_before = self._lanes.statistics().dead_lettered
        self._pausing.end()
        self._owner.alarm(DRAIN_ALARM, message.drain_s)
        self._lanes.pump()
        self.advance()

    def advance(self) -> None:
        """Stop the workers, if nothing is left to be done."""
        if self._standing.draining is None or self._lanes.depth > 0:
            return
        self._owner.cancel_alarm(DRAIN_ALARM)
        for lane in self._lanes:
            lane.stop()

    def note(self, error: str | None) -> None:
        """A worker has stopped, perhaps with an error of ``on_unload``."""
        self._stop_error = self._stop_error or error

    def stopped(self) -> None:
        """Report, once no lane has a worker."""
        if not any(lane.worker for lane in self._lanes):
            self._drained(self._stop_error)

    def on_alarm(self, name: str) -> None:
        """Frames are not finished in time, or sessions do not read what became of theirs."""
        if name == DRAIN_ALARM:
            self._give_up()
        else:
            self.say_last_words(in_time=False)

    def _give_up(self) -> None:
        draining = self._standing.draining
        assert draining is not None
        for lane in self._lanes:
            if draining.keep and self._store.is_on_disk:
                # Only what was begun has to have an outcome now; the next system goes on with the rest.
                lane.settle_suspects(draining.reason)
                lane.drop_worker()
            else:
                lane.condemn(draining.reason)
        self._drained(None)

    def _drained(self, error: str | None) -> None:
        """The worker needs nothing more: report, and let the supervisor end this actor."""
        self._succession.end()
        if self._standing.draining is not None:
            self._store.after(lambda: self._report(error))

    def _report(self, error: str | None) -> None:
        if self._standing.draining is not None:
            self._standing.draining = None
            self._standing.give_up("it is unloaded")
            dead_lettered = self._lanes.statistics().dead_lettered - self._lost_before
            self._last_words = m.PluginDrained(self._owner.plan.load_id, dead_lettered, error)
            self._answers.send_all()
            self._remarks.finish()
            self._owner.alarm(CONFIRM_ALARM, CONFIRM_S)
            self.say_last_words()

    def say_last_words(self, in_time: bool = True) -> None:
        """Report once all sessions know what became of their frames; who does not read, the supervisor will tell."""
        unconfirmed = self._answers.unconfirmed
        if self._last_words is not None and (not unconfirmed or not in_time):
            self._owner.cancel_alarm(CONFIRM_ALARM)
            # What is left to the next system has no outcome here: all have to know of it.
            sessions = self._answers.sessions if self._lanes.depth else unconfirmed
            words = {session: self._words_for(session) for session in sessions}
            self._owner.send(self._parent, attrs.evolve(self._last_words, last_words=words))
            self._last_words = None

    def _words_for(self, session: int) -> Words:
        return Words.of(*self._lanes.recall(session), self._lanes.keeper.known_until(session))
