"""A run: all rounds of a scenario, with all of its variants, and what came of them as one :class:`Result`."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import attrs

from nyx_plugins.config.errors import NyxPluginError

from .drivers import drive, find
from .kernel import filesystem_of
from .machine import machine, versions
from .result import Counts, Mark, Mode, ProcessUsage, Result, Round, Series
from .scenario import Plan
from .scene import Scene, Show, Silence
from .stage import runtime_base
from .summary import is_without_outcome
from .verdicts import checks, judged, left_out

# Between two variants, in what is drawn.
PAUSE_S = 1.0
COMPLETED, INTERRUPTED = "completed", "interrupted"


def run(
    plan: Plan, *, connect: Path | None = None, stop: threading.Event | None = None, show: Show | None = None
) -> Result:
    """Do all rounds; ``stop`` ends them early, and the result then says ``interrupted``.

    After that :class:`KeyboardInterrupt` ends them too, where an earlier round was measured. ``connect`` is the runtime
    directory of the system that is put under load. What goes wrong meanwhile stands in the result with what was
    measured before. Raises :class:`NyxPluginError` when nothing was measured at all, and
    :class:`ScenarioError` when there is no such driver.
    """
    result, error = attempt(plan, connect=connect, stop=stop, show=show)
    if error is not None and not result.rounds:
        raise error
    return result


def attempt(
    plan: Plan, *, connect: Path | None = None, stop: threading.Event | None = None, show: Show | None = None
) -> tuple[Result, NyxPluginError | None]:
    """Do the same, and return what has broken the run off besides, whatever was measured before."""
    stop, show = stop or threading.Event(), show or Silence()
    error: NyxPluginError | None = None
    at, here, rounds, ended = datetime.now(UTC), machine(), list[Round](), COMPLETED
    drivers = {name: find(part.driver, plan.folder) for name, part in plan.parts.items()}
    try:
        for number in range(1, plan.scenario.rounds + 1):
            done, maxima = dict[str, Round](), dict[Hashable, float]()
            try:
                for name, part in plan.parts.items():
                    if not stop.is_set():
                        show.note(_title(plan, number, name))
                        scene = Scene(part, number, Path(plan.folder), connect, stop, show, maxima)
                        made = drive(drivers[name], scene)
                        # What was interrupted before it had measured anything is no round.
                        if made.metrics or not stop.is_set():
                            done[name] = made
            finally:
                if done:
                    rounds.append(joined(number, done))
        ended = INTERRUPTED if stop.is_set() else ending(rounds)
    except KeyboardInterrupt:
        if not (stop.is_set() and rounds):
            raise
        ended = INTERRUPTED
    except NyxPluginError as raised:
        error, ended = raised, str(raised)
    result = Result(
        plan.scenario.name,
        plan.scenario.description,
        at.isoformat(timespec="seconds"),
        ended,
        Mode(plan.scenario.mode),
        connect is not None,
        here,
        versions(),
        _settings(plan, connect),
        (*(attrs.evolve(first, notes=(*first.notes, *left_out(plan))) for first in rounds[:1]), *rounds[1:]),
        checks(judged(plan), rounds),
    )
    return result, error


def ending(rounds: Sequence[Round]) -> str:
    """Return how a run ended that nothing has broken off: with all of its figures, or not."""
    total = _total([one.counts for one in rounds])
    if total.unknown:
        return f"clients were lost, and with them what became of {total.unknown:,} frames"
    if total.lost:
        return f"{total.lost:,} frames were lost: nobody can say what became of them"
    if is_without_outcome(rounds):
        return f"nothing was measured: none of {total.offered:,} frames came to an outcome"
    return COMPLETED


def _title(plan: Plan, number: int, name: str) -> str:
    which = f", {name}" if name else ""
    return f"{plan.scenario.name}: round {number} of {plan.scenario.rounds}{which}"


def _settings(plan: Plan, connect: Path | None) -> dict[str, object]:
    """Return the scenario as it is run, and on what kind of filesystem mailboxes lie."""
    where = connect or runtime_base()
    return {**attrs.asdict(plan.scenario), "runtime_dir_filesystem": filesystem_of(where)}


# Several variants are one round.


def joined(number: int, parts: Mapping[str, Round]) -> Round:
    """Return one round of several, one after the other in time; what has a name has that of its variant behind it."""
    if set(parts) == {""}:
        return parts[""]
    starts = list(_starts(list(parts.values())))
    moved = [(f" [{name}]", part, start) for (name, part), start in zip(parts.items(), starts, strict=True)]
    return Round(
        number,
        sum(part.seconds for part in parts.values()),
        _total([part.counts for part in parts.values()]),
        {name + tag: metric for tag, part, _ in moved for name, metric in part.metrics.items()},
        {name + tag: seen for tag, part, _ in moved for name, seen in part.latencies.items()},
        tuple(_later(each, tag, start) for tag, part, start in moved for each in part.series),
        tuple(_used_later(each, tag, start) for tag, part, start in moved for each in part.processes),
        tuple(mark for tag, part, start in moved for mark in _marks(part, tag, start)),
        tuple(note + tag for tag, part, _ in moved for note in part.notes),
    )


def _starts(parts: Sequence[Round]) -> Iterator[float]:
    start = 0.0
    for part in parts:
        yield start
        times = [each.at_s for each in part.series] + [each.at_s for each in part.processes]
        start += max([part.seconds, *(at_s[-1] for at_s in times if at_s)]) + PAUSE_S


def _later(series: Series, tag: str, start: float) -> Series:
    return attrs.evolve(series, name=series.name + tag, at_s=_shifted(series.at_s, start))


def _used_later(process: ProcessUsage, tag: str, start: float) -> ProcessUsage:
    return attrs.evolve(process, role=process.role + tag, at_s=_shifted(process.at_s, start))


def _shifted(at_s: Sequence[float], start: float) -> tuple[float, ...]:
    return tuple(round(at + start, 3) for at in at_s)


def _marks(part: Round, tag: str, start: float) -> Iterator[Mark]:
    yield Mark(round(start, 3), f"begins{tag}")
    for mark in part.marks:
        yield Mark(round(mark.at_s + start, 3), mark.what + tag)


def _total(counts: Sequence[Counts]) -> Counts:
    return Counts(**{name: sum(getattr(each, name) for each in counts) for name in attrs.fields_dict(Counts)})
