"""What is asked of the dead letters of one plugin, and its plugin actor's way of keeping them."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import assert_never

from ..config.errors import NyxPluginError
from ..config.settings import LimitSettings
from ..plugins.errors import DeadLetterUnknown, JournalFailed, LetterOfAnother
from . import messages as m
from .dead_letter_info import DeadLetterContent, content_of_letter, info_of_letter
from .dead_letters import Bounds, DeadLetters
from .incarnation import incarnation_of
from .letter_book import DeadFrame
from .mailbox import Mailbox
from .results import DeadLetter, Result

Question = m.ListDeadLetters | m.GetDeadLetter | m.DropDeadLetters
# Headers of one answer, in bytes, except for the first.
PAGE_BYTES = 1 << 20
_ALL_BYTES = 1 << 62


def bounds(limits: LimitSettings) -> Bounds:
    """How many are kept."""
    return Bounds(limits.dead_letters, limits.dead_letter_bytes)


def answer(letters: DeadLetters, question: Question) -> m.Reply:
    """Do what is asked; what can't be done is the error of the reply."""
    try:
        return m.Reply(question.request_id, _value(letters, question))
    except NyxPluginError as error:
        return m.Reply(question.request_id, error=error)


def _value(letters: DeadLetters, question: Question) -> object:
    match question:
        case m.ListDeadLetters():
            found = letters.listed(question.after, question.limit)
            if question.with_headers:
                return _page(content_of_letter(question.plugin_id, letter) for letter in found)
            return [info_of_letter(question.plugin_id, letter) for letter in found]
        case m.GetDeadLetter():
            return content_of_letter(question.plugin_id, letters.get(question.letter_id))
        case m.DropDeadLetters():
            return letters.drop(question.ids)
        case _:
            assert_never(question)


def find(folder: str) -> list[int]:
    """The ids of the plugins that have dead letters there, or had some, in ascending order."""
    return sorted(int(path.stem) for path in Path(folder).glob("*.journal") if path.stem.isdecimal())


def _page(contents: Iterable[DeadLetterContent]) -> list[DeadLetterContent]:
    page: list[DeadLetterContent] = []
    room = PAGE_BYTES
    for content in contents:
        room -= content.header_bytes
        if page and room < 0:
            break
        page.append(content)
    return page


def dead_frames(box: Mailbox, ring: int, results: Sequence[Result]) -> list[tuple[str, list[DeadFrame]]]:
    """What is to be kept of the oldest frames of a mailbox, if they get these results: by reason, in order."""
    found: list[tuple[str, list[DeadFrame]]] = []
    if results.count(None) == len(results):
        return found
    for place, result in enumerate(results):
        if isinstance(result, DeadLetter):
            if not found or found[-1][0] != result.reason:
                found.append((result.reason, []))
            found[-1][1].append(_dead_frame(box, ring, box.finished + place))
    return found


def _dead_frame(box: Mailbox, ring: int, index: int) -> DeadFrame:
    [(frame_type, header)] = box.read(index, 1, _ALL_BYTES)
    return DeadFrame(ring, index, frame_type, header, box.deliveries(index), box.key(index), *box.origins(index, 1)[0])


class LetterOffice:
    """Keeps what a plugin actor dead-letters. What can't be kept is counted as lost, and ``tell`` is called.

    A frame has its outcome in any case: that it can't be kept must not hold up the others.
    """

    def __init__(self, plan: m.StartPlugin, tell: Callable[[str], None]) -> None:
        self._plugin = plan.manifest.name
        self._plugin_id = plan.plugin_id
        self._tell = tell
        self._unkept = 0
        incarnation = incarnation_of(plan)
        limits = bounds(plan.settings.limits) if plan.letters else Bounds(0, 0)
        self._letters = DeadLetters(
            plan.letters, plan.plugin_id, limits, incarnation=incarnation, durable=bool(plan.durable), tell=tell
        )

    def keep(self, reason: str, frames: Sequence[DeadFrame]) -> None:
        """Note frames that are about to be dead-lettered."""
        try:
            self._letters.add(frames, reason, time.time(), self._plugin)
            self._letters.sync()
        except JournalFailed as failed:
            self._unkept += len(frames)
            self._tell(f"{len(frames)} dead letters could not be kept: {failed}")

    def fates(self, ring: int, first: int, count: int) -> list[Result]:
        """What was decided on frames of a mailbox, from this index on, before they were finished: none of them may run.

        At most ``count``, as far as they were kept.
        """
        try:
            reasons = self._letters.reasons(ring)
        except JournalFailed as failed:
            self._tell(f"what was decided on frames is not known: {failed}")
            return []
        decided = takewhile(reasons.__contains__, range(first, first + count))
        return [DeadLetter(reasons[index]) for index in decided]

    def answer(self, question: Question) -> m.Reply:
        """Do what is asked."""
        return answer(self._letters, question)

    def counts(self) -> tuple[int, int]:
        """How many there are, and how many had to go, or could not be kept."""
        try:
            return self._letters.count, self._letters.lost + self._unkept
        except JournalFailed:
            return 0, self._unkept

    # Delivering again.

    def claim(self, session: int, extras: Mapping[int, m.Extra]) -> dict[int, NyxPluginError]:
        """Note which frames of ``extras`` deliver letters again; return, by sequence number, those that can't."""
        claims = {seq: extra.letter for seq, extra in extras.items() if extra.letter}
        refused: dict[int, NyxPluginError] = {}
        try:
            taken = self._letters.claims()
            for seq, letter_id in claims.items():
                # What waits for the disk has claimed its letter, and is not accepted yet.
                by = taken.setdefault(letter_id, (session, seq))
                error = self._obstacle(letter_id, by == (session, seq))
                if error is not None:
                    refused[seq] = error
            self._letters.claim((claims[seq], session, seq) for seq in claims if seq not in refused)
            self._letters.sync()
        except JournalFailed as failed:
            self.settle_claims(lambda *_: False, {(session, seq) for seq in claims})
            return dict.fromkeys(claims, failed)
        return refused

    def _obstacle(self, letter_id: int, is_free: bool) -> NyxPluginError | None:
        """Why this letter can't be delivered to this plugin again, if it can't."""
        try:
            letter = self._letters.get(letter_id)
        except DeadLetterUnknown as unknown:
            return unknown
        if not is_free:
            return DeadLetterUnknown(self._plugin_id, letter_id)
        if letter.plugin != self._plugin:
            return LetterOfAnother(self._plugin_id, letter_id, self._plugin, letter.plugin)
        return None

    def settle_claims(
        self, was_accepted: Callable[[int, int], bool], frames: Collection[tuple[int, int]] | None = None
    ) -> None:
        """Let go of the claimed letters whose frames (session, sequence number) were accepted; the others stay.

        Only claims of ``frames`` are settled, if they are given: others may wait to be accepted.
        """
        try:
            claims = {
                letter_id: frame
                for letter_id, frame in self._letters.claims().items()
                if frames is None or frame in frames
            }
            done = [letter_id for letter_id, frame in claims.items() if was_accepted(*frame)]
            self._letters.release(claims.keys() - set(done))
            if done:
                self._letters.drop(done)
                self._letters.sync()
        except JournalFailed as failed:
            self._tell(f"dead letters that were delivered again are still listed: {failed}")

    def close(self) -> None:
        """Let go of the file."""
        self._letters.close()
