"""The life of a plugin: events in, directives out, with nothing started."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins.actors.directives import Directive, Do, Publish, RestartIn
from nyx_plugins.actors.events import EventKind
from nyx_plugins.actors.lifecycle import PluginLife
from nyx_plugins.actors.messages import LoadSpec, Registration, Route
from nyx_plugins.actors.stages import Stage
from nyx_plugins.actors.supervision import Backoff, ChildSpec, Intensity
from nyx_plugins.plugins.errors import PluginFailed, PluginNotLoaded, PluginQuarantined
from nyx_plugins.plugins.manifest import Manifest
from nyx_plugins.plugins.policy import Policy

MANIFEST = Manifest(id=7, name="p", version="1.0", api_version=1, entry_point="plugin:P")
POLICY = Policy()
ROW = Registration(7, "p", "1.0", "", "starting", frozenset(), frozenset())
ROUTE = Route(7, "p", "1.0", "ready", frozenset(), POLICY, 100, 1 << 20, 1)
FAILURE = PluginFailed(7, "no", "test")

STEPS: list[tuple[Stage, Callable[[PluginLife], list[Directive]]]] = [
    (Stage.PREPARING, lambda life: life.bundle_prepared(MANIFEST, "digest")),
    (Stage.WAITING, lambda life: life.dependencies_met()),
    (Stage.DECIDING, lambda life: life.policy_decided(POLICY)),
    (Stage.REGISTERING, lambda life: life.registered(ROW)),
    (Stage.STARTING, lambda life: life.actor_ready(ROUTE)),
    (Stage.OPENING, lambda life: life.route_set()),
]

UNDO = {
    Stage.PREPARING: [],
    Stage.WAITING: [],
    Stage.DECIDING: [Do.FORGET_POLICY],
    Stage.REGISTERING: [Do.UNREGISTER, Do.FORGET_POLICY],
    Stage.STARTING: [Do.STOP_ACTOR, Do.UNREGISTER, Do.FORGET_POLICY],
    Stage.OPENING: [Do.DROP_ROUTE, Do.STOP_ACTOR, Do.UNREGISTER, Do.FORGET_POLICY],
}


def life_at(stage: Stage, max_restarts: int = 5) -> PluginLife:
    """Bring a new life to a stage of loading, or to READY."""
    spec = ChildSpec("plugin actor", "permanent", 3.0, Intensity(max_restarts), Backoff(1.0, jitter=0.0))
    life = PluginLife(LoadSpec("bundle"), spec, directory="somewhere")
    for step, advance in STEPS:
        if step is stage:
            break
        advance(life)
    assert life.stage is stage
    return life


def confirm(life: PluginLife, directives: list[Directive]) -> list[Directive]:
    """Play the world that does what it is told: confirm each undoing, and return all that was said."""
    said = list(directives)
    for directive in directives:
        match directive:
            case Do.DROP_ROUTE:
                said += life.route_dropped()
            case Do.STOP_ACTOR:
                said += life.actor_exited(0.0, 0.5)
            case Do.UNREGISTER:
                said += life.unregistered()
    return said


def kinds(directives: list[Directive]) -> list[EventKind]:
    """Return the kinds of the published events."""
    return [directive.kind for directive in directives if isinstance(directive, Publish)]


def test_loading_goes_step_by_step_and_is_answered_when_the_route_is_in_force() -> None:
    """Each step asks for the next, and the load is answered after the last one only."""
    life = PluginLife(LoadSpec("bundle"), ChildSpec("plugin actor"))
    assert [advance(life) for _, advance in STEPS[:5]] == [
        [Do.AWAIT_DEPENDENCIES],
        [Do.DECIDE_POLICY],
        [Do.REGISTER],
        [Do.SPAWN_ACTOR],
        [Do.SET_ROUTE],
    ]
    last = STEPS[5][1](life)
    assert kinds(last) == [EventKind.LOADED, EventKind.READY]
    assert last[-1] is Do.ANSWER_LOAD
    assert life.state == "ready"


@pytest.mark.parametrize("stage", UNDO, ids=str)
def test_a_step_that_fails_undoes_exactly_what_was_done_before(stage: Stage) -> None:
    """Whatever step fails: all before it is taken back, newest first, and only then is the load answered."""
    life = life_at(stage)
    said = confirm(life, life.step_failed(FAILURE))
    assert said == [*UNDO[stage], Do.REMOVE_FILES, Do.ANSWER_LOAD, Do.FORGET]
    assert life.error is FAILURE
    assert life.stage is Stage.GONE


@pytest.mark.parametrize("stage", [Stage.STARTING, Stage.OPENING], ids=str)
def test_an_actor_that_dies_while_loading_fails_the_load(stage: Stage) -> None:
    """The load names the dead plugin actor, and nothing asks a dead actor to stop."""
    life = life_at(stage)
    said = confirm(life, life.actor_exited(0.0, 0.5))
    assert Do.STOP_ACTOR not in said
    assert said[-3:] == [Do.REMOVE_FILES, Do.ANSWER_LOAD, Do.FORGET]
    assert "plugin actor" in str(life.error)


def test_a_registration_that_arrives_too_late_is_taken_back() -> None:
    """A system that stops while the registry is writing leaves no row."""
    life = life_at(Stage.REGISTERING)
    assert Do.UNREGISTER in life.step_failed(FAILURE)
    assert life.registered(ROW) == []
    assert life.unregistered()[-1] is Do.FORGET


def test_a_registration_that_was_refused_is_not_taken_back() -> None:
    """The row that is there is another's, or that of an earlier run."""
    life = life_at(Stage.REGISTERING)
    assert Do.UNREGISTER not in life.step_failed(FAILURE, refused=True)


def test_unloading_closes_the_route_drains_and_undoes() -> None:
    """Frames are refused first, then finished, and only then is anything taken away."""
    life = life_at(Stage.READY)
    assert life.unload() == [Do.NOTE_STATE, Do.SET_ROUTE]
    assert life.state == "draining"
    assert life.route_set() == [Do.DRAIN]
    said = confirm(life, life.plugin_drained())
    assert life.drained
    assert said[:4] == [Do.DROP_ROUTE, Do.STOP_ACTOR, Do.UNREGISTER, Do.FORGET_POLICY]
    assert said[4:] == [Do.REMOVE_FILES, Publish(EventKind.UNLOADED), Do.ANSWER_UNLOAD, Do.FORGET]


def test_a_row_that_is_gone_is_not_restored() -> None:
    """A registry that is started again while the rest is still being undone would have it for ever."""
    life = life_at(Stage.READY)
    life.unload()
    life.route_set()
    life.plugin_drained()
    assert life.row is not None and life.row.state == "draining"
    assert life.unregistered() == []
    assert life.row is None
    life.route_dropped()
    assert Do.FORGET in life.actor_exited(0.0, 0.5)


def test_a_system_that_stops_keeps_the_registration() -> None:
    """Stopping everything is no unload: the row stays for the next run."""
    life = life_at(Stage.READY)
    life.unload(keep_row=True)
    life.route_set()
    said = confirm(life, life.plugin_drained())
    assert Do.UNREGISTER not in said
    assert life.stage is Stage.GONE


def test_unloading_goes_on_when_the_actor_dies_or_does_not_answer() -> None:
    """Neither a dead nor a silent plugin actor holds up an unload."""
    for silence in (lambda life: life.actor_exited(0.0, 0.5), PluginLife.drain_timed_out):
        life = life_at(Stage.READY, max_restarts=0)
        life.unload()
        said = confirm(life, silence(life))
        assert Do.ANSWER_UNLOAD in said
        assert not life.drained


@pytest.mark.parametrize("is_draining", [False, True])
def test_an_actor_that_dies_while_it_is_unloaded_is_followed_by_one_that_finishes(is_draining: bool) -> None:
    """What is in its mailbox has senders that wait to hear of it."""
    life = life_at(Stage.READY)
    life.unload()
    if is_draining:
        life.route_set()
    assert RestartIn(0.0) in life.actor_exited(0.0, 0.5)
    assert life.restart_due() == [Do.SPAWN_ACTOR, Do.SET_ROUTE]
    assert life.route_set() == [Do.DRAIN]
    assert Do.ANSWER_UNLOAD in confirm(life, life.plugin_drained())


def test_a_route_that_was_set_for_the_last_actor_says_nothing_of_the_next() -> None:
    """A swap that was just done may set a route while the plugin actor is being followed by another."""
    life = life_at(Stage.READY)
    life.actor_exited(0.0, 0.5)
    life.restart_due()
    assert life.route_set(leads_to_actor=False) == []
    assert life.actor_ready(attrs.evolve(ROUTE, epoch=2)) == [Do.SET_ROUTE]


def test_an_unload_does_not_wait_for_the_backoff() -> None:
    """The next plugin actor, which was due later, finishes what is there at once."""
    life = life_at(Stage.READY)
    life.actor_exited(0.0, 0.5)
    assert life.unload() == [Do.NOTE_STATE, Do.SPAWN_ACTOR, Do.SET_ROUTE]
    assert life.restart_due() == []


def test_an_actor_is_restarted_at_once_the_first_time_and_then_with_backoff() -> None:
    """The restarts wait 0, then the initial backoff, until the intensity is used up."""
    life = life_at(Stage.READY, max_restarts=2)
    waits = []
    for epoch in (2, 3):
        said = life.actor_exited(float(epoch), 0.5)
        waits += [directive.after_s for directive in said if isinstance(directive, RestartIn)]
        assert life.restart_due() == [Do.SPAWN_ACTOR]
        assert life.actor_ready(attrs.evolve(ROUTE, epoch=epoch)) == [Do.SET_ROUTE]
        assert kinds(life.route_set()) == [EventKind.RESTARTED, EventKind.READY]
    assert waits == [0.0, 1.0]
    assert kinds(life.actor_exited(4.0, 0.5)) == [EventKind.CRASHED, EventKind.FAILED]
    assert life.state == "failed"


ENDED = Publish(EventKind.CRASHED, "plugin actor ended")


def test_a_failed_plugin_does_not_come_back() -> None:
    """When its plugin actor ends too, another one tells what became of frames, and runs no worker."""
    life = life_at(Stage.READY)
    life.worker_crashed("worker exited", None)
    for wait in (0.0, 1.0, 2.0):
        assert life.actor_exited(0.0, 0.5) == [ENDED, RestartIn(wait)]
        assert life.restart_due() == [Do.SPAWN_ACTOR, Do.SET_ROUTE]
        assert life.actor_ready(ROUTE) == life.route_set() == []
        assert (life.state, life.leftovers) == ("failed", "failed plugin")
        assert life.given_up == "worker not restarted: worker exited"


@pytest.mark.parametrize("ends_again", [False, True])
def test_a_failed_plugin_can_be_unloaded(ends_again: bool) -> None:
    """It is drained, which takes no time, by an actor that runs no worker, also if that has to be started first."""
    life = life_at(Stage.READY, max_restarts=0)
    assert Do.SPAWN_ACTOR in life.actor_exited(0.0, 0.5)
    if ends_again:
        life.actor_exited(0.0, 0.5)
    start = [Do.SPAWN_ACTOR] if ends_again else []
    assert life.unload() == [Do.NOTE_STATE, *start, Do.SET_ROUTE]
    assert life.route_set() == [Do.DRAIN]
    assert life.given_up and life.leftovers == "failed plugin"
    assert Do.ANSWER_UNLOAD in confirm(life, life.plugin_drained())


QUARANTINE = [Do.QUARANTINE, Do.NOTE_STATE, Do.SET_ROUTE, Publish(EventKind.QUARANTINED, "too many")]


@pytest.mark.parametrize("crash", [None, 0.0], ids=["running", "restarting"])
def test_a_plugin_that_breaks_its_bounds_too_often_is_quarantined(crash: float | None) -> None:
    """Its worker is ended, senders learn of it, and nothing that was under way brings it back."""
    life = life_at(Stage.READY)
    if crash is not None:
        life.worker_crashed("killed", crash)
    assert life.threshold_passed("too many") == QUARANTINE
    assert life.threshold_passed("too many") == []
    assert life.worker_crashed("killed", 0.0) == [Publish(EventKind.CRASHED, "killed")]
    assert life.worker_crashed("killed", None) == [Publish(EventKind.CRASHED, "killed")]
    assert life.worker_restarted() == life.restart_due() == life.paused(True) == life.paused(False) == []
    assert life.actor_ready(ROUTE) == life.route_set() == life.restart_failed(FAILURE) == []
    assert life.actor_exited(0.0, 0.5) == [ENDED, RestartIn(0.0)]
    assert life.restart_due() == [Do.SPAWN_ACTOR, Do.SET_ROUTE]
    assert (life.state, life.given_up, life.leftovers) == ("quarantined", "too many", "quarantined")


def test_a_quarantined_plugin_can_be_unloaded() -> None:
    """As any other: it is drained, which takes no time, and removed."""
    life = life_at(Stage.READY)
    life.threshold_passed("too many")
    assert life.unload() == [Do.NOTE_STATE, Do.SET_ROUTE]
    assert life.route_set() == [Do.DRAIN]
    assert Do.ANSWER_UNLOAD in confirm(life, life.plugin_drained())


@pytest.mark.parametrize("stage", [Stage.STARTING, Stage.OPENING])
def test_a_plugin_that_breaks_its_bounds_while_it_is_loaded_is_not_loaded(stage: Stage) -> None:
    """The load fails with the reason, and all is undone."""
    life = life_at(stage)
    said = confirm(life, life.threshold_passed("too many"))
    assert isinstance(life.error, PluginQuarantined)
    assert Do.ANSWER_LOAD in said
    assert life.stage is Stage.GONE


def test_who_is_given_up_or_on_its_way_out_is_not_quarantined() -> None:
    """A failed plugin stays failed, and an unload goes on."""
    failed, leaving = life_at(Stage.READY), life_at(Stage.READY)
    failed.worker_crashed("killed", None)
    leaving.unload()
    assert failed.threshold_passed("too many") == leaving.threshold_passed("too many") == []
    assert (failed.state, leaving.state) == ("failed", "draining")


def test_a_worker_that_comes_back_leaves_a_paused_plugin_paused() -> None:
    """Pausing outlives a crash of the worker."""
    life = life_at(Stage.READY)
    life.paused(True)
    life.worker_crashed("killed", 0.0)
    assert life.state == "restarting"
    life.worker_restarted()
    assert life.state == "paused"


EVENTS: list[Callable[[PluginLife], list[Directive]]] = [
    *(advance for _, advance in STEPS),
    lambda life: life.step_failed(FAILURE),
    lambda life: life.actor_exited(0.0, 0.5),
    PluginLife.restart_due,
    lambda life: life.restart_failed(FAILURE),
    lambda life: life.worker_crashed("killed", 0.0),
    lambda life: life.worker_crashed("killed", None),
    PluginLife.worker_restarted,
    lambda life: life.threshold_passed("too many"),
    PluginLife.unload,
    PluginLife.plugin_drained,
    PluginLife.drain_timed_out,
    PluginLife.route_dropped,
    PluginLife.unregistered,
]


@given(st.lists(st.sampled_from(EVENTS), max_size=30))
def test_no_order_of_events_answers_a_load_twice_or_goes_on_after_the_end(
    events: list[Callable[[PluginLife], list[Directive]]],
) -> None:
    """Whatever happens, in whatever order: one answer to the load, and silence once the plugin is gone."""
    life = PluginLife(LoadSpec("bundle"), ChildSpec("plugin actor"))
    said: list[Directive] = []
    for event in events:
        if life.stage is Stage.GONE:
            break
        said += event(life)
    assert said.count(Do.ANSWER_LOAD) + said.count(Do.ANSWER_UNLOAD) <= 2
    assert said.count(Do.ANSWER_LOAD) <= 1
    assert said.count(Do.FORGET) == (life.stage is Stage.GONE)
    assert said.count(Do.REMOVE_FILES) == (life.stage is Stage.GONE)


# Restarts of the worker and of the actor count together; reset.


def test_restarts_of_the_worker_count_for_its_actor_and_the_other_way_round() -> None:
    """The plugin actor tells of its worker's restarts; the one after it is told of all."""
    life = life_at(Stage.READY, max_restarts=2)
    life.worker_crashed("worker exited", 0.0, (1.0,))
    life.worker_restarted()
    life.actor_exited(2.0, 0.5)
    assert life.restarts == (1.0, 2.0)
    life.restart_due()
    life.actor_ready(ROUTE)
    life.route_set()
    assert life.actor_exited(3.0, 0.5)[-1] == Publish(
        EventKind.FAILED, "plugin actor not restarted: restarted 2 times within 60 s"
    )


def test_why_a_worker_is_not_restarted_is_told() -> None:
    """How it ended, and which limit forbids another start."""
    said = life_at(Stage.READY).worker_crashed("worker exited", None, given_up="restarted 5 times within 60 s")
    reason = "worker not restarted: worker exited (restarted 5 times within 60 s)"
    assert said[-1] == Publish(EventKind.FAILED, reason)


def failed_life(alive: bool) -> PluginLife:
    """Return a life that was given up, with its plugin actor there or gone."""
    life = life_at(Stage.READY, max_restarts=1)
    life.worker_crashed("worker exited", None, (1.0,))
    if not alive:
        life.actor_exited(2.0, 0.5)
    assert life.stage is Stage.FAILED
    return life


def test_reset_starts_a_plugin_actor_of_its_own_and_answers_when_that_is_ready() -> None:
    """The old one ends first; nothing that was counted against the plugin counts any more."""
    life = failed_life(alive=True)
    assert life.reset() == [Do.FORGIVE, Do.NOTE_STATE, Do.STOP_ACTOR]
    assert (life.state, life.restarts) == ("restarting", ())
    assert life.reset() == []
    assert life.actor_exited(3.0, 0.5) == [Do.SPAWN_ACTOR]
    assert life.actor_ready(ROUTE) == [Do.SET_ROUTE]
    said = life.route_set()
    assert kinds(said) == [EventKind.RESTARTED, EventKind.READY]
    assert (said[-1], life.state, life.reset_error) == (Do.ANSWER_RESET, "ready", None)


def test_what_is_said_of_the_actor_before_a_reset_does_not_end_it() -> None:
    """The answer about the last route, and the last words of an actor that ends, may come after the reset."""
    life = failed_life(alive=True)
    life.reset()
    assert life.route_set() == []
    assert life.worker_restarted() == []
    assert life.actor_ready(ROUTE) == []
    assert life.restart_failed(FAILURE) == []
    assert kinds(life.worker_crashed("worker exited", None, (1.0,))) == [EventKind.CRASHED]
    assert (life.state, life.restarts, life.leftovers) == ("restarting", (), "failed plugin")
    assert life.actor_exited(3.0, 0.5) == [Do.SPAWN_ACTOR]
    life.actor_ready(ROUTE)
    assert life.route_set()[-1] is Do.ANSWER_RESET


def test_reset_of_a_plugin_whose_actor_is_gone() -> None:
    """There is nobody to stop."""
    life = failed_life(alive=False)
    assert life.reset() == [Do.FORGIVE, Do.NOTE_STATE, Do.SPAWN_ACTOR]
    # Senders were told of the frames that it had.
    assert life.leftovers == "failed plugin"
    life.actor_ready(ROUTE)
    life.route_set()
    assert life.leftovers == ""


def test_a_reset_that_fails_again_says_so() -> None:
    """Whatever hinders it is the answer: the worker, the guard, or an unload that came after."""
    life = failed_life(alive=False)
    life.reset()
    assert life.worker_crashed("worker exited", None)[-1] is Do.ANSWER_RESET
    assert isinstance(life.reset_error, PluginFailed)
    life.reset()
    assert life.threshold_passed("too much")[-1] is Do.ANSWER_RESET
    assert isinstance(life.reset_error, PluginQuarantined)
    life.reset()
    life.actor_exited(4.0, 0.5)
    life.unload()
    assert Do.ANSWER_RESET in life.drain_timed_out()
    assert isinstance(life.reset_error, PluginNotLoaded)


@pytest.mark.parametrize("stage", [Stage.STARTING, Stage.READY], ids=str)
def test_only_what_was_given_up_is_reset(stage: Stage) -> None:
    """Whoever is well is left alone."""
    assert life_at(stage).reset() == []
