"""Processes by what they do: a hundred workers are one line of a table, and one line of a plot."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from statistics import median

import attrs

from ..result import ProcessUsage, Round
from ..variants import split


@attrs.frozen
class RoleUsage:
    """What the processes of one role have used in a round."""

    role: str
    variant: str
    """Of the scenario; empty if it has none."""
    processes: int
    cores: float
    """CPU seconds for each second, all of them together."""
    pss_bytes: float
    """Median of the processes, each at its last look."""
    total_pss_bytes: float
    growth_bytes: float
    """What the one that grew most has grown by, from its first look to its last."""
    switches_per_s: float
    """Of context, voluntary and not, all of them together."""
    descriptors: int
    """The most that one of them had open."""


def role_of(process: ProcessUsage) -> str:
    """Return the role without its number and its variant: ``worker`` of ``worker 12 [10 plugins]``."""
    role = split(process.role)[0]
    return re.sub(r"[\s#:/-]*\d+$", "", role) or role


def by_role(processes: Iterable[ProcessUsage]) -> dict[tuple[str, str], list[ProcessUsage]]:
    """Return the processes that were looked at, by role and variant, in the order in which these come."""
    found: dict[tuple[str, str], list[ProcessUsage]] = {}
    for process in processes:
        if process.at_s:
            found.setdefault((role_of(process), split(process.role)[1]), []).append(process)
    return found


def usage(one: Round) -> tuple[RoleUsage, ...]:
    """Return what each role has used in a round, in the order in which roles come."""
    return tuple(_usage(*key, processes) for key, processes in by_role(one.processes).items())


def median_usage(rounds: Sequence[Round]) -> tuple[RoleUsage, ...]:
    """Return the median over the rounds for each role."""
    found: dict[tuple[str, str], list[RoleUsage]] = {}
    for one in rounds:
        for used in usage(one):
            found.setdefault((used.role, used.variant), []).append(used)
    return tuple(_median(several) for several in found.values())


def _median(several: Sequence[RoleUsage]) -> RoleUsage:
    return RoleUsage(
        role=several[0].role,
        variant=several[0].variant,
        processes=round(median(used.processes for used in several)),
        cores=median(used.cores for used in several),
        pss_bytes=median(used.pss_bytes for used in several),
        total_pss_bytes=median(used.total_pss_bytes for used in several),
        growth_bytes=median(used.growth_bytes for used in several),
        switches_per_s=median(used.switches_per_s for used in several),
        descriptors=round(median(used.descriptors for used in several)),
    )


def _usage(role: str, variant: str, processes: Sequence[ProcessUsage]) -> RoleUsage:
    return RoleUsage(
        role=role,
        variant=variant,
        processes=len(processes),
        cores=sum(_rate(process, process.cpu_s) for process in processes),
        pss_bytes=median(_memory(process)[-1] for process in processes),
        total_pss_bytes=sum(_memory(process)[-1] for process in processes),
        growth_bytes=max(_memory(process)[-1] - _memory(process)[0] for process in processes),
        switches_per_s=sum(
            _rate(process, process.voluntary_switches) + _rate(process, process.involuntary_switches)
            for process in processes
        ),
        descriptors=max((max(process.descriptors, default=0) for process in processes), default=0),
    )


def _rate(process: ProcessUsage, totals: Sequence[float]) -> float:
    seconds = process.at_s[-1] - process.at_s[0]
    return (totals[-1] - totals[0]) / seconds if seconds > 0 and totals else 0.0


def _memory(process: ProcessUsage) -> Sequence[int]:
    return process.pss_bytes or (0,)
