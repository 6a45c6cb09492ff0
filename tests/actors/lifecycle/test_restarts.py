"""A plugin's life: restarts, giving up, quarantine."""

from __future__ import annotations

import attrs
import pytest

from nyx_plugins.actors.directives import Do, Publish, RestartIn
from nyx_plugins.actors.events import EventKind
from nyx_plugins.actors.stages import Stage
from nyx_plugins.plugins.errors import PluginQuarantined

from .conftest import FAILURE, ROUTE, confirm, kinds, life_at


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


def test_a_plugin_that_breaks_its_bounds_while_it_is_loaded_is_not_loaded() -> None:
    """The load fails with the reason, and all is undone."""
    life = life_at(Stage.STARTING)
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
