"""A plugin's life: loading and unloading."""

from __future__ import annotations

from collections.abc import Callable

import attrs
import pytest

from nyx_plugins.actors.directives import Directive, Do, Publish, RestartIn
from nyx_plugins.actors.events import EventKind
from nyx_plugins.actors.lifecycle import PluginLife
from nyx_plugins.actors.messages import LoadSpec
from nyx_plugins.actors.stages import Stage
from nyx_plugins.actors.supervision import ChildSpec

from .conftest import FAILURE, ROUTE, ROW, STEPS, confirm, kinds, life_at

UNDO = {
    Stage.PREPARING: [],
    Stage.WAITING: [],
    Stage.DECIDING: [Do.FORGET_POLICY],
    Stage.REGISTERING: [Do.UNREGISTER, Do.FORGET_POLICY],
    Stage.STARTING: [Do.STOP_ACTOR, Do.UNREGISTER, Do.FORGET_POLICY],
}


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


def test_an_actor_that_dies_while_loading_fails_the_load() -> None:
    """The load names the dead plugin actor, and nothing asks a dead actor to stop."""
    life = life_at(Stage.STARTING)
    said = confirm(life, life.actor_exited(0.0, 0.5))
    assert Do.STOP_ACTOR not in said
    assert said[-3:] == [Do.REMOVE_FILES, Do.ANSWER_LOAD, Do.FORGET]
    assert "plugin actor" in str(life.error)


@pytest.mark.parametrize(
    "fail",
    [
        lambda life: life.step_failed(FAILURE),
        lambda life: life.threshold_passed("too many"),
        PluginLife.unload,
    ],
)
def test_a_load_that_ends_when_senders_may_know_of_it_is_drained(fail: Callable[[PluginLife], list[Directive]]) -> None:
    """What they have sent already has an outcome before anything is taken away, and the load is answered after that."""
    life = life_at(Stage.OPENING)
    assert fail(life) == [Do.NOTE_STATE, Do.SET_ROUTE]
    assert life.route_set() == [Do.DRAIN]
    said = confirm(life, life.plugin_drained())
    assert life.drained
    assert said[:4] == [Do.DROP_ROUTE, Do.STOP_ACTOR, Do.UNREGISTER, Do.FORGET_POLICY]
    assert said[4:] == [Do.REMOVE_FILES, Do.ANSWER_LOAD, Do.FORGET]


def test_an_actor_that_dies_when_senders_may_know_of_its_load_is_followed_by_one_that_runs_no_worker() -> None:
    """It tells what became of what they have sent, and the load fails."""
    life = life_at(Stage.OPENING)
    assert life.actor_exited(0.0, 0.5) == [Do.NOTE_STATE, Do.SPAWN_ACTOR, Do.SET_ROUTE]
    assert life.given_up and life.leftovers == "failed plugin"
    assert life.route_set() == [Do.DRAIN]
    assert life.leftovers == "failed plugin"
    assert Do.ANSWER_LOAD in confirm(life, life.plugin_drained())
    assert life.drained
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


@pytest.mark.parametrize("is_draining", [False, True])
def test_an_actor_that_does_not_drain_is_killed_and_another_tells_what_became_of_frames(is_draining: bool) -> None:
    """Even if its restarts are not used up: a worker that it may have is ended as well. Nobody waits for a third."""
    life = life_at(Stage.READY)
    life.unload()
    if is_draining:
        life.route_set()
    assert life.drain_timed_out() == [Do.KILL_ACTOR]
    assert life.actor_exited(0.0, 0.5)[1:] == [Do.SPAWN_ACTOR, Do.SET_ROUTE]
    assert (life.leftovers, life.given_up) == ("unloaded", "its plugin actor did not answer")
    assert life.route_set() == [Do.DRAIN]
    said = confirm(life, life.drain_timed_out())
    assert Do.ANSWER_UNLOAD in said and Do.KILL_ACTOR not in said
    assert not life.drained and life.is_forsaken


def test_what_was_to_drain_while_its_actor_is_started_again_is_ended_by_another() -> None:
    """Its time does not begin anew with each of them."""
    life = life_at(Stage.READY)
    life.unload()
    assert life.actor_exited(0.0, 0.5)[1:] == [RestartIn(0.0)]
    assert life.drain_timed_out() == [Do.SPAWN_ACTOR, Do.SET_ROUTE]
    assert life.restart_due() == []
    life.route_set()
    assert Do.ANSWER_UNLOAD in confirm(life, life.plugin_drained())
    assert not life.is_forsaken


def test_an_actor_that_is_no_process_is_not_waited_for() -> None:
    """Nobody can kill it, on transport ``inline``."""
    life = life_at(Stage.READY)
    life.unload()
    said = life.drain_timed_out(is_process=False)
    assert Do.KILL_ACTOR not in said and Do.ANSWER_UNLOAD in confirm(life, said)


def test_a_system_that_stops_does_not_wait_for_another_actor() -> None:
    """What is on the disk is for the next system."""
    life = life_at(Stage.READY)
    life.unload(keep_row=True)
    assert Do.KILL_ACTOR not in life.drain_timed_out()
    assert not life.is_forsaken


def test_the_last_actor_of_a_plugin_that_is_unloaded_runs_no_worker_and_tells_what_became_of_frames() -> None:
    """Once the restarts are used up one more follows; nobody follows that one, and the unload goes on."""
    life = life_at(Stage.READY, max_restarts=0)
    life.unload()
    assert life.actor_exited(0.0, 0.5)[1:] == [Do.SPAWN_ACTOR, Do.SET_ROUTE]
    assert (life.leftovers, life.state) == ("unloaded", "draining") and life.given_up
    assert life.route_set() == [Do.DRAIN]
    said = confirm(life, life.actor_exited(0.0, 0.5))
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
