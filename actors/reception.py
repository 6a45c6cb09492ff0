"""Where frames come in to a plugin actor: accepted into the mailboxes, answered from them, or refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from ..config.errors import NyxPluginError
from ..plugins.errors import RefusalLost
from . import messages as m
from .answers import Answers
from .durability import OnDisk, Volatile
from .frames import Frames
from .inheritance import kept
from .lanes import Lanes
from .letter_office import LetterOffice
from .outcome_keeper import OutcomeKeeper
from .owner import Owner
from .scaling import Scaling

# An acceptance that nobody waits for is told after this time at the latest, in seconds.
HELD_S = 0.025


@attrs.frozen(eq=False)
class Reception:
    """Of one plugin actor. What is accepted goes to the lanes; a frame that is not, to the dispatcher."""

    _owner: Owner
    _lanes: Lanes
    _scaling: Scaling
    _answers: Answers
    _keeper: OutcomeKeeper
    _store: Volatile | OnDisk
    _office: LetterOffice

    def enqueue(self, message: m.Enqueue) -> None:
        """Take frames, at once or when lanes have been added or taken away."""
        if not self._scaling.hold(message, self._owner.plan.balance == "by_key"):
            self.take(message)

    def let_in(self) -> None:
        """Take what is held back, and spread it as before: what came behind it must not overtake it."""
        for message in self._scaling.released(at_once=True):
            self.take(message)

    def take(self, message: m.Enqueue) -> None:
        """Accept what arrives, once it would survive what it has to."""
        if message.extras:
            message = self._claim(message)
            if not message.frames:
                return
        is_kept = self._store.is_on_disk and not self._owner.standing.given_up
        fresh = self._lanes.check(message).refused if is_kept else ()
        if fresh:
            self._store.accept(kept(message, set(fresh)), lambda error: self._accept(message, error))
        else:
            self._accept(message)

    def _accept(self, message: m.Enqueue, unkept: NyxPluginError | None = None) -> None:
        self._keeper.knows(message.session, message.settled_until)
        takes = unkept is None and not self._owner.standing.given_up
        intake = self._lanes.accept(message) if takes else self._lanes.check(message)
        self._answers.accepted(message.session, intake.known, at_once=message.is_awaited)
        if intake.again:
            lost = RefusalLost(self._owner.plan.plugin_id)
            self._answer_again(message.session, dict.fromkeys(intake.again, lost))
        if unkept is not None:
            self._overflow(message.session, intake.refused, unkept)
        elif intake.refused:
            self._store.forget(message.session, intake.refused, lambda: self._overflow(message.session, intake.refused))
        if message.extras:
            self._settle_claims(message)
        self._lanes.pump()
        self._tell_in_time()

    def _tell_in_time(self) -> None:
        """An acceptance that nobody waits for comes with the outcome, where that is a matter of a moment."""
        if not self._answers.are_held:
            return
        if not self._lanes.are_quick:
            self._answers.release()
        elif not self._answers.is_timed:
            self._answers.is_timed = True
            self._owner.alarm("answers", HELD_S)

    # What is not accepted, or was before.

    def refuse(self, message: m.Refuse) -> None:
        """Refuse what is not in the mailbox; what is stays accepted, whatever has changed since."""
        self.let_in()
        self._answer_again(message.session, dict(message.frames))

    def _answer_again(self, session: int, errors: Mapping[int, BaseException]) -> None:
        """Say what became of frames that were sent before, once that is kept; refuse, for these errors, the others."""
        self._store.after(lambda: self._answer_now(session, errors))

    def _answer_now(self, session: int, errors: Mapping[int, BaseException]) -> None:
        known = self._lanes.recall(session)
        results, unfinished, told = dict(known.finished), {*known.unfinished}, self._keeper.known_until(session)
        self._answers.accepted(session, [seq for seq in errors if seq in results or seq in unfinished])
        self._answers.settled(session, [(seq, results[seq]) for seq in errors if seq in results])
        lost = [seq for seq in errors if seq not in results and seq not in unfinished and seq > told]
        if lost:
            self._refused(session, {seq: errors[seq] for seq in lost})

    def _overflow(self, session: int, seqs: Iterable[int], unkept: NyxPluginError | None = None) -> None:
        error = unkept or self._refusal()
        self._refused(session, dict.fromkeys(seqs, error))

    def _refusal(self) -> NyxPluginError:
        return self._owner.standing.refusal(self._owner.plan, self._lanes.held(), self._lanes.are_cramped)

    def _refused(self, session: int, errors: Mapping[int, BaseException]) -> None:
        plan = self._owner.plan
        self._owner.send(plan.dispatcher, m.Overflowed(session, plan.plugin_id, tuple(errors.items())))

    # Dead letters that are delivered again.

    def _claim(self, message: m.Enqueue) -> m.Enqueue:
        """Note which dead letters are delivered again by new frames; what is left without those that can't be."""
        if not any(extra.letter for extra in message.extras.values()):
            return message
        fresh = {seq: message.extras[seq] for seq in self._lanes.check(message).refused if seq in message.extras}
        refused = self._office.claim(message.session, fresh)
        if refused:
            self._refused(message.session, refused)
        return attrs.evolve(message, frames=Frames.of([frame for frame in message.frames if frame[0] not in refused]))

    def _settle_claims(self, message: m.Enqueue) -> None:
        again = {(message.session, seq) for seq, extra in message.extras.items() if extra.letter}
        if again:
            self._office.settle_claims(self._lanes.was_accepted, again)
