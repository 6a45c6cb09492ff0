"""No outcome that its session may not know is lost with the row that it had in a mailbox."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from nyx_plugins.actors import outcome_keeper
from nyx_plugins.actors.mailbox import DeadLetter, Failed, Mailbox, ReplyLost, Result
from nyx_plugins.actors.outcome_keeper import OutcomeKeeper

ID = 7
RESULTS: tuple[Result, ...] = (None, b"reply", Failed("KeyError", "x"), DeadLetter("crash"), ReplyLost())


class KeeperMachine(RuleBasedStateMachine):
    """Two mailboxes, sessions that read sooner or later, and plugin actors that follow one another."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.path = Path(self.folder.name)
        self.boxes: list[Mailbox] = []
        self.next = {1: 1, 2: 1, 3: 1}
        self.known = dict.fromkeys(self.next, 0)
        self.finished: dict[int, dict[int, Result]] = {session: {} for session in self.next}
        self.owners: list[list[tuple[int, int]]] = [[], []]

    @initialize(capacities=st.tuples(st.integers(1, 4), st.integers(1, 4)))
    def begin(self, capacities: tuple[int, int]) -> None:
        """Begin with empty mailboxes."""
        for number, capacity in enumerate(capacities):
            Mailbox.create(self.path / f"box-{number}", ID, capacity, 1000, 1000).close()
        self.start()

    def start(self) -> None:
        """A plugin actor takes over."""
        self.keeper = OutcomeKeeper(self.path / "outcomes")
        for session in self.next:
            self.keeper.join(session)
        self.keeper.forget_others()
        self.boxes = [Mailbox.open(self.path / f"box-{number}", ID) for number in range(2)]

    @rule(number=st.integers(0, 1), session=st.integers(1, 3), frames=st.integers(1, 3))
    def accept(self, number: int, session: int, frames: int) -> None:
        """Frames of a session arrive, as many as there is room for."""
        first, box = self.next[session], self.boxes[number]
        self.keeper.knows(session, self.known[session])
        self.keeper.make_way(box, frames)
        room = box.append_batch(session, [(first + n, 0x52, b"", 0) for n in range(frames)])
        if room:
            self.keeper.accepted(box, session, first + room - 1)
        self.owners[number] += [(session, first + n) for n in range(room)]
        self.next[session] += room

    @precondition(lambda self: any(box.depth for box in self.boxes))
    @rule(number=st.integers(0, 1), result=st.sampled_from(RESULTS))
    def finish(self, number: int, result: Result) -> None:
        """The oldest frame of a mailbox is finished."""
        number = number if self.boxes[number].depth else 1 - number
        session, seq = self.owners[number][self.boxes[number].finished]
        self.boxes[number].finish([result])
        self.finished[session][seq] = result

    @rule(session=st.integers(1, 3), number=st.integers(0, 100))
    def read(self, session: int, number: int) -> None:
        """A session has read outcomes: without a gap, some further than it had."""
        while self.known[session] + 1 in self.finished[session] and number % 5:
            self.known[session] += 1
            number -= 1

    @rule()
    def end(self) -> None:
        """The plugin actor ends, and the next one tells each session what it does not know."""
        for box in self.boxes:
            box.close()
        self.start()
        self.all_are_there()

    @rule(session=st.integers(1, 3))
    def leave(self, session: int) -> None:
        """A session goes, and another one with a new number is as if it had always known everything."""
        self.keeper.leave(session)
        self.keeper.join(session)
        self.known[session] = max(self.finished[session], default=0)
        self.keeper.knows(session, self.known[session])

    @rule()
    def all_are_there(self) -> None:
        """Every outcome that its session does not know is in a mailbox, or was kept aside."""
        for session, outcomes in self.finished.items():
            there = dict(self.keeper.kept(session))
            for box in self.boxes:
                there.update(box.recall(session).finished)
            missing = {seq: result for seq, result in outcomes.items() if seq > self.known[session]}
            assert {seq: there.get(seq, "lost") for seq in missing} == missing

    def teardown(self) -> None:
        """Let go of the files."""
        for box in self.boxes:
            box.close()
        self.folder.cleanup()


TestKeeperMachine = KeeperMachine.TestCase
TestKeeperMachine.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)


def test_nothing_is_kept_of_a_lone_session(tmp_path: Path) -> None:
    """Who has credit for a frame knows the outcome of the one whose place it takes: no file is made."""
    box, keeper = Mailbox.create(tmp_path / "box", ID, 4, 1000, 1000), OutcomeKeeper(tmp_path / "outcomes")
    keeper.join(1)
    for seq in range(1, 20):
        keeper.knows(1, seq - 1)
        keeper.make_way(box, 1)
        box.append(1, seq, 0x52, b"", 0)
        keeper.accepted(box, 1, seq)
        box.finish([None])
    assert (keeper.kept(1), keeper.known_until(1)) == ([], 18)
    assert not (tmp_path / "outcomes").exists()
    keeper.close()
    box.close()


def test_the_file_is_tidied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is known since, and what was kept for sessions that have gone, does not stay for ever."""
    monkeypatch.setattr(outcome_keeper, "TIDY_BYTES", 200)
    box, keeper = Mailbox.create(tmp_path / "box", ID, 1, 1000, 1000), OutcomeKeeper(tmp_path / "outcomes")
    for session in range(1, 40):
        keeper.join(session)
        keeper.make_way(box, 1)
        box.append(session, 1, 0x52, b"", 0)
        keeper.accepted(box, session, 1)
        box.finish([b"reply"])
    most = (tmp_path / "outcomes").stat().st_size
    for session in range(1, 38):
        keeper.knows(session, 1) if session % 2 else keeper.leave(session)
    assert (tmp_path / "outcomes").stat().st_size < most / 4
    again = OutcomeKeeper(tmp_path / "outcomes")
    assert again.kept(38) == [(1, b"reply")]
    for each in (keeper, again, box):
        each.close()


def test_a_file_that_cannot_be_read_is_no_reason_to_end(tmp_path: Path) -> None:
    """What it held is lost; what is kept from now on is not."""
    (tmp_path / "outcomes").write_bytes(b"nonsense")
    keeper = OutcomeKeeper(tmp_path / "outcomes")
    assert keeper.kept(1) == []
    keeper.close()
