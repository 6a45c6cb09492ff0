"""What makes a comparison doubtful: other machines, other settings, too few rounds."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import attrs

from ..amounts import counted
from ..result import Result
from ..summary import Summary, summaries
from .side import Side

ENOUGH = 5
"""Rounds of each side below which intervals are wide."""
_OWN = frozenset({"nyx-plugins", "revision"})  # versions that a comparison is about


def notes(base: Side, candidate: Side) -> Iterator[str]:
    """Yield a sentence for each doubt."""
    first, second = base.results[0], candidate.results[0]
    yield from _unlike("machine", _machine(first), _machine(second))
    yield from _unlike("version", _versions(first), _versions(second))
    yield from _unlike("setting", _settings(first), _settings(second))
    for name, side in (("first", base), ("second", candidate)):
        yield from (f"the {name} side has a run that {_ended(each)}" for each in side.results if _ended(each))
        if any(_busy(each) for each in side.results):
            yield f"the {name} side's machine was busy before it began: its figures are worse than they could be"
        if any(_circumstances(each) != _circumstances(side.results[0]) for each in side.results):
            yield f"the {name} side's own results differ in machine, versions or settings: only the first is looked at"
        yield from _unmeasured(name, side)
    yield from _one_sided(base, candidate)
    fewest = min(len(base.rounds), len(candidate.rounds))
    if fewest < ENOUGH:
        yield f"a side has only {counted(fewest, 'round')}: {ENOUGH} or more give narrower intervals, and 2 give any"


def _one_sided(base: Side, candidate: Side) -> Iterator[str]:
    first, second = ({name for one in side.rounds for name in one.metrics} for side in (base, candidate))
    if names := sorted(first ^ second):
        yield f"on one side only, and left out: {', '.join(names)}"
    later = {each.name: each for each in summaries(candidate.rounds)}
    for each in summaries(base.rounds):
        if (other := later.get(each.name)) is not None and _sense(each) != _sense(other):
            yield f"another meaning, and left out: {each.name} is {_sense(each)}, then {_sense(other)}"


def _sense(metric: Summary) -> str:
    return f"in {metric.unit}, {metric.better} being better"


def _unmeasured(name: str, side: Side) -> Iterator[str]:
    checks = [check for result in side.results for check in result.checks]
    for what in dict.fromkeys(check.what for check in checks if check.measured is None):
        yield f"the {name} side has not measured: {what}"


def _unlike(kind: str, first: Mapping[str, str], second: Mapping[str, str]) -> Iterator[str]:
    for name in dict.fromkeys([*first, *second]):
        one, other = first.get(name, "not there"), second.get(name, "not there")
        if one != other:
            yield f"another {kind}: {name} is {one}, then {other}"


def _machine(result: Result) -> Mapping[str, str]:
    fields = attrs.asdict(result.machine)
    return {name: str(value) for name, value in fields.items() if name != "load_average"}


def _versions(result: Result) -> Mapping[str, str]:
    return {name: version for name, version in result.versions.items() if name not in _OWN}


def _settings(result: Result) -> Mapping[str, str]:
    how = {"mode": result.mode.value, "connected": str(result.connected).lower()}
    return how | dict(_flat(result.settings))


def _flat(settings: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        elif name != "rounds":
            yield f"{prefix}{name}", json.dumps(value, default=str)


def _circumstances(result: Result) -> object:
    return _machine(result), _versions(result), _settings(result)


def _busy(result: Result) -> bool:
    return result.machine.load_average > result.machine.cores / 2


def _ended(result: Result) -> str:
    return "" if result.ended == "completed" else f"did not go to its end ({result.ended})"
