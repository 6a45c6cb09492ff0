"""The ledger and the leases: fair, bounded, and no credit lost or made."""

from __future__ import annotations

from collections import defaultdict, deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from nyx_plugins.actors.credit import CreditLedger, CreditStatistics, Directive, Grant, Lease, Recall


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


# The ledger.


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


def test_capacity_is_positive() -> None:
    """A ledger without credit is refused."""
    with pytest.raises(ValueError, match="at least 1"):
        CreditLedger(0)


# A lease.


def _lease(size: int, capacity: int = 10, capacity_bytes: int = 1000, max_frame: int = 100) -> Lease:
    lease = Lease(capacity, capacity_bytes, max_frame)
    lease.grant(size)
    return lease


def test_spend_and_settle() -> None:
    """A spent credit comes back to the lease with its outcome."""
    lease = _lease(2)
    assert lease.spend() and lease.spend()
    assert not lease.spend()
    assert (lease.available, lease.outstanding, lease.size) == (0, 2, 2)
    assert lease.settle() == 0
    assert (lease.available, lease.outstanding, lease.size) == (1, 1, 2)


def test_recall_takes_what_is_unspent_and_then_what_is_settled() -> None:
    """A recalled lease gives back unspent credit at once, and owes the rest."""
    lease = _lease(5)
    lease.spend(3)
    assert lease.recall(4) == 2
    assert (lease.available, lease.outstanding, lease.owed, lease.size) == (0, 3, 2, 3)
    assert lease.settle(1) == 1
    assert lease.settle(2) == 1
    assert (lease.available, lease.owed, lease.size) == (1, 0, 1)


def test_recall_of_more_than_there_is() -> None:
    """A recall that crossed with credit given back unasked owes no more than there is."""
    lease = _lease(5)
    lease.spend(2)
    assert lease.recall(3) == 3
    assert lease.recall(4) == 0
    assert lease.owed == 2


def test_reserved_credit_is_used_first() -> None:
    """A credit that is reserved for a waiting sender goes back after use, or when it is reserved no more."""
    lease = _lease(3)
    assert lease.recall(3, reserved=2) == 1
    assert (lease.available, lease.owed) == (2, 2)
    assert lease.spend()
    assert lease.settle() == 1
    assert (lease.available, lease.owed) == (1, 1)
    assert lease.recall(0) == 1
    assert (lease.size, lease.owed) == (0, 0)


def test_bytes_are_limited_by_the_share() -> None:
    """Credits alone do not do: what is outstanding keeps to the lease's share of the bytes, or to one frame."""
    lease = _lease(5)
    assert lease.byte_limit(100) == 500
    assert lease.byte_limit(600) == 600
    assert lease.spend(2, 450)
    assert not lease.spend(1, 51)
    assert lease.spend(1, 50)
    assert lease.outstanding_bytes == 500
    lease.settle(2, 450)
    assert lease.spend(1, 450)


def test_a_single_frame_always_passes() -> None:
    """One credit suffices for a frame of the largest size, however small the share."""
    lease = _lease(1, capacity=100)
    assert lease.byte_limit(100) == 100
    assert lease.spend(1, 100)


@pytest.mark.parametrize(("n", "n_bytes"), [(2, 0), (1, 11)])
def test_settling_too_much(n: int, n_bytes: int) -> None:
    """More outcomes than frames are an error, and make no credit."""
    lease = _lease(5)
    lease.spend(1, 10)
    with pytest.raises(ValueError, match="1 of 10 bytes are outstanding"):
        lease.settle(n, n_bytes)
    assert lease.size == 5


# Both ends, with messages between them.


class CreditMachine(RuleBasedStateMachine):
    """Sessions that come, send, wait, settle, give back and go, in any order, with messages under way.

    At any moment the ledger may be lost, with all that is under way.
    """

    def __init__(self) -> None:
        super().__init__()
        self.ledger = CreditLedger(1)
        self.capacity = 1
        self.leases: dict[int, Lease] = {}
        self.gone: dict[int, Lease] = {}
        self.missing: set[int] = set()
        self.forgotten: set[int] = set()
        """Sessions that went before the ledger was restored: it knows nothing of them."""
        self.to_session: dict[int, deque[Directive]] = defaultdict(deque)
        self.to_ledger: dict[int, deque[int]] = defaultdict(deque)
        self.next = 0

    @initialize(capacity=st.integers(1, 12))
    def begin(self, capacity: int) -> None:
        """Begin with an empty ledger."""
        self.capacity = capacity
        self.ledger = CreditLedger(capacity)

    def post(self, moves: list[Directive]) -> None:
        """Put directives under way."""
        for move in moves:
            assert move.frames > 0
            assert move.session in self.leases and move.session not in self.missing
            self.to_session[move.session].append(move)

    def pick(self, number: int) -> int:
        """Some session."""
        return sorted(self.leases)[number % len(self.leases)]

    @precondition(lambda self: len(self.leases) < 6)
    @rule()
    def attach(self) -> None:
        """A session comes."""
        self.next += 1
        self.leases[self.next] = Lease(self.capacity, 1000, 1000)
        self.post(self.ledger.attach(self.next))

    @precondition(lambda self: self.leases)
    @rule(number=st.integers(0, 5), frames=st.integers(0, 15))
    def want(self, number: int, frames: int) -> None:
        """A session wants more."""
        self.post(self.ledger.want(self.pick(number), frames))

    @precondition(lambda self: self.leases)
    @rule(number=st.integers(0, 5), frames=st.integers(1, 4))
    def spend(self, number: int, frames: int) -> None:
        """A session sends frames."""
        lease = self.leases[self.pick(number)]
        available = lease.available
        assert lease.spend(frames) == (frames <= available)

    @precondition(lambda self: self.leases)
    @rule(number=st.integers(0, 5), frames=st.integers(1, 4))
    def settle(self, number: int, frames: int) -> None:
        """Outcomes of frames arrive."""
        session = self.pick(number)
        lease = self.leases[session]
        self.to_ledger[session].append(lease.settle(min(frames, lease.outstanding)))

    @precondition(lambda self: self.leases)
    @rule(number=st.integers(0, 5), frames=st.integers(1, 4))
    def give_back(self, number: int, frames: int) -> None:
        """An idle session gives credit back unasked."""
        session = self.pick(number)
        lease = self.leases[session]
        self.to_ledger[session].append(lease.recall(min(frames, lease.available)))

    @precondition(lambda self: self.leases)
    @rule(number=st.integers(0, 5), reserved=st.integers(0, 3))
    def deliver_to_session(self, number: int, reserved: int) -> None:
        """The oldest directive under way arrives."""
        session = self.pick(number)
        if self.to_session[session]:
            self.handle(session, self.to_session[session].popleft(), reserved)

    def handle(self, session: int, move: Directive, reserved: int = 0) -> None:
        """What a session does with a directive."""
        if isinstance(move, Grant):
            self.leases[session].grant(move.frames)
        else:
            self.to_ledger[session].append(self.leases[session].recall(move.frames, reserved))

    @precondition(lambda self: any(self.to_ledger.values()))
    @rule(number=st.integers(0, 100))
    def deliver_to_ledger(self, number: int) -> None:
        """Credit given back arrives."""
        waiting = sorted(session for session, queue in self.to_ledger.items() if queue)
        session = waiting[number % len(waiting)]
        self.post(self.ledger.returned(session, self.to_ledger[session].popleft()))

    @precondition(lambda self: self.leases)
    @rule(number=st.integers(0, 5))
    def detach(self, number: int) -> None:
        """A session is gone, with what it had to say; its frames are still in the mailbox."""
        session = self.pick(number)
        self.gone[session] = self.leases.pop(session)
        self.to_session.pop(session, None)
        self.to_ledger.pop(session, None)
        if session in self.missing:
            self.missing.discard(session)
            self.forgotten.add(session)
        self.post(self.ledger.detach(session))

    @precondition(lambda self: self.gone)
    @rule(number=st.integers(0, 5))
    def drain(self, number: int) -> None:
        """The frames of a session that is gone are finished."""
        session = sorted(self.gone)[number % len(self.gone)]
        del self.gone[session]
        self.forgotten.discard(session)
        self.post(self.ledger.drained(session))

    @rule()
    def lose_the_ledger(self) -> None:
        """The ledger and all that is under way are lost; the sessions that are there are known."""
        self.ledger = CreditLedger.restore(self.capacity, self.leases)
        self.to_session.clear()
        self.to_ledger.clear()
        self.missing = set(self.leases)
        self.forgotten = set(self.gone)

    @precondition(lambda self: self.missing)
    @rule(number=st.integers(0, 5))
    def rejoin(self, number: int) -> None:
        """A session that was there says how large its lease is."""
        self.let_rejoin(sorted(self.missing)[number % len(self.missing)])

    def let_rejoin(self, session: int) -> None:
        """What a session does when it hears of another ledger."""
        self.missing.discard(session)
        self.to_ledger.pop(session, None)
        self.post(self.ledger.rejoin(session, self.leases[session].rejoin()))

    @precondition(lambda self: self.ledger.must_be_settled and not self.forgotten)
    @rule()
    def settle_what_is_unknown(self) -> None:
        """Everybody has rejoined or gone, and the frames of those who have gone are finished."""
        self.post(self.ledger.settled())

    @invariant()
    def no_credit_is_lost_or_made(self) -> None:
        """Each lease is at the session, or on its way there or back; all together keep to the capacity."""
        for session, lease in self.leases.items():
            if session in self.missing:
                assert self.ledger.lease(session) == 0
                continue
            granted = sum(move.frames for move in self.to_session[session] if isinstance(move, Grant))
            assert self.ledger.lease(session) == lease.size + granted + sum(self.to_ledger[session])
        total = sum(self.ledger.lease(session) for session in (*self.leases, *self.gone))
        statistics = self.ledger.statistics()
        assert total == statistics.leased <= self.capacity
        assert statistics.leased + statistics.free + statistics.unknown == self.capacity
        # What the ledger does not know of is not lent to others.
        unknown = sum(self.leases[session].size for session in self.missing)
        assert unknown + sum(self.gone[session].outstanding for session in self.forgotten) <= statistics.unknown
        outstanding = sum(lease.outstanding for lease in (*self.leases.values(), *self.gone.values()))
        assert outstanding <= self.capacity

    @invariant()
    def nobody_waits_while_credit_is_free(self) -> None:
        """Free credit is granted at once."""
        statistics = self.ledger.statistics()
        assert not statistics.waiting or not statistics.free

    @precondition(lambda self: self.leases)
    @rule(number=st.integers(0, 5))
    def everyone_who_wants_is_served(self, number: int) -> None:
        """Once all outstanding frames are settled and all messages have arrived, one who wants has got something."""
        wanting = self.pick(number)
        for session in sorted(self.missing):
            self.let_rejoin(session)
        for session in list(self.gone):
            del self.gone[session]
            self.post(self.ledger.drained(session))
        self.forgotten.clear()
        if self.ledger.must_be_settled:
            self.post(self.ledger.settled())
        self.post(self.ledger.want(wanting, 1))
        lease, had = self.leases[wanting], 0
        for _ in range(100):
            self.exchange_all()
            had = max(had, lease.size)
            if had:
                return
        raise AssertionError(f"session {wanting} got nothing")

    def exchange_all(self) -> None:
        """Deliver everything under way and settle everything outstanding, once."""
        for session in list(self.leases):
            lease = self.leases[session]
            self.to_ledger[session] += (lease.settle(lease.outstanding), lease.recall(0))
            for move in list(self.to_session.pop(session, ())):
                self.handle(session, move)
                lease.spend(1)
            while self.to_ledger[session]:
                self.post(self.ledger.returned(session, self.to_ledger[session].popleft()))


TestCreditMachine = CreditMachine.TestCase
TestCreditMachine.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


@settings(deadline=None, max_examples=40)
@given(capacity=st.integers(1, 8), sessions=st.integers(1, 12), data=st.data())
def test_a_flood_by_all_is_shared_fairly(capacity: int, sessions: int, data: st.DataObject) -> None:
    """When everybody always has frames to send, all get their share through, in whole credits or in turn."""
    ledger = CreditLedger(capacity)
    leases = {session: Lease(capacity, 1000, 1000) for session in range(sessions)}
    inbox: deque[Directive] = deque()
    mailbox: deque[int] = deque()
    done = dict.fromkeys(leases, 0)
    for session in leases:
        inbox += ledger.attach(session)
    for session in data.draw(st.permutations(sorted(leases))):
        inbox += ledger.want(session, 100)
    for _ in range(30 * sessions):
        while inbox:
            move = inbox.popleft()
            lease = leases[move.session]
            if isinstance(move, Recall):
                inbox += ledger.returned(move.session, lease.recall(move.frames))
                continue
            lease.grant(move.frames)
            while lease.spend():
                mailbox.append(move.session)
        assert 0 < len(mailbox) <= capacity
        session = mailbox.popleft()
        done[session] += 1
        inbox += ledger.returned(session, leases[session].settle())
        if leases[session].spend():
            mailbox.append(session)
        inbox += ledger.want(session, 100)
    share = max(1, capacity // sessions) / max(capacity, sessions)
    assert min(done.values()) >= 30 * sessions * share - 3
