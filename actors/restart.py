"""Whether and when what has ended is started again: intensity and backoff, as a pure function."""

from __future__ import annotations

from typing import TypeAlias

import attrs


@attrs.frozen
class RestartPolicy:
    """How a child is restarted: at most ``max_restarts`` times within ``within_s`` seconds, the first time at once.

    ``permanent`` children are always restarted, ``transient`` ones when they ended abnormally, ``temporary`` ones
    never. The second restart waits ``backoff_initial_s``, each further one twice as long as the one before, up to
    ``backoff_max_s``; each wait is spread by ``jitter`` (0 to 1: the part by which it may be longer or shorter).
    """

    kind: str = attrs.field(
        default="permanent", validator=attrs.validators.in_(("permanent", "transient", "temporary"))
    )
    max_restarts: int = attrs.field(default=5, validator=attrs.validators.ge(0))
    within_s: float = attrs.field(default=60.0, validator=attrs.validators.gt(0))
    backoff_initial_s: float = attrs.field(default=0.1, validator=attrs.validators.ge(0))
    backoff_max_s: float = attrs.field(default=30.0, validator=attrs.validators.ge(0))
    jitter: float = attrs.field(default=0.1, validator=[attrs.validators.ge(0), attrs.validators.le(1)])


@attrs.frozen
class RestartState:
    """When restarts were decided on, oldest first; never more than ``max_restarts``."""

    restarts: tuple[float, ...] = ()


@attrs.frozen
class Restart:
    """Start it again in ``after_s`` seconds (0: at once)."""

    after_s: float


@attrs.frozen
class GiveUp:
    """It failed, and is not started again because of ``reason``."""

    reason: str


@attrs.frozen
class Stay:
    """It ended as it should, and stays so."""


Decision: TypeAlias = Restart | GiveUp | Stay


def decide(
    policy: RestartPolicy, state: RestartState, now: float, normal_exit: bool, random: float
) -> tuple[RestartState, Decision]:
    """Decide what follows an end at ``now`` (monotonic seconds); ``random`` is from 0 to 1 and evenly spread.

    Give the state that is returned to the next call.
    """
    if policy.kind != "permanent" and normal_exit:
        return state, Stay()
    if policy.kind == "temporary":
        return state, GiveUp("its restart policy is temporary")
    recent = tuple(time for time in state.restarts if now - time < policy.within_s)
    if len(recent) >= policy.max_restarts:
        return RestartState(recent), GiveUp(f"restarted {len(recent)} times within {policy.within_s:g} s")
    return RestartState((*recent, now)), Restart(_backoff(policy, len(recent), random))


def _backoff(policy: RestartPolicy, restarts: int, random: float) -> float:
    """The wait before the next restart, ``restarts`` after the first of the window."""
    if restarts == 0:
        return 0.0
    # The exponent is bounded because a float power that overflows raises.
    wait = min(policy.backoff_initial_s * 2.0 ** min(restarts - 1, 1000), policy.backoff_max_s)
    return min(wait * (1 + policy.jitter * (2 * random - 1)), policy.backoff_max_s)
