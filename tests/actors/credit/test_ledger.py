"""The ledger of credit: who holds how much, and who gives back."""

from __future__ import annotations

from collections import deque

import pytest

from nyx_plugins.actors.credit import CreditLedger, CreditStatistics, Directive, Grant, Recall


def _ledger(capacity: int, *sessions: int) -> CreditLedger:
    """A ledger with these sessions, each of which has its fair share."""
    ledger = CreditLedger(capacity)
    for session in sessions:
        moves = deque(ledger.attach(session))
        while moves:
            move = moves.popleft()
            if isinstance(move, Recall):
                moves += ledger.returned(move.session, move.frames)
    return ledger


def test_a_lone_session_gets_everything() -> None:
    """Who is alone is granted the whole capacity when it attaches."""
    assert CreditLedger(100).attach(1) == [Grant(1, 100)]


def test_attaching_twice() -> None:
    """A session that is there already is left as it is."""
    ledger = _ledger(100, 1)
    assert ledger.attach(1) == []
    assert ledger.lease(1) == 100


def test_a_second_session_gets_half() -> None:
    """The first session gives back half, and each part that is back is granted at once."""
    ledger = _ledger(100, 1)
    assert ledger.attach(2) == [Recall(1, 50)]
    assert ledger.returned(1, 30) == [Grant(2, 30)]
    assert ledger.returned(1, 20) == [Grant(2, 20)]
    assert (ledger.lease(1), ledger.lease(2)) == (50, 50)


def test_a_third_session_is_served_by_the_largest() -> None:
    """What a newcomer misses is cut from the largest leases evenly."""
    ledger = _ledger(100, 1, 2)
    assert ledger.attach(3) == [Recall(1, 17), Recall(2, 16)]


def test_recalls_under_way_are_taken_into_account() -> None:
    """No more is recalled than is missing besides what has been recalled already."""
    ledger = _ledger(100, 1)
    assert ledger.attach(2) == [Recall(1, 50)]
    assert ledger.attach(3) == [Recall(1, 16)]
    assert ledger.returned(1, 66) == [Grant(2, 33), Grant(3, 33)]


@pytest.mark.parametrize(
    ("leases", "want", "moves"),
    [
        ({1: 60, 2: 30, 3: 10}, 5, [Recall(1, 5)]),
        ({1: 45, 2: 45, 3: 10}, 5, [Recall(1, 3), Recall(2, 2)]),
        ({1: 60, 2: 30, 3: 10}, 100, [Recall(1, 25)]),
        ({1: 34, 2: 33, 3: 33}, 100, []),
        ({1: 50, 2: 25, 3: 25}, 0, []),
    ],
)
def test_wants_are_met_up_to_the_fair_share(leases: dict[int, int], want: int, moves: list[Directive]) -> None:
    """Session 3 wants more: the largest leases shrink, but nobody below the share that all can have."""
    ledger = _ledger(100, 1, 2, 3)
    for session, size in leases.items():
        ledger.returned(session, max(0, ledger.lease(session) - size))
    for session, size in leases.items():
        ledger.want(session, size - ledger.lease(session))
    assert {session: ledger.lease(session) for session in leases} == leases
    assert ledger.want(3, want) == moves
    assert ledger.want(3, want) == [], "it is under way"


def test_free_credit_is_granted_at_once() -> None:
    """A want is served from free credit without troubling anybody."""
    ledger = _ledger(100, 1, 2)
    ledger.returned(1, 30)
    assert ledger.want(2, 20) == [Grant(2, 20)]
    assert ledger.statistics() == CreditStatistics(capacity=100, leased=90, free=10, sessions=2, waiting=0)


def test_a_want_is_remembered_and_can_be_replaced() -> None:
    """What can't be granted now is granted when credit comes back, as far as it is still wanted."""
    ledger = _ledger(10, 1, 2)
    assert ledger.want(1, 9) == []
    assert ledger.want(1, 3) == []
    assert ledger.returned(2, 5) == [Grant(1, 3)]
    assert ledger.statistics().free == 2
    ledger.want(1, 9)
    assert ledger.want(1, 0) == []
    assert ledger.returned(2, 1) == []


def test_more_sessions_than_credits() -> None:
    """A credit goes round: recalled from who has held it longest, granted in the order of the wants."""
    ledger = _ledger(1, 1, 2, 3)
    assert ledger.lease(1) == 1
    assert ledger.want(2, 5) == [Recall(1, 1)]
    assert ledger.want(3, 5) == []
    assert ledger.returned(1, 1) == [Grant(2, 1), Recall(2, 1)]
    assert ledger.want(1, 5) == []
    assert ledger.returned(2, 1) == [Grant(3, 1), Recall(3, 1)]
    assert ledger.want(2, 5) == []
    assert ledger.returned(3, 1) == [Grant(1, 1), Recall(1, 1)]
    assert ledger.returned(1, 1) == [Grant(2, 1)]


def test_credit_in_turn_comes_from_who_held_it_longest() -> None:
    """Among holders of single credits the one granted first gives back first."""
    ledger = _ledger(2, 1, 2)
    ledger.attach(3)
    assert ledger.want(3, 1) == [Recall(1, 1)]
    assert ledger.returned(1, 1) == [Grant(3, 1)]
    assert ledger.want(1, 1) == [Recall(2, 1)]
    assert ledger.returned(2, 1) == [Grant(1, 1)]
    assert ledger.want(2, 1) == [Recall(3, 1)]


def test_detached_lease_stays_taken_until_it_is_back() -> None:
    """What a session that is gone has outstanding is not lent again before it is finished."""
    ledger = _ledger(10, 1)
    assert ledger.detach(1) == []
    assert ledger.attach(2) == []
    assert ledger.statistics() == CreditStatistics(capacity=10, leased=10, free=0, sessions=1, waiting=1)
    assert ledger.returned(1, 4) == [Grant(2, 4)]
    assert ledger.drained(1) == [Grant(2, 6)]
    assert (ledger.lease(1), ledger.lease(2)) == (0, 10)


def test_nothing_is_asked_of_a_detached_session() -> None:
    """Nobody is there to answer a recall, or to be granted anything."""
    ledger = _ledger(10, 1, 2)
    ledger.detach(1)
    assert ledger.want(1, 5) == []
    assert ledger.want(2, 10) == []
    assert ledger.detach(1) == []


def test_drained_while_attached() -> None:
    """A session that is there keeps its lease when its frames are finished."""
    ledger = _ledger(10, 1)
    assert ledger.drained(1) == []
    assert ledger.lease(1) == 10


def test_strangers_and_surpluses() -> None:
    """Sessions without a lease, and more credit than was lent, make none."""
    ledger = _ledger(10, 1)
    assert ledger.want(9, 5) == ledger.returned(9, 5) == ledger.detach(9) == ledger.drained(9) == []
    assert ledger.returned(1, 99) == []
    assert ledger.returned(1, -5) == []
    assert ledger.statistics().free == 10


def test_a_restored_ledger_lends_nothing_before_everybody_is_back() -> None:
    """Each rejoins with what it has; the rest may be with frames of sessions that are gone until these are settled."""
    ledger = CreditLedger.restore(100, [1, 2, 3])
    assert ledger.attach(9) == []
    assert ledger.rejoin(1, 40) == []
    assert ledger.rejoin(1, 40) == []
    assert ledger.detach(3) == []
    assert not ledger.must_be_settled
    assert ledger.returned(1, 10) == [Grant(9, 10)]
    assert ledger.rejoin(2, 30) == [Recall(1, 7), Recall(2, 6)]
    assert ledger.must_be_settled
    assert ledger.statistics() == CreditStatistics(100, 70, 0, 3, 1, unknown=30)
    assert ledger.settled() == [Grant(9, 30)]
    assert not ledger.must_be_settled
    assert ledger.rejoin(7, 5) == []


def test_a_want_is_served_when_the_last_that_is_missing_has_gone() -> None:
    """It had nothing, and so leaves no credit free; but now it is known who has too much."""
    ledger = CreditLedger.restore(10, [1, 2, 3])
    assert ledger.rejoin(1, 10) == []
    assert ledger.rejoin(2, 0) == []
    assert ledger.detach(3) == [Recall(1, 3)]


def test_capacity_is_positive() -> None:
    """A ledger without credit is refused."""
    with pytest.raises(ValueError, match="at least 1"):
        CreditLedger(0)
