"""``Stretches``: frames of a list are kept together, and nobody can tell but by the time it takes."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from typing import Any

import attrs
import pytest

from nyx_plugins import NyxPluginError, PluginHeader, Receipt
from nyx_plugins.actors import channel as channel_module
from nyx_plugins.actors.channel import Channel
from nyx_plugins.actors.dispatched import Dispatched
from nyx_plugins.actors.messages import Route
from nyx_plugins.actors.results import DeadLetter, Result, outcomes_of
from nyx_plugins.actors.runs import Run
from nyx_plugins.actors.stretch import Stretch
from nyx_plugins.plugins.errors import MailboxFull
from nyx_plugins.plugins.policy import Policy

CAPACITY = 300
ROUTE = Route(7, "p", "1.0", "ready", frozenset(), Policy(), CAPACITY, 1 << 20, 1)
CHANGED = threading.Condition()
REPLIES: list[Result] = [None, None, None, b"reply", DeadLetter("crash")]


class Side:
    """A channel, and the receipts of all that was offered to it."""

    def __init__(self, least_frames: int) -> None:
        self.channel = Channel(7, 65_536)
        self.channel.open(ROUTE)
        self.channel.grant(CAPACITY)
        self.lists: list[Sequence[Receipt]] = []
        self._least_frames = least_frames

    def offer(self, sizes: list[int]) -> int:
        """Offer a list of frames, or a single one; returns how many found room."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(channel_module, "LEAST_FRAMES", self._least_frames)
            run = Run(7)
            run.headers = [PluginHeader(7, 0, bytes(size)).encode() for size in sizes]
            run.types, run.data_lengths = [0x52] * len(sizes), [0] * len(sizes)
            self.lists.append(self.channel.offer_run(run, CHANGED) or [])
        return len(self.lists[-1])

    def offer_one(self) -> int:
        """Offer a single frame."""
        try:
            self.lists.append([self.channel.offer(0x52, b"header", CHANGED)])
        except MailboxFull:
            return 0
        return 1

    def states(self) -> list[Any]:
        """Say what every receipt says."""
        return [(receipt.seq, receipt.size, repr(receipt), receipt.done) for part in self.lists for receipt in part]

    def sums(self) -> list[int]:
        """Count."""
        channel = self.channel
        counts = [channel.outstanding, channel.unaccepted, channel.unsent_count, channel.dispatched]
        return [*counts, channel.settled_until, 0 if channel.route is None else channel.missing_credit()]


class Pair:
    """Two channels to which the same happens: one keeps frames together, the other never does."""

    def __init__(self) -> None:
        self.sides = Side(2), Side(1 << 30)
        self.told = 0

    @property
    def arrived(self) -> int:
        """The number of the last frame that somebody may speak of."""
        return self.sides[0].channel.sent_seq

    def both(self, do: Any) -> Any:
        """Do the same to both: the same has to come of it."""
        first, second = (do(side) for side in self.sides)
        assert first == second
        assert self.sides[0].sums() == self.sides[1].sums()
        return first

    def step(self, rng: random.Random) -> None:
        """Let something happen."""
        match rng.choice(["many", "many", "one", "take", "accept", "settle", "settle", "look", "odd"]):
            case "many":
                sizes = [rng.randrange(30) for _ in range(rng.randint(1, 60))]
                self.both(lambda side: side.offer(sizes))
            case "one":
                self.both(lambda side: side.offer_one())
            case "take":
                most = rng.randint(1, 80)
                self.both(lambda side: side.channel.take(most))
            case "accept":
                self._accept(rng)
            case "settle":
                self._settle(rng)
            case "look":
                self._look(rng)
            case "odd":
                self._odd(rng)

    def _accept(self, rng: random.Random) -> None:
        first = rng.randint(max(1, self.told - 3), self.arrived + 1)
        ranges = ((first, min(self.arrived, first + rng.randint(0, 70))),)
        for side in self.sides:
            side.channel.accept(ranges)
        self.both(lambda side: side.channel.unaccepted)

    def _settle(self, rng: random.Random) -> None:
        gap = rng.choice([0, 0, 0, 0, 0, 0, -2, 3])
        first = max(1, self.told + 1 + gap)
        seqs = range(first, min(self.arrived, first + rng.randint(0, 70)) + 1)
        choices = rng.choice([[None], REPLIES])
        results = [rng.choice(choices) for _ in seqs]
        self.both(lambda side: side.channel.settle(outcomes_of(seqs, results))[1])
        self.told = max(self.told, seqs[-1]) if seqs and gap <= 0 else self.told

    def _look(self, rng: random.Random) -> None:
        number = rng.randrange(len(self.sides[0].lists) + 1)
        if any(self.sides[0].lists[number : number + 1]):
            place = rng.randrange(len(self.sides[0].lists[number]))
            self.both(lambda side: repr(side.lists[number][place]))

    def _odd(self, rng: random.Random) -> None:
        seq = rng.randint(1, max(1, self.arrived))
        match rng.choice(["refuse", "route", "rejoin", "recall"]):
            case "refuse" if self.arrived:
                self.both(lambda side: side.channel.refuse(seq, MailboxFull(7, 1, 1)))
            case "route":
                route = attrs.evolve(ROUTE, epoch=rng.randint(1, 2))
                self.both(lambda side: side.channel.open(route))
            case "rejoin":
                self.both(lambda side: side.channel.rejoin())
            case "recall":
                self.both(lambda side: side.channel.recall(3))

    def end(self, rng: random.Random) -> None:
        """Let the plugin end, or not, and the session."""
        if rng.random() < 0.5:
            self.both(lambda side: [receipt.seq for receipt in side.channel.close()])
            self.both(lambda side: [receipt.seq for receipt in side.channel.in_doubt()])
        self.both(lambda side: [receipt.seq for receipt in side.channel.abandon()])


@pytest.mark.parametrize("seed", range(60))
def test_it_is_as_if_each_frame_were_looked_at_by_itself(seed: int) -> None:
    """Whatever comes back in whatever order: receipts, numbers, credit and what is sent again are the same."""
    rng, pair = random.Random(seed), Pair()
    for _ in range(rng.randint(1, 40)):
        pair.step(rng)
    pair.both(Side.states)
    pair.end(rng)
    pair.both(Side.states)


def test_a_receipt_is_always_the_same_and_hears_the_news() -> None:
    """Whoever has taken one out of a list before anything came back is told; who does it later finds it there."""
    side = Side(2)
    side.offer([3] * 20)
    [stretch] = side.lists
    assert isinstance(stretch, Stretch)
    early = stretch[4]
    side.channel.accept(((1, 10),))
    assert early.accepted and stretch[9].accepted and stretch[10].accepted is None
    side.channel.settle([(seq, b"%d" % seq) for seq in range(1, 8)])
    assert early is stretch[4] is list(stretch)[4] is stretch[3:6][1]
    assert [stretch[place].outcome(0).reply for place in (0, 4, 6)] == [b"1", b"5", b"7"]
    assert not stretch[7].done
    assert stretch.unaccepted == 10


def test_what_was_dispatched_behaves_as_a_list() -> None:
    """It has a length, places from both ends, slices and an order, and is equal to a list of the same."""
    side = Side(2)
    side.offer([3] * 20)
    error: NyxPluginError = MailboxFull(7, 1, 1)
    [stretch] = side.lists
    assert isinstance(stretch, Stretch)
    found = Dispatched([error, stretch, error])
    assert len(found) == 22
    assert found == [error, *stretch, error]
    assert [found[0], found[1], found[-2], found[-1]] == [error, stretch[0], stretch[19], error]
    assert found[19:] == [stretch[18], stretch[19], error]
    assert found[::-1] == list(reversed(list(found))) == list(reversed(found))
    with pytest.raises(IndexError):
        found[22]
    assert found + found == [*found, *found]
    assert list(found) + found == [*found, *found]
    assert Dispatched([]) == [] and not Dispatched([])
    assert Dispatched([error]) != (error,)
    assert repr(Dispatched([error])) == repr([error])
