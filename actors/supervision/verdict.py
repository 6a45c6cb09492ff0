"""Whether and when what has ended is started again: a pure function of its spec and of when it was restarted before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import attrs

from .child_spec import ChildSpec


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


Verdict: TypeAlias = Restart | GiveUp | Stay


def decide(
    spec: ChildSpec, restarts: Sequence[float], now: float, normal: bool, random: float
) -> tuple[tuple[float, ...], Verdict]:
    """Decide what follows an end at ``now`` (monotonic seconds); ``random`` is from 0 to 1 and evenly spread.

    ``restarts`` are the times of those decided on before, oldest first; the ones to give to the next call, never more
    than ``max_restarts``, come back.
    """
    if spec.restart != "permanent" and normal:
        return tuple(restarts), Stay()
    if spec.restart == "temporary":
        return tuple(restarts), GiveUp("its restart policy is temporary")
    allowed = spec.intensity
    recent = tuple(time for time in restarts if now - time < allowed.within_s)
    if len(recent) >= allowed.max_restarts:
        return recent, GiveUp(f"restarted {len(recent):,} times within {allowed.within_s:g} s")
    return (*recent, now), Restart(spec.backoff.wait_s(len(recent), random))
