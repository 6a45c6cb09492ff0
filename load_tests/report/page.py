"""The page of a report: what was measured as tables and sentences, around the plots."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from statistics import median

import attrs

from ..amounts import digits, figure, percent
from ..extra import needed
from ..result import Latency, Mode, Result, Round
from ..summary import Summary, notes, summaries
from ..variants import split, variants
from .roles import median_usage
from .words import meaning

with needed():
    import jinja2
    from markupsafe import Markup

COUNTS = {
    "offered": "were to be sent in the measured time",
    "processed": "a plugin has handled",
    "failed": "a plugin has raised an error for",
    "dead_lettered": "were accepted, and given up later",
    "refused": "were not accepted, for want of room for example",
    "unsent": "were due, and never sent",
    "lost": "were sent, and nobody can say what became of them: has to be 0",
    "unfinished": "were sent, and had no outcome when drain_s was over",
    "unknown": "were those of clients that ended early: nobody knows",
}
MODES = {
    Mode.OPEN: "Open loop: frames were sent at times that were fixed before, whatever the system did, and latency "
    "counts from those times. So a stall shows in the latencies of all the frames that it made late.",
    Mode.CLOSED: "Closed loop: the next frames were sent when earlier ones were done. This finds the highest "
    "throughput; its latencies say little, since a slow system is asked less.",
    Mode.NONE: "Nothing was sent at a rate: what was measured is how long something takes.",
}


@attrs.frozen
class Picture:
    """A plot that is ready for the page."""

    name: str
    title: str
    words: str
    svg: str


def page(result: Result, pictures: Sequence[Picture]) -> str:
    """Return the page: everything in it is escaped but the plots, which we have drawn."""
    metrics = summaries(result.rounds)
    kinds = variants(metric.name for metric in metrics)
    return _template().render(
        result=result,
        pictures=[(picture, Markup(picture.svg)) for picture in pictures],
        verdict=verdict(result),
        mode=MODES[result.mode],
        metrics=metrics,
        notes=list(notes(result)),
        variants=kinds if len(kinds) > 1 else [],
        by_variant=_by_variant(metrics),
        counts=dict(_counts(result.rounds)),
        heads=[f"round {one.number}" for one in result.rounds],
        meanings=COUNTS,
        latencies=dict(_latencies(result.rounds)),
        roles=median_usage(result.rounds),
        settings=list(_flat(result.settings)),
        marks=[(one.number, mark) for one in result.rounds for mark in one.marks],
    )


def _by_variant(metrics: Iterable[Summary]) -> dict[str, dict[str, Summary]]:
    """Return what there is of each metric, by its variant."""
    found: dict[str, dict[str, Summary]] = {}
    for metric in metrics:
        name, variant = split(metric.name)
        found.setdefault(name, {})[variant] = metric
    return found


def verdict(result: Result) -> tuple[str, str]:
    """Return ``good``, ``bad`` or ``plain``, and what there is to say first."""
    count, missed = len(result.checks), sum(not check.met for check in result.checks)
    several = f"{missed} of {count} limits not met{_of_these(result)}."
    if result.ended != "completed":
        return "bad", f"The run did not go to its end: {result.ended}. What is here is what was measured until then."
    if missed:
        return "bad", several if count > 1 else "The limit is not met."
    if result.checks:
        return "good", f"All {count} limits met." if count > 1 else "The limit is met."
    return "plain", "The run went to its end. It had no limits to meet."


def _of_these(result: Result) -> str:
    unmeasured = sum(check.measured is None for check in result.checks)
    return f", of which {unmeasured} {'was' if unmeasured == 1 else 'were'} not measured" if unmeasured else ""


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__, "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(figure=figure, digits=digits, percent=percent, meaning=meaning)
    return environment.get_template("page.html")


def _counts(rounds: Sequence[Round]) -> Iterator[tuple[str, list[int]]]:
    """Yield each count that is not zero everywhere, with its value in each round; and ``lost`` in any case."""
    columns = [attrs.asdict(one.counts) for one in rounds]
    for name in columns[0] if columns else ():
        values = [column[name] for column in columns]
        if any(values) or name in ("offered", "processed", "lost"):
            yield name, values


def _latencies(rounds: Sequence[Round]) -> Iterator[tuple[str, Mapping[str, float]]]:
    """Yield the medians over the rounds of each kind of latency: percentiles, and the longest of all."""
    for name in dict.fromkeys(name for one in rounds for name in one.latencies):
        those = [one.latencies[name] for one in rounds if name in one.latencies]
        yield name, dict(_medians(those))


def _medians(those: Sequence[Latency]) -> Iterator[tuple[str, float]]:
    for level in dict.fromkeys(level for latency in those for level in latency.percentiles_us):
        yield (
            f"{level} %",
            median(latency.percentiles_us[level] for latency in those if level in latency.percentiles_us),
        )
    yield "longest of all rounds", max(latency.max_us for latency in those)


def _flat(settings: Mapping[str, object], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield each setting with its dotted name."""
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value if isinstance(value, str) else json.dumps(value, default=str)
