"""A plugin's life at any stage, without processes."""

from __future__ import annotations

from collections.abc import Callable

from nyx_plugins.actors.directives import Directive, Do, Publish
from nyx_plugins.actors.events import EventKind
from nyx_plugins.actors.lifecycle import PluginLife
from nyx_plugins.actors.messages import LoadSpec, Registration, Route
from nyx_plugins.actors.stages import Stage
from nyx_plugins.actors.supervision import Backoff, ChildSpec, Intensity
from nyx_plugins.plugins.errors import PluginFailed
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
