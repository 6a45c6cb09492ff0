"""``Answers``: every answer goes out once and in order, and a session that confirms nothing gets a bounded number."""

from __future__ import annotations

import pickle
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins.actors import messages as m
from nyx_plugins.actors.answers import CONFIRMED_TOGETHER, MESSAGE_OUTCOMES, WINDOW, Answers, ranges_of
from nyx_plugins.actors.results import NoReplies, outcomes_of


class Session:
    """Takes what is sent to it, and owes a confirmation for some of it."""

    def __init__(self) -> None:
        self.taken: list[m.Accepted | m.Settled] = []
        self.answers = Answers(7, "the actor", self._send)
        self.answers.join(1, "the session")

    def _send(self, address: Any, message: m.Accepted | m.Settled) -> None:
        assert (address, message.plugin_id) == ("the session", 7)
        self.taken.append(message)

    @property
    def owed(self) -> int:
        """Count the confirmations asked for."""
        return sum(message.confirm_to == "the actor" for message in self.taken)

    @property
    def accepted(self) -> list[int]:
        """List what was accepted, as it was told."""
        found = [
            item
            for message in self.taken
            for item in (message.ranges if isinstance(message, m.Accepted) else message.accepted)
        ]
        return [seq for first, last in found for seq in range(first, last + 1)]

    @property
    def settled(self) -> list[int]:
        """List what has its outcome, as it was told."""
        return [seq for message in self.taken if isinstance(message, m.Settled) for seq, _ in message.outcomes]


@given(st.lists(st.tuples(st.integers(1, 5), st.booleans(), st.booleans()), max_size=200))
def test_every_answer_goes_out_once_and_in_order(steps: list[tuple[int, bool, bool]]) -> None:
    """Whatever is confirmed when, no more than the window is under way, and in the end all has been sent."""
    session, confirmed, last, sent = Session(), 0, 0, []
    for count, settle, confirm in steps:
        seqs = list(range(last + 1, last + count + 1))
        last += count
        sent += seqs
        session.answers.accepted(1, seqs)
        if settle:
            # With and without replies.
            session.answers.settled(1, outcomes_of(seqs, [b"reply" if count == 2 else None] * count))
        while confirm and confirmed < session.owed:
            confirmed += 1
            session.answers.acknowledge(1)
        assert len(session.taken) - confirmed * CONFIRMED_TOGETHER <= WINDOW
    while confirmed < session.owed:
        confirmed += 1
        session.answers.acknowledge(1)
    assert session.accepted == sent
    assert session.settled == [seq for seq in sent if seq in set(session.settled)]
    assert len(session.settled) == sum(count for count, settle, _ in steps if settle)


def test_what_waited_travels_together() -> None:
    """A session that stood still gets the rest in as few messages as their size allows."""
    session = Session()
    count = WINDOW + MESSAGE_OUTCOMES + 1
    for seq in range(1, count + 1):
        session.answers.settled(1, [(seq, b"reply")])
    assert len(session.taken) == WINDOW
    session.answers.acknowledge(1)
    assert [len(message.outcomes) for message in session.taken[WINDOW:]] == [MESSAGE_OUTCOMES, 1]
    assert session.settled == list(range(1, count + 1))


def test_outcomes_without_replies_travel_as_one_run() -> None:
    """As long as their numbers follow each other, and nothing with a reply is before them."""
    session = Session()
    for seq in range(1, WINDOW + 1):
        session.answers.settled(1, [(seq, b"reply")])
    for first, reply in ((1, None), (3, None), (6, None), (8, b"reply"), (10, None)):
        seqs = range(WINDOW + first, WINDOW + first + 2)
        session.answers.settled(1, outcomes_of(seqs, [reply] * 2))
    session.answers.acknowledge(1)
    told = [message.outcomes for message in session.taken[WINDOW:] if isinstance(message, m.Settled)]
    assert isinstance(told[0], NoReplies)
    assert told[0] == [(WINDOW + number, None) for number in (1, 2, 3, 4)]
    assert [seq - WINDOW for seq, _ in told[1]] == [6, 7, 8, 9, 10, 11]
    assert pickle.loads(pickle.dumps(told[0])) == told[0]


def test_the_end_does_not_wait_for_confirmation() -> None:
    """An actor that is about to end sends all that waits."""
    session = Session()
    for seq in range(1, 2 * WINDOW + 1):
        session.answers.accepted(1, [seq])
    session.answers.send_all()
    assert session.accepted == list(range(1, 2 * WINDOW + 1))


def test_the_last_answer_is_confirmed_by_those_who_had_any() -> None:
    """An actor knows when everybody has read what became of their frames; who leaves need not."""
    session = Session()
    session.answers.join(2, "elsewhere")
    session.answers.accepted(1, [1])
    session.answers.send_all()
    assert session.answers.unconfirmed == [1]
    session.answers.acknowledge(1)
    assert not session.answers.unconfirmed
    session.answers.accepted(1, [2])
    session.answers.send_all()
    session.answers.leave(1)
    assert not session.answers.unconfirmed


def test_sessions_that_are_not_there_are_not_answered() -> None:
    """Nothing is sent to, or kept for, a session that left or never came; joining twice changes nothing."""
    session = Session()
    session.answers.accepted(2, [1])
    session.answers.join(1, "elsewhere")
    session.answers.settled(1, [(1, None)])
    session.answers.leave(1)
    session.answers.leave(1)
    session.answers.accepted(1, [2])
    session.answers.acknowledge(1)
    session.answers.send_all()
    assert (session.accepted, session.settled) == ([], [1])


@given(st.sets(st.integers(1, 60), min_size=1))
def test_ranges_hold_exactly_the_numbers(seqs: set[int]) -> None:
    """They are ascending and do not touch, and together they are what was given."""
    ranges = ranges_of(sorted(seqs))
    assert [seq for first, last in ranges for seq in range(first, last + 1)] == sorted(seqs)
    assert all(first > before + 1 for (_, before), (first, _) in pairwise(ranges))


def test_an_acceptance_that_nobody_waits_for_comes_with_the_outcome() -> None:
    """Both are in one message; without an outcome it is told when it is released, and with the next that is awaited."""
    session = Session()
    session.answers.accepted(1, [1], at_once=False)
    assert not session.taken and session.answers.are_held
    session.answers.settled(1, [(1, None)])
    assert session.taken == [m.Settled(7, ((1, None),), None, ((1, 1),))]
    session.answers.accepted(1, [2], at_once=False)
    session.answers.release()
    session.answers.accepted(1, [3], at_once=False)
    session.answers.accepted(1, [4])
    assert session.taken[1:] == [m.Accepted(7, ((2, 2),)), m.Accepted(7, ((3, 3), (4, 4)))]
    assert not session.answers.are_held
