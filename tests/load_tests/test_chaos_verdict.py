"""The proof of the chaos run, on forged books: what is right passes, and each way to be wrong is found and named."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins import PluginStats
from nyx_plugins.actors.latency import LatencyHistogram
from nyx_plugins.load_tests.chaos import plan
from nyx_plugins.load_tests.chaos.auditor import faults_of
from nyx_plugins.load_tests.chaos.busy_plugin import BEGUN, DIE, ENDED, FINE, RAISE, RECORD
from nyx_plugins.load_tests.chaos.cast import Part
from nyx_plugins.load_tests.chaos.census import ROLES
from nyx_plugins.load_tests.chaos.fates import Fates
from nyx_plugins.load_tests.chaos.records import (
    CONTROL,
    DATA,
    REPLY_LOST,
    WRONG_REPLY,
    Line,
    Told,
    Turn,
    lines,
    pack,
    turns,
    worker_files,
)
from nyx_plugins.load_tests.chaos.verdict import Closed, Diary, Evidence, Judge, Totals

P, CLIENT = 1, 7
ONCE, THRICE = Part(P, 10), Part(P, 10, deliveries=3)
BY_KEY, ANYHOW = Part(P, 10, instances=2, spread="by_key"), Part(P, 10, instances=2, spread="least_loaded")


class Story:
    """Books as they would have been written, one event after the other."""

    def __init__(self, part: Part = ONCE, client: int = CLIENT) -> None:
        self.part, self.client = part, client
        self.lines: list[Line] = []
        self.workers: list[list[Turn]] = [[]]
        self.totals = Totals(0, 0, 0, 0, 0)
        self.closed: tuple[Closed, ...] = ()
        self.killed = False
        self._frames: dict[int, Line] = {}
        self._now = itertools.count(1000, 1000)

    def offer(self, number: int, wish: int = FINE, rank: int = DATA, key: int = 0) -> Story:
        """A client is about to send a frame."""
        frame = self._frames[number] = Line(Told.OFFERED, rank, P, key, number, next(self._now), wish)
        self.lines.append(frame)
        return self

    def tell(self, number: int, told: Told, cause: str = "") -> Story:
        """A client hears of a frame."""
        self.lines.append(self._frames[number]._replace(told=told, cause=cause, time_ns=next(self._now)))
        return self

    def begin(self, number: int, worker: int = 0) -> Story:
        """A worker begins a frame."""
        return self._turn(True, number, worker)

    def end(self, number: int, worker: int = 0) -> Story:
        """A worker ends a frame."""
        return self._turn(False, number, worker)

    def handle(self, *numbers: int, worker: int = 0) -> Story:
        """A worker handles frames."""
        for number in numbers:
            self.begin(number, worker).end(number, worker)
        return self

    def count(self, **changes: int) -> Story:
        """A plugin's counters grow."""
        now = attrs.asdict(self.totals)
        self.totals = Totals(**{name: now[name] + changes.get(name, 0) for name in now})
        return self

    def processed(self, number: int, **options: Any) -> Story:
        """Tell the whole story of a frame that is handled."""
        self.offer(number, **options).tell(number, Told.ACCEPTED).handle(number, worker=len(self.workers) - 1)
        return self.tell(number, Told.PROCESSED).count(accepted=1, processed=1)

    def crashed(self, number: int) -> Story:
        """Tell the whole story of a frame over which its worker dies."""
        self.offer(number, DIE).tell(number, Told.ACCEPTED).begin(number, len(self.workers) - 1)
        self.workers.append([])
        return self.tell(number, Told.DEAD_LETTERED, "crash").count(accepted=1, dead_lettered=1)

    def faults(self) -> list[str]:
        """Judge the books; returns the kinds of faults."""
        diary = Diary(self.client, self.lines, self.killed)
        evidence = Evidence([self.part], [diary], {P: self.workers}, {P: self.totals}, self.closed)
        return sorted(Judge(evidence).faults.counts)

    def _turn(self, begun: bool, number: int, worker: int) -> Story:
        frame = self._frames.get(number) or Line(Told.OFFERED, DATA, P, 0, number, 0)
        while len(self.workers) <= worker:
            self.workers.append([])
        self.workers[worker].append(Turn(begun, frame.rank, self.client, number, frame.key, next(self._now)))
        return self


CONTRADICTION = "the counters say something else than the books"


# What is right.


def test_every_end_that_is_allowed_passes() -> None:
    """Processed, failed, refused, dead-lettered over a crash or unhandled, a reply that a crash took along."""
    story = Story().processed(1).crashed(2).processed(3, rank=CONTROL)
    story.offer(4).tell(4, Told.REFUSED, "MailboxFull")
    story.offer(5, RAISE).tell(5, Told.ACCEPTED).handle(5, worker=1).tell(5, Told.FAILED)
    story.offer(6).tell(6, Told.ACCEPTED).tell(6, Told.DEAD_LETTERED, "expired")
    story.offer(7, RAISE).handle(7, worker=1).tell(7, Told.PROCESSED, REPLY_LOST)
    assert story.count(accepted=3, processed=1, failed=1, dead_lettered=1).faults() == []


def test_a_suspect_may_be_handed_out_again_where_it_does_no_harm() -> None:
    """An idempotent plugin gets the frame over which its worker died again, before those behind it."""
    story = Story(THRICE).offer(1).offer(2).begin(1).begin(1, 1).handle(1, worker=2).handle(2, worker=2)
    story.tell(1, Told.PROCESSED).tell(2, Told.PROCESSED).count(accepted=2, processed=2)
    assert story.faults() == []


def test_what_a_killed_client_has_not_heard_is_open() -> None:
    """Frames that it offered are accepted or not; those of which workers know have to be accounted for."""
    story = Story().processed(1).offer(2).offer(3).offer(4).tell(4, Told.ACCEPTED).offer(5)
    story.handle(2).begin(3)
    story.killed = True
    for maybe in (0, 1):
        story.totals = Totals(4 + maybe, 2, 0, 2 + maybe, 0)
        assert story.faults() == []
    story.totals = Totals(3, 2, 0, 1, 0)
    assert story.faults() == [CONTRADICTION]


def test_order_holds_within_what_is_promised() -> None:
    """Frames of other classes and, by key, of other keys may go ahead; without a promise, any."""
    for part, options in ((ONCE, {"rank": CONTROL}), (BY_KEY, {"key": 1}), (ANYHOW, {})):
        story = Story(part).offer(1).offer(2, **options).handle(2).handle(1)
        story.tell(1, Told.PROCESSED).tell(2, Told.PROCESSED).count(accepted=2, processed=2)
        assert story.faults() == [], part


def test_each_frame_is_in_one_figure() -> None:
    """What was offered is the sum of its ends, and of what clients have not heard."""
    story = Story().processed(1).crashed(2).offer(3).tell(3, Told.REFUSED, "MailboxFull").offer(4)
    story.offer(5).tell(5, Told.ACCEPTED)
    diary = Diary(CLIENT, story.lines, killed=True)
    figures = Judge(Evidence([ONCE], [diary], {P: story.workers}, {})).figures
    ends = {"processed": 1, "dead_lettered": 1, "refused": 1, "untold": 2}
    assert {name: figures[name] for name in ("offered", *ends)} == {"offered": 5, **ends}


# What is wrong.


def overtaking(part: Part) -> Story:
    """Tell of two frames of one key that are handled the wrong way round."""
    story = Story(part).offer(1).offer(2).handle(2).handle(1)
    return story.tell(1, Told.PROCESSED).tell(2, Told.PROCESSED).count(accepted=2, processed=2)


def handled_twice(part: Part = ONCE) -> Story:
    """Tell of a frame that is handled to its end twice, by one worker."""
    return Story(part).processed(1).handle(1).processed(2)


def closed_to(story: Story, from_ns: int, to_ns: int) -> Story:
    """Let a permission have been revoked for that time."""
    story.closed = (Closed(P, from_ns, to_ns),)
    return story


WRONG: dict[str, Callable[[], Story]] = {
    "no outcome": lambda: Story().processed(1).offer(2).tell(2, Told.ACCEPTED),
    "refused, and handled": lambda: Story().offer(1).handle(1).tell(1, Told.REFUSED, "MailboxFull"),
    "handled more than 1x": handled_twice,
    "handled more than 3x": lambda: (
        Story(THRICE).offer(1).begin(1).begin(1, 1).begin(1, 2).begin(1, 3).tell(1, Told.DEAD_LETTERED, "crash")
    ),
    "handled again without being suspect": lambda: handled_twice(THRICE),
    "an outcome, and not handled to its end": lambda: Story().offer(1).begin(1).tell(1, Told.PROCESSED),
    "processed with the reply to another frame": lambda: (
        Story().offer(1).handle(1).tell(1, Told.PROCESSED, WRONG_REPLY)
    ),
    "an outcome that is not what its handler did": lambda: Story().offer(1).handle(1).tell(1, Told.FAILED),
    "dead-lettered, and its worker went on": lambda: (
        Story().offer(1).handle(1).tell(1, Told.DEAD_LETTERED, "crash").processed(2)
    ),
    "dead-lettered for no known cause": lambda: Story().offer(1).tell(1, Told.DEAD_LETTERED, "bad luck"),
    "dead-lettered as expired, and handled": lambda: Story().offer(1).handle(1).tell(1, Told.DEAD_LETTERED, "expired"),
    "out of order (plugin)": lambda: overtaking(ONCE),
    "out of order (key)": lambda: overtaking(BY_KEY),
    "handled, and nobody has sent it": lambda: Story().processed(1).handle(2),
    "a client's numbers have gaps": lambda: Story().processed(1).offer(3),
    "a client was told PROCESSED of a frame that was none, or had ended": lambda: (
        Story().processed(1).tell(1, Told.PROCESSED)
    ),
    "two workers of one instance at the same time": lambda: (
        Story().processed(1).offer(2).handle(2, worker=1).tell(2, Told.PROCESSED).offer(3).handle(3)
    ),
    "a worker does two frames at the same time, or ends what it has not begun": lambda: (
        Story().offer(1).offer(2).begin(1).begin(2).end(2).end(1)
    ),
    "accepted while its permission was revoked": lambda: closed_to(Story().processed(1), 0, 1 << 40),
    "more suspects than workers": lambda: (
        Story().crashed(1).offer(2).offer(3).tell(2, Told.DEAD_LETTERED, "crash").tell(3, Told.DEAD_LETTERED, "crash")
    ),
    CONTRADICTION: lambda: Story().processed(1).count(accepted=1, dead_lettered=1),
}


@pytest.mark.parametrize("kind", WRONG)
def test_each_way_to_be_wrong_is_found(kind: str) -> None:
    """It is named, whatever else follows from it."""
    assert kind in WRONG[kind]().faults()


@pytest.mark.parametrize(
    "totals",
    [Totals(3, 2, 0, 1, 0), Totals(2, 1, 0, 1, 0), Totals(2, 1, 0, 0, 1), Totals(2, 2, 0, 1, 0), Totals(1, 1, 0, 0, 0)],
    ids=str,
)
def test_counters_that_differ_from_the_books_are_found(totals: Totals) -> None:
    """Too many, too few, in the wrong place, left in the mailbox, or out of balance."""
    story = Story().processed(1).processed(2)
    assert story.faults() == []
    story.totals = totals
    assert CONTRADICTION in story.faults()


def test_frames_were_permitted_before_and_after_a_revoke() -> None:
    """Only what was both sent and accepted while it was in force is wrong; control frames have another permission."""
    story = Story().offer(1).tell(1, Told.ACCEPTED).handle(1).tell(1, Told.PROCESSED).count(accepted=1, processed=1)
    sent, told = story.lines[0].time_ns, story.lines[-1].time_ns
    assert closed_to(story, sent + 1, told + 1).faults() == []
    assert closed_to(story, sent, story.lines[1].time_ns - 1).faults() == []
    assert closed_to(story, sent, told).faults() == ["accepted while its permission was revoked"]
    story.lines = [line._replace(rank=CONTROL) for line in story.lines]
    assert closed_to(story, sent, told).faults() == []


ENDS = st.lists(st.sampled_from(["processed", "crashed", "refused"]), min_size=1, max_size=12)


def told_at_random(ends: Sequence[str]) -> Story:
    """Tell of one frame after the other."""
    story = Story()
    for number, end in enumerate(ends, 1):
        if end == "refused":
            story.offer(number).tell(number, Told.REFUSED, "MailboxFull")
        else:
            getattr(story, end)(number)
    return story


@given(ENDS, st.data())
def test_no_record_can_be_forged(ends: Sequence[str], data: st.DataObject) -> None:
    """True books pass; with one record of a frame that was processed left out or doubled, they do not."""
    story = told_at_random(ends)
    assert story.faults() == []
    books: list[list[Any]] = [story.lines, *story.workers]
    processed = {line.number for line in story.lines if line.told is Told.PROCESSED}
    places = [
        (book, place)
        for book in books
        for place, record in enumerate(book)
        if record.number in processed and getattr(record, "told", None) is not Told.ACCEPTED
    ]
    if places:
        book, place = data.draw(st.sampled_from(places))
        book[place : place + 1] = data.draw(st.sampled_from([[], [book[place]] * 2]))
        assert story.faults() != []


def test_unknown_counters_are_no_proof() -> None:
    """A plugin whose counters nobody could read is not proved to be right."""
    diary = Diary(CLIENT, Story().processed(1).lines)
    assert "a plugin's counters are not known" in Judge(Evidence([ONCE], [diary], {}, {})).faults.counts


# What it is read from.


def test_records_come_back_as_they_were_written() -> None:
    """Whoever was killed in the middle of one has not written it."""
    written = [
        Line(Told.OFFERED, DATA, 10, 3, 1 << 40, 5, RAISE),
        Line(Told.REFUSED, CONTROL, 65_535, 0, 2, 6, FINE, "PluginNotRegistered"),
    ]
    content = b"".join(map(pack, written))
    assert list(lines(content)) == written
    assert list(lines(content[:-1])) == written[:1]
    done = RECORD.pack(BEGUN, DATA, 1, 2, 3, 4) + RECORD.pack(ENDED, DATA, 1, 2, 3, 5)
    assert list(turns(done)) == [Turn(True, DATA, 1, 2, 3, 4), Turn(False, DATA, 1, 2, 3, 5)]
    assert list(turns(done[:-1])) == [Turn(True, DATA, 1, 2, 3, 4)]


def test_the_files_of_workers_are_in_the_order_of_their_births(tmp_path: Path) -> None:
    """Their names say plugin, time and process."""
    for name in ("2-9-5", "1-10-3", "1-9-4", "1-100-1"):
        (tmp_path / name).touch()
    found = worker_files(tmp_path)
    assert {plugin: [path.name for path in files] for plugin, files in found.items()} == {
        1: ["1-9-4", "1-10-3", "1-100-1"],
        2: ["2-9-5"],
    }


def test_a_frame_can_be_looked_up() -> None:
    """Numbers begin with 1, and what was not offered is not there."""
    fates = Fates(killed=False)
    assert fates.offer(Line(Told.OFFERED, DATA, P, 0, 1, 99))
    assert [number in fates for number in (0, 1, 2)] == [False, True, False]
    assert (len(fates), fates.offered_ns(1)) == (1, 99)


# What is planned, and what is asked.


def some(plans: Iterable[Any]) -> list[Any]:
    """Return the first of a plan."""
    return list(itertools.islice(plans, 500))


def test_a_seed_decides_everything() -> None:
    """The same seed plans the same, and another one something else."""
    for make in (lambda seed: plan.strikes(seed, ROLES), lambda seed: plan.deeds(seed, ["one", "two"], [1, 2, 3])):
        assert some(make(5)) == some(make(5)) != some(make(6))


def test_every_role_is_struck_every_100_to_500_ms_sometimes_several_at_once() -> None:
    """And every deed is done to every plugin."""
    struck = some(plan.strikes(1, ROLES))
    assert all(0.1 <= strike.after_s <= 0.5 for strike in struck)
    assert {role for strike in struck for role, _ in strike.victims} == set(ROLES)
    assert {len(strike.victims) for strike in struck} == set(range(1, plan.MOST_AT_ONCE + 1))
    done = {(deed.what, deed.plugin) for deed in some(plan.deeds(1, ["one", "two"], [1, 2, 3]))}
    assert done == set(itertools.product(["one", "two"], [1, 2, 3]))


def stats(**changes: Any) -> PluginStats:
    """Make counters that balance."""
    counts: dict[str, Any] = dict.fromkeys((field.name for field in attrs.fields(PluginStats)), 0)
    known = {"accepted": 6, "processed": 3, "failed": 1, "dead_lettered": 1, "in_mailbox": 1, "capacity": 1}
    text = {"state": "ready", "latency": LatencyHistogram((), 0.0), "last_death": None}
    return PluginStats(**{**counts, **known, **text, **changes})


@pytest.mark.parametrize(
    ("before", "now", "faults"),
    [
        (None, stats(), []),
        (stats(), stats(accepted=7, processed=4), []),
        (None, stats(accepted=7), ["the counters did not balance"]),
        (None, stats(accepted=7, in_mailbox=2), ["more in a mailbox than it holds"]),
        (stats(restarts=2), stats(restarts=1), ["the counter 'restarts' went back"]),
    ],
)
def test_counters_balance_and_grow(before: PluginStats | None, now: PluginStats, faults: list[str]) -> None:
    """Whenever they are asked for."""
    assert list(faults_of(before, now)) == faults
