"""One point of a curve: a run of the scenario ``throughput``, in processes of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import attrs

from nyx_plugins.load_tests.forecast import Forecast
from nyx_plugins.load_tests.keeper import Work, WorkFailed, kept
from nyx_plugins.load_tests.library import load
from nyx_plugins.load_tests.result import Better, Metric
from nyx_plugins.load_tests.run import COMPLETED, run
from nyx_plugins.load_tests.scenario import merged

from .sweeps import Sweep

SCENARIO = "throughput"
TIMEOUT_S = 300.0
# Besides the time that is measured and that of warming up: a system and its clients begin and end, and so do plugins.
BESIDES_S, PLUGIN_S = 2.5, 0.06
RATE = "processed_per_s"
MEMORY, PLUGIN_MEMORY = "memory_bytes", "memory_bytes_per_plugin"
CPU = {
    f"cpu_us_per_frame.{role.replace(' ', '_')}": role for role in ("client", "dispatcher", "plugin actor", "worker")
}
KEPT = (RATE, MEMORY, PLUGIN_MEMORY, *CPU)
Metrics: TypeAlias = dict[str, Metric]


def measure(directory: Path, changes: Mapping[str, Any]) -> dict[str, tuple[float, str, str]]:
    """Run the scenario once, changed; return what is kept of its metrics: value, unit and direction."""
    result = run(load(SCENARIO, changes))
    if result.ended != COMPLETED:
        raise RuntimeError(result.ended)
    found = result.rounds[0].metrics
    if missing := [name for name in KEPT if name not in found]:
        idle = "no frame was processed in the measured time; " if not found[RATE].value else ""
        raise RuntimeError(f"{idle}{SCENARIO} has not measured {', '.join(missing)}")
    return {name: (found[name].value, found[name].unit, str(found[name].better)) for name in KEPT}


@attrs.define
class Growth:
    """What was measured: metrics, named as those of variants, and by point why it has none."""

    metrics: Metrics = attrs.field(factory=dict)
    failures: dict[str, str] = attrs.field(factory=dict)

    def measure(self, sweeps: Sequence[Sweep], seconds: float, note: Callable[[str], None]) -> None:
        """Measure every point for so many seconds."""
        points = list(_points(sweeps))
        forecast = Forecast([expected_s(sweep, value, seconds) for sweep, value in points])
        for sweep, value in points:
            point = sweep.point(value)
            note(forecast.step(point))
            try:
                found = _measured_or_again(sweep, value, seconds)
            except WorkFailed as failure:
                self.failures[point] = str(failure)
            else:
                self.metrics |= {f"{name} [{point}]": each for name, each in found.items()}


def _points(sweeps: Sequence[Sweep]) -> Iterator[tuple[Sweep, int]]:
    for sweep in sweeps:
        for value in sweep.values:
            yield sweep, value


def expected_s(sweep: Sweep, value: int, seconds: float) -> float:
    """Return about how long a point takes."""
    return 1.5 * seconds + BESIDES_S + (PLUGIN_S * value if sweep.name == "plugins" else 0)


def changes_of(sweep: Sweep, value: int, seconds: float) -> dict[str, Any]:
    """Return what the scenario is told for a point: one round without variants, whose figures have plain names."""
    short = {"variants": {}, "rounds": 1, "warm_up_s": seconds / 2, "duration_s": seconds}
    return merged(short, sweep.changes(value))


def _measured_or_again(sweep: Sweep, value: int, seconds: float) -> Metrics:
    """Measure a point, once more if that fails: once may be the machine's fault. Raises :class:`WorkFailed`."""
    try:
        return _measured(sweep, value, seconds)
    except WorkFailed:
        return _measured(sweep, value, seconds)


def _measured(sweep: Sweep, value: int, seconds: float) -> Metrics:
    found = kept(Work(f"{__name__}:measure", {"changes": changes_of(sweep, value, seconds)}, TIMEOUT_S))
    return {name: Metric(number, unit, Better(better)) for name, (number, unit, better) in found.items()}
