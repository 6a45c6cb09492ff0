"""The strategy one for one, by itself: orders of start and stop, ends, backoff, budgets, giving up."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins.actors import supervision as s
from nyx_plugins.actors.supervision import Phase

NAMES = ("first", "second", "third")
SPECS = tuple(
    s.ChildSpec(name, shutdown_s=float(number), intensity=s.Intensity(2, 60.0), backoff=s.Backoff(1.0, 8.0, jitter=0.0))
    for number, name in enumerate(NAMES)
)


class Run:
    """A state that is fed events, and what came of each."""

    def __init__(self, specs: tuple[s.ChildSpec, ...] = SPECS) -> None:
        self.state = s.begin(specs)

    def feed(self, event: s.Event) -> list[s.Directive]:
        """One step; what is only said is left out."""
        self.state, directives = s.step(self.state, event)
        self.notes = [directive for directive in directives if isinstance(directive, s.Note)]
        return [directive for directive in directives if not isinstance(directive, s.Note)]

    def up(self) -> Run:
        """Start all."""
        self.feed(s.Begin())
        for name in NAMES:
            self.feed(s.Ready(name))
        return self

    def end(self, name: str, now: float = 0.0, normal: bool = False) -> list[s.Directive]:
        """Let one end."""
        return self.feed(s.Ended(name, now, 0.5, normal))

    def phase(self, name: str) -> Phase:
        """Where it is."""
        return self.state.children[name].phase


def test_children_start_in_order_each_when_the_one_before_is_ready() -> None:
    """The last one's readiness completes the start, once."""
    run = Run()
    assert run.feed(s.Begin()) == [s.Start("first")]
    assert run.feed(s.Begin()) == []
    assert run.feed(s.Ready("first")) == [s.Start("second")]
    assert run.feed(s.Ready("second")) == [s.Start("third")]
    assert run.feed(s.Ready("third")) == [s.Up()]
    assert run.feed(s.Ready("third")) == []
    assert run.notes == []


def test_children_stop_in_reverse_order_each_within_its_own_budget() -> None:
    """Nobody is asked before those that were started after it have ended."""
    run = Run().up()
    assert run.feed(s.Stop("enough")) == [s.StopChild("third", 2.0)]
    assert run.feed(s.Stop("again")) == []
    assert run.end("third") == [s.StopChild("second", 1.0)]
    assert run.end("second") == [s.StopChild("first", 0.0)]
    assert run.end("first") == [s.Finished("enough", ())]
    assert run.feed(s.Stop("late")) == []


def test_a_child_past_its_budget_is_killed_and_named() -> None:
    """Nobody waits for it any longer; its end comes too late to matter."""
    run = Run().up()
    run.feed(s.Stop("enough"))
    assert run.feed(s.BudgetOver("third")) == [s.Kill("third"), s.StopChild("second", 1.0)]
    assert run.end("third") == []
    assert run.feed(s.BudgetOver("third")) == []
    run.end("second")
    assert run.feed(s.BudgetOver("first")) == [s.Kill("first"), s.Finished("enough", ("third", "first"))]


def test_the_end_of_one_concerns_this_one_only() -> None:
    """It is started again at once, the next time after a pause, and the others stay as they are."""
    run = Run().up()
    assert run.end("second", now=1.0) == [s.Start("second", again=True)]
    assert run.notes == [s.Note("second", "ended", "the second ended: it is started again at once")]
    assert run.feed(s.Ready("second")) == []
    assert run.notes == [s.Note("second", "restarted", "the second is there again")]
    assert run.end("second", now=2.0) == [s.StartIn("second", 1.0)]
    assert run.notes[0].reason == "the second ended: it is started again in 1 s"
    assert run.feed(s.BackoffOver("second")) == [s.Start("second", again=True)]
    assert run.feed(s.BackoffOver("second")) == []
    assert (run.phase("first"), run.phase("third")) == (Phase.UP, Phase.UP)


def test_past_its_intensity_all_are_stopped_in_order_with_the_reason() -> None:
    """Two restarts within a minute are allowed here: the third end is the last."""
    run = Run().up()
    for now in (0.0, 1.0):
        run.end("first", now)
        run.feed(s.BackoffOver("first"))
        run.feed(s.Ready("first"))
    assert run.end("first", 2.0) == [s.StopChild("third", 2.0)]
    reason = "its first ended: restarted 2 times within 60 s"
    assert run.notes == [s.Note("first", "given up", reason)]
    run.end("third")
    assert run.end("second") == [s.Finished(reason, ())]


def test_what_an_ended_child_has_said_is_told() -> None:
    """As the reason of its restart, and of the end of all."""
    run = Run().up()
    reasons = []
    for now in range(3):
        run.feed(s.Ended("first", float(now), 0.5, detail="the disk is full"))
        reasons.append(run.notes[0].reason)
        run.feed(s.BackoffOver("first"))
    assert reasons[0] == "the first ended (the disk is full): it is started again at once"
    assert reasons[2] == run.state.reason == "its first ended (the disk is full): restarted 2 times within 60 s"


def test_restarts_that_are_long_past_do_not_count() -> None:
    """A child that ends once a minute goes on for ever, without a pause."""
    run = Run().up()
    for minute in range(20):
        assert run.end("first", minute * 60.0) == [s.Start("first", again=True)]
        run.feed(s.Ready("first"))


def test_an_end_while_the_others_start() -> None:
    """The one that ended is started again, and the rest follows when it is ready."""
    run = Run()
    run.feed(s.Begin())
    assert run.end("first") == [s.Start("first", again=True)]
    assert run.feed(s.Ready("first")) == [s.Start("second")]
    assert run.end("first", 1.0) == [s.StartIn("first", 1.0)]
    assert run.feed(s.Ready("second")) == []
    assert run.feed(s.BackoffOver("first")) == [s.Start("first", again=True)]
    assert run.feed(s.Ready("first")) == [s.Start("third")]


@pytest.mark.parametrize(
    ("kind", "normal", "expected"), [("transient", True, []), ("temporary", True, []), ("permanent", True, None)]
)
def test_a_child_that_ends_as_it_should(kind: str, normal: bool, expected: list[s.Directive] | None) -> None:
    """Only a permanent one is started again then; and those that stay away hold up no stop."""
    run = Run(tuple(attrs.evolve(spec, restart=kind) for spec in SPECS)).up()
    found = run.end("third", normal=normal)
    assert found == ([s.Start("third", again=True)] if expected is None else expected)
    if expected is not None:
        assert run.notes == [s.Note("third", "ended", "the third ended as it should")]
        assert run.feed(s.Stop("enough")) == [s.StopChild("second", 1.0)]


def test_who_waits_for_its_backoff_is_not_asked_to_stop() -> None:
    """There is nobody to ask, and its backoff ends without consequence."""
    run = Run().up()
    run.end("third", 0.0)
    run.end("third", 1.0)
    assert run.feed(s.Stop("enough")) == [s.StopChild("second", 1.0)]
    assert run.feed(s.BackoffOver("third")) == []


def test_a_stop_before_all_are_up() -> None:
    """Those that were never started need no stopping."""
    run = Run()
    run.feed(s.Begin())
    assert run.feed(s.Stop("enough")) == [s.StopChild("first", 0.0)]
    assert run.feed(s.Ready("first")) == []
    assert run.end("first") == [s.Finished("enough", ())]
    idle = Run()
    assert idle.feed(s.Stop("enough")) == [s.Finished("enough", ())]


EVENTS = st.one_of(
    st.builds(s.Ready, st.sampled_from(NAMES)),
    st.builds(s.Ended, st.sampled_from(NAMES), st.floats(0, 300), st.floats(0, 1), st.booleans()),
    st.builds(s.BackoffOver, st.sampled_from(NAMES)),
    st.builds(s.BudgetOver, st.sampled_from(NAMES)),
    st.just(s.Stop("enough")),
)


@given(events=st.lists(EVENTS, max_size=60), kinds=st.tuples(*[st.sampled_from(["permanent", "transient"])] * 3))
def test_any_order_of_events(events: list[s.Event], kinds: tuple[str, ...]) -> None:
    """Nobody is started twice or while stopping, stops keep the reverse order, and a stop always comes to its end."""
    run = Run(tuple(attrs.evolve(spec, restart=kind) for spec, kind in zip(SPECS, kinds, strict=True)))
    alive: set[str] = set()
    asked: set[str] = set()
    finished = 0
    stop = [s.Stop("enough"), *[s.BudgetOver(name) for name in reversed(NAMES)]]
    for event in [s.Begin(), *events, *stop]:
        if isinstance(event, s.Ended):
            if event.name not in alive:
                continue
            alive.discard(event.name)
        for directive in run.feed(event):
            match directive:
                case s.Start():
                    assert directive.name not in alive and not asked
                    alive.add(directive.name)
                case s.StopChild():
                    later = NAMES[NAMES.index(directive.name) + 1 :]
                    assert not alive & set(later)
                    asked.add(directive.name)
                case s.Kill():
                    assert directive.name in alive & asked
                    alive.discard(directive.name)
                case s.Finished():
                    finished += 1
    assert finished == 1 and not alive
