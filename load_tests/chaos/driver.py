"""The chaos run as a scenario: ``options`` may have ``seed`` and ``roles``; each round has a seed of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator

from nyx_plugins.config import checks
from nyx_plugins.config.errors import Fault
from nyx_plugins.load_tests.errors import ScenarioError
from nyx_plugins.load_tests.result import Better, Counts, Mark, Metric, Round
from nyx_plugins.load_tests.scene import Scene

from .census import ROLES
from .run import LEAST_DRAIN_S, TOO_SHORT, Options, Report, Run


def drive(scene: Scene) -> Round:
    """Run it once. Raises :class:`ScenarioError` for options that can't be, and for a system that runs already."""
    if scene.connect is not None:
        raise ScenarioError("chaos", [Fault("", "needs a system of its own, whose processes it kills: no --connect")])
    if scene.scenario.drain_s < LEAST_DRAIN_S:
        raise ScenarioError("chaos", [Fault("drain_s", f"must be {LEAST_DRAIN_S:g} s or more: {TOO_SHORT}")])
    begun = time.monotonic()
    options = _options(scene)
    scene.show.phase(f"trouble, seed {options.seed}", options.seconds)
    report = Run(options, scene.show.note, scene.stop).report()
    counts = _counts(report)
    return Round(scene.number, time.monotonic() - begun, counts, dict(_metrics(report)), marks=tuple(_faults(report)))


def _options(scene: Scene) -> Options:
    scenario = scene.scenario
    return Options(
        scenario.seed + scene.number - 1,
        scenario.duration_s,
        scenario.clients,
        float(scenario.rate or Options().rate),
        _roles(scenario.options.get("roles", ROLES)),
        scenario.drain_s,
    )


def _roles(roles: object) -> tuple[str, ...]:
    found = tuple(roles) if isinstance(roles, list | tuple) else ()
    if not found or (faults := checks.each(checks.one_of(*ROLES)).faults(found, "options.roles")):
        raise ScenarioError("chaos", faults if found else [Fault("options.roles", "must be a list of roles")])
    return found


def _counts(report: Report) -> Counts:
    figures = report.figures
    return Counts(
        figures["offered"],
        figures["processed"],
        figures["failed"],
        figures["dead_lettered"],
        figures["refused"],
    )


def _metrics(report: Report) -> Iterator[tuple[str, Metric]]:
    yield "promises_broken", Metric(sum(report.faults.counts.values()), "promises", Better.LOWER)
    yield "processes_killed", Metric(report.kills.total(), "processes", Better.HIGHER)
    yield "frames_untold", Metric(report.figures["untold"], "frames", Better.LOWER)


def _faults(report: Report) -> Iterator[Mark]:
    for fault in report.faults:
        yield Mark(0.0, f"BROKEN: {fault}")
