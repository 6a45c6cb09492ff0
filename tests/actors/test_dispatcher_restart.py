"""Dispatchers that end at any moment, between real sessions' traffic and a model of a mailbox.

Messages between two processes keep their order. Those to a dispatcher that has ended are lost; those that it had sent
arrive as far as they were written, and as late as they like.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from nyx_plugins import NyxPluginError, PluginHeader
from nyx_plugins.actors import messages as m
from nyx_plugins.actors.dispatcher import Dispatcher
from nyx_plugins.actors.frame_rules import FrameRules
from nyx_plugins.actors.receipt import Receipt
from nyx_plugins.actors.traffic import Traffic
from nyx_plugins.plugins.policy import Policy

ALLOWED, NOTHING = frozenset({"data_access"}), frozenset[str]()
ROUTE = m.Route(7, "p", "1.0", "ready", ALLOWED, Policy(), 5, 1 << 20, 1)
HEADER = PluginHeader(7, 0, b"").encode()
ASKER = "asker"


class Network:
    """Messages under way, by sender and receiver."""

    def __init__(self) -> None:
        self.queues: dict[tuple[str, str], deque[Any]] = {}

    def send(self, sender: str, receiver: str, message: Any) -> None:
        """Put a message under way."""
        self.queues.setdefault((sender, receiver), deque()).append(message)

    @property
    def busy(self) -> list[tuple[str, str]]:
        """The pairs between which something is under way."""
        return sorted(pair for pair, queue in self.queues.items() if queue)

    def lose_what_goes_to(self, receiver: str) -> None:
        """It has ended."""
        for pair in self.queues:
            if pair[1] == receiver:
                self.queues[pair].clear()

    def cut(self, sender: str, receiver: str, kept: int) -> None:
        """It has ended, and had written only so many of its messages to this receiver."""
        queue = self.queues.get((sender, receiver), deque())
        while len(queue) > kept:
            queue.pop()


class Probe(Dispatcher):
    """A dispatcher on the network."""

    def __init__(self, network: Network, epoch: int) -> None:
        super().__init__()
        self.name = f"dispatcher {epoch}"
        self.network = network

    def send(self, address: str, message: Any) -> None:
        """Put it under way."""
        self.network.send(self.name, address, message)


class Mailbox:
    """A model of a plugin actor: what it has accepted and finished, in order."""

    def __init__(self, network: Network, capacity: int) -> None:
        self.network = network
        self.capacity = capacity
        self.epoch, self.dispatcher = 1, "dispatcher 1"
        self.accepted: list[tuple[int, int]] = []
        self.finished = 0
        self.fences: list[tuple[int, str, int]] = []

    def receive(self, message: Any, sender: str) -> None:
        """What a plugin actor does."""
        if isinstance(message, m.Introduce):
            self.hear_of(message.epoch, message.address)
        elif isinstance(message, (m.Enqueue, m.Refuse, m.Fence)):
            self.hear_of(message.dispatcher_epoch, sender)
            if message.dispatcher_epoch == self.epoch:
                self.take(message, sender)

    def hear_of(self, epoch: int, address: str) -> None:
        """Older ones do not count any more."""
        if epoch > self.epoch:
            self.epoch, self.dispatcher = epoch, address

    def take(self, message: Any, sender: str) -> None:
        """Take a message of the present dispatcher."""
        match message:
            case m.Enqueue():
                for seq, *_ in message.frames:
                    self.accept(message.session, seq)
            case m.Refuse():
                known = [frame for frame in message.frames if (message.session, frame[0]) in self.accepted]
                for seq, _ in known:
                    self.answer(message.session, seq)
                if lost := tuple(frame for frame in message.frames if frame not in known):
                    self.send(self.dispatcher, m.Overflowed(message.session, 7, lost))
            case m.Fence():
                self.fences.append((len(self.accepted) if message.settled else 0, sender, message.token))
                self.pass_fences()

    def accept(self, session: int, seq: int) -> None:
        """Accept a frame, unless it is there; credit has to see to it that there is room."""
        if (session, seq) not in self.accepted:
            assert seq > max([other for owner, other in self.accepted if owner == session], default=0)
            self.accepted.append((session, seq))
            assert len(self.accepted) - self.finished <= self.capacity
        self.answer(session, seq)

    def answer(self, session: int, seq: int) -> None:
        """Say what is known of a frame."""
        self.send(f"session {session}", m.Accepted(7, ((seq, seq),)))
        if self.accepted.index((session, seq)) < self.finished:
            self.send(f"session {session}", m.Settled(7, ((seq, None),)))

    def finish(self) -> None:
        """The oldest frame is done."""
        session, seq = self.accepted[self.finished]
        self.finished += 1
        self.send(f"session {session}", m.Settled(7, ((seq, None),)))
        self.pass_fences()

    def pass_fences(self) -> None:
        """Answer those behind which nothing is unfinished."""
        for position, sender, token in self.fences:
            if position <= self.finished:
                self.send(sender, m.FencePassed(token))
        self.fences = [fence for fence in self.fences if fence[0] > self.finished]

    def send(self, receiver: str, message: Any) -> None:
        """Put it under way."""
        self.network.send("actor", receiver, message)


class RestartMachine(RuleBasedStateMachine):
    """Sessions that send, a mailbox that works, an operator who grants and revokes, and dispatchers that are killed."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.network = Network()
        self.mailbox = Mailbox(self.network, ROUTE.capacity)
        self.traffic: dict[int, Traffic] = {}
        self.receipts: dict[int, list[Receipt]] = {}
        self.refused_at_once = 0
        self.epoch = 0
        self.dispatcher = Probe(self.network, 1)
        self.granted = ALLOWED
        self.in_force: frozenset[str] | None = ALLOWED
        """What an operator has been told that is in force; ``None`` while it is being changed."""
        self.asked: frozenset[str] | None = None
        self.question = 0
        self.accepted_before = 0

    @initialize(sessions=st.integers(1, 3))
    def begin(self, sessions: int) -> None:
        """Begin with a dispatcher and a plugin."""
        for number in range(1, sessions + 1):
            self.traffic[number] = Traffic(number, FrameRules(), threading.Condition())
            self.receipts[number] = []
        self.start_dispatcher()
        self.let_all_happen()

    def start_dispatcher(self) -> None:
        """What the supervisor does, with the registry's help."""
        self.epoch += 1
        self.dispatcher.on_exit()
        self.dispatcher = Probe(self.network, self.epoch)
        again, name = self.epoch > 1, self.dispatcher.name
        joined = tuple(m.SessionJoined(number, f"session {number}") for number in self.traffic)
        start = m.StartDispatcher(FrameRules(), os.getpid(), self.epoch, joined, again, self.folder.name)
        self.dispatcher.receive(start, "supervisor")
        self.dispatcher.receive(m.SetRoute(1, ROUTE, "actor", again=again), "supervisor")
        row = m.Registration(7, "p", "1.0", "", "ready", ALLOWED, self.granted)
        self.dispatcher.receive(m.KnownRegistrations((row,)), "registry")
        if not again:
            for traffic in self.traffic.values():
                traffic.join(name, self.epoch)
            return
        for receiver in ("actor", *(f"session {number}" for number in self.traffic)):
            self.network.send("supervisor", receiver, m.Introduce("dispatcher", name, self.epoch))
        if self.asked is not None:
            # Who has asked asks again.
            self.ask(self.asked)

    @rule(number=st.integers(1, 3), frames=st.integers(1, 4))
    def offer(self, number: int, frames: int) -> None:
        """A session sends frames, as far as it has credit."""
        number = 1 + number % len(self.traffic)
        for _ in range(frames):
            try:
                self.receipts[number].append(self.traffic[number].offer(0x52, HEADER))
            except NyxPluginError:
                self.refused_at_once += 1

    @rule(number=st.integers(1, 3))
    def write(self, number: int) -> None:
        """A session's sending thread writes one message."""
        number = 1 + number % len(self.traffic)
        work = self.traffic[number].outbox.next()
        if work is not None and work[0] == self.dispatcher.name:
            self.network.send(f"session {number}", *work)

    @precondition(lambda self: self.network.busy)
    @rule(number=st.integers(0, 30))
    def deliver(self, number: int) -> None:
        """One message arrives."""
        self.deliver_between(*self.network.busy[number % len(self.network.busy)])

    def deliver_between(self, sender: str, receiver: str) -> None:
        """The oldest message between these two arrives."""
        message = self.network.queues[sender, receiver].popleft()
        if receiver == self.dispatcher.name:
            self.dispatcher.receive(message, sender)
        elif receiver == "actor":
            before = len(self.mailbox.accepted)
            self.mailbox.receive(message, sender)
            # What has been revoked does not reach the mailbox any more.
            assert self.in_force != NOTHING or len(self.mailbox.accepted) == before
        elif receiver == ASKER:
            self.answered(message)
        elif receiver.startswith("session"):
            traffic = self.traffic[int(receiver.split()[1])]
            if isinstance(message, m.Introduce):
                traffic.rejoin(message.address, message.epoch)
            else:
                traffic.note(message)

    @precondition(lambda self: self.mailbox.finished < len(self.mailbox.accepted))
    @rule()
    def finish(self) -> None:
        """The plugin has handled a frame."""
        self.mailbox.finish()

    @precondition(lambda self: self.asked is None)
    @rule(granted=st.booleans())
    def change_permission(self, granted: bool) -> None:
        """An operator grants or revokes."""
        self.in_force = None
        self.ask(ALLOWED if granted else NOTHING)

    def ask(self, permissions: frozenset[str]) -> None:
        """Ask the registry, which tells the dispatcher."""
        self.asked, self.granted = permissions, permissions
        self.question += 1
        change = m.PermissionsChanged(7, permissions, self.question, ASKER)
        self.network.send("registry", self.dispatcher.name, change)

    def answered(self, reply: m.Reply) -> None:
        """The operator knows now; answers to what was asked before are nobody's."""
        if self.asked is not None and reply.request_id == self.question:
            self.in_force, self.asked = self.asked, None

    @rule(data=st.data())
    def kill_dispatcher(self, data: st.DataObject) -> None:
        """The dispatcher ends: some of what it has sent was written, and what it was sent is lost."""
        name = self.dispatcher.name
        self.network.lose_what_goes_to(name)
        for sender, receiver in self.network.busy:
            if sender == name:
                under_way = len(self.network.queues[sender, receiver])
                self.network.cut(sender, receiver, data.draw(st.integers(0, under_way)))
        self.start_dispatcher()

    def let_all_happen(self) -> None:
        """Until nothing is under way."""
        while True:
            for number, traffic in self.traffic.items():
                while (work := traffic.outbox.next()) is not None:
                    if work[0] == self.dispatcher.name:
                        self.network.send(f"session {number}", *work)
            if self.network.busy:
                self.deliver_between(*self.network.busy[0])
            elif self.mailbox.finished < len(self.mailbox.accepted):
                self.mailbox.finish()
            else:
                return

    @rule()
    def everything_adds_up(self) -> None:
        """In the end each frame has one fate, the mailbox has what was accepted, in order, and the counts say so."""
        self.let_all_happen()
        assert self.asked is None
        for number, receipts in self.receipts.items():
            assert all(receipt.done for receipt in receipts)
            accepted = [receipt.seq for receipt in receipts if receipt.accepted]
            assert [seq for owner, seq in self.mailbox.accepted if owner == number] == accepted
        self.dispatcher.receive(m.GetDispatchStats(1, "statistics"), ASKER)
        counts = self.network.queues[self.dispatcher.name, "statistics"].pop().value
        refused = sum(1 for receipts in self.receipts.values() for receipt in receipts if not receipt.accepted)
        assert (counts.plugins_loaded, counts.frames_dispatched) == (1, len(self.mailbox.accepted))
        assert counts.dispatch_errors == refused + self.refused_at_once
        self.everybody_has_room()

    def everybody_has_room(self) -> None:
        """No credit is lost: a session that wants all of it gets its share at least."""
        ledger = self.dispatcher._targets[7].ledger.statistics()
        assert ledger.unknown == 0 and ledger.leased <= ROUTE.capacity

    def teardown(self) -> None:
        """However it has gone, in the end it adds up."""
        if self.traffic:
            self.everything_adds_up()
        self.dispatcher.on_exit()
        self.folder.cleanup()


TestRestartMachine = RestartMachine.TestCase
TestRestartMachine.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
