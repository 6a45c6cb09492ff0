"""A plugin's life: a reset after it was given up."""

from __future__ import annotations

import pytest

from nyx_plugins.actors.directives import Do
from nyx_plugins.actors.events import EventKind
from nyx_plugins.actors.lifecycle import PluginLife
from nyx_plugins.actors.stages import Stage
from nyx_plugins.plugins.errors import PluginFailed, PluginNotLoaded, PluginQuarantined

from .conftest import FAILURE, ROUTE, kinds, life_at


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
    life.drain_timed_out()
    life.actor_exited(5.0, 0.5)
    assert Do.ANSWER_RESET in life.drain_timed_out()
    assert isinstance(life.reset_error, PluginNotLoaded)


@pytest.mark.parametrize("stage", [Stage.STARTING, Stage.READY], ids=str)
def test_only_what_was_given_up_is_reset(stage: Stage) -> None:
    """Whoever is well is left alone."""
    assert life_at(stage).reset() == []
