"""Ledger and leases, with messages between them in any order."""

from __future__ import annotations

from collections import defaultdict, deque

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from nyx_plugins.actors.credit import CreditLedger, Directive, Grant, Lease, Recall


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

    @invariant()
    def nobody_has_to_ask_again(self) -> None:
        """Whatever has changed: what could be done for those who wait was done, or follows when a recall is met."""
        if not any(account.recalled for account in self.ledger._attached().values()):
            assert self.ledger._balance() == []

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
