"""The driver of all scenarios that name none: clients send frames, things happen meanwhile, and somebody looks."""

from __future__ import annotations

import json
import time
from collections.abc import Hashable, Iterator, Sequence

import attrs

from nyx_plugins.config.errors import Fault, StartupError

from . import figures
from .arrivals import NS, spread
from .captures import capture_path
from .clients import Clients
from .director import Director
from .errors import ScenarioError
from .figures import Window
from .observer import Observer
from .phase import Phase
from .recorder import Tally, added
from .result import Better, Counts, Mark, Metric, Round
from .scenario import Scenario
from .scene import Scene
from .scratch import scratch
from .stage import Place, Stage, staged

INTERVAL_S = 0.1
# From the order to the first frame: all clients have to have read it.
LEAD_S = 0.2
_OF_A_MAXIMUM = (
    "share_of", "call", "batch", "window", "clients", "when_full", "frame_bytes", "capture", "calibrate_s", "settings",
)  # fmt: skip
# Warming up before a calibration, as a part of it.
CALIBRATION_WARM_UP = 0.3


def drive(scene: Scene) -> Round:
    """Do one round. Raises any :class:`NyxPluginError` that keeps a system from running or clients from sending."""
    with staged(scene.scenario, scene.base, scene.connect, scene.show) as stage, scratch("nyx-load-") as folder:
        if scene.stop.is_set():
            return unmeasured(scene.number)
        scene.show.phase("starting clients")
        with Clients(scene.scenario.clients, stage.service, folder) as clients:
            return _Traffic(scene, stage, clients).round()


def unmeasured(number: int) -> Round:
    """Return a round that was ended before anything was measured."""
    return Round(number, 0.0, Counts(), {})


class _Traffic:
    def __init__(self, scene: Scene, stage: Stage, clients: Clients) -> None:
        self._scene, self._stage, self._clients = scene, stage, clients
        self._scenario = scene.scenario
        self._metrics: dict[str, Metric] = {"load_s": Metric(stage.load_s, "s", Better.LOWER)}

    def round(self) -> Round:
        scenario = self._scenario
        rate = self._rate() if scenario.mode == "open" else 0.0
        if self._scene.stop.is_set():
            return unmeasured(self._scene.number)
        if rate:
            self._metrics["rate_per_s"] = Metric(rate, "frames/s", Better.HIGHER)
        began = time.monotonic() + LEAD_S
        phases = [self._phase(number, began, rate) for number in range(scenario.clients)]
        measured = phases[0].measured / NS
        director = Director(self._stage, scenario.events, began, measured)
        edges = (measured - began, phases[0].end / NS - began)
        observer = Observer(self._stage, self._clients.roles, began, scenario.sample_s, edges)
        observer.on_look = self._scene.show.look
        self._show(began)
        observer.start()
        director.start()
        try:
            heard = self._clients.run(phases, self._scene.stop)
        finally:
            director.stop()
            observer.stop()
        tally, lost = added(heard.tallies), [(phases[place], why) for place, why in heard.lost.items()]
        window = Window(measured - began, tally.until / NS - began)
        if window.is_empty and self._scene.stop.is_set():
            return unmeasured(self._scene.number)
        return self._made(tally, lost, observer, director, window)

    def _made(
        self, tally: Tally, lost: Sequence[tuple[Phase, str]], observer: Observer, director: Director, window: Window
    ) -> Round:
        if tally.error:
            raise StartupError(f"the system stopped meanwhile: {tally.error}")
        scenario = self._scenario
        processes, series = observer.processes(), observer.series()
        plugins = len(self._stage.places)
        found = {} if window.is_empty else figures.metrics_of(tally, window, INTERVAL_S, processes, series, plugins)
        failed = {"events_failed": Metric(director.failed, "events", Better.LOWER)} if scenario.events else {}
        return Round(
            self._scene.number,
            0.0 if window.is_empty else round(window.seconds, 3),
            figures.counts_of(tally, sum(at_stake(phase) for phase, _ in lost)),
            found | self._metrics | failed,
            figures.latencies_of(tally),
            figures.throughput(tally, INTERVAL_S) + series,
            processes,
            tuple(sorted([*self._phases(window), *director.marks], key=lambda mark: mark.at_s)),
            (*notes(tally, lost), *unended(tally, scenario), *early(tally.frames, scenario, window)),
        )

    def _phases(self, window: Window) -> Iterator[Mark]:
        if begin_s := round(window.begin_s, 3):
            yield Mark(begin_s, "warm-up ends")
        yield Mark(round(window.end_s, 3), "sending ends")

    def _show(self, began: float) -> None:
        scenario, show = self._scenario, self._scene.show
        seconds = scenario.warm_up_s + scenario.duration_s
        what = "warming up, then sending" if scenario.warm_up_s else "sending"
        show.phase(what, began - time.monotonic() + seconds)

    # How fast.

    def _rate(self) -> float:
        share = self._scenario.share
        if share is None:
            return float(self._scenario.rate)
        maxima, way = self._scene.maxima, way_of(self._scenario)
        if way not in maxima:
            maxima[way] = self._calibrate()
        most = maxima[way]
        self._metrics["calibrated_per_s"] = Metric(most, "frames/s", Better.HIGHER)
        return most * share

    def _calibrate(self) -> float:
        """Return how many frames one plugin, or all together, process in a second at the most."""
        scenario = self._scenario
        warm_up_s = scenario.calibrate_s * CALIBRATION_WARM_UP
        self._scene.show.phase(f"measuring the maximum of {scenario.share_of}", warm_up_s + scenario.calibrate_s)
        began = time.monotonic() + LEAD_S
        measured = self._receivers[:1] if scenario.share_of == "one plugin" else self._receivers
        capacity = min(scenario.plugins[place.group].capacity for place in measured)
        window = max(1, min(scenario.window, capacity // scenario.clients))
        changed = attrs.evolve(
            scenario,
            mode="closed",
            call="one" if scenario.call == "one" else "many",
            window=window,
            batch=min(scenario.batch, window),
            warm_up_s=warm_up_s,
            duration_s=scenario.calibrate_s,
        )
        alone = measured[0] if len(measured) == 1 else None
        phases = [self._phase(number, began, 0.0, changed, alone) for number in range(scenario.clients)]
        heard = self._clients.run(phases, self._scene.stop)
        if heard.lost:
            raise StartupError("; ".join(heard.lost.values()))
        tally = added(heard.tallies)
        span = Window(warm_up_s, tally.until / NS - began)
        landed = figures.landed_within(tally, span, INTERVAL_S)
        if not landed and not self._scene.stop.is_set():
            raise ScenarioError(scenario.name, [unmeasurable(scenario, tally)])
        return max(1.0, landed / span.seconds)

    @property
    def _receivers(self) -> list[Place]:
        """The plugins that get frames; the first one's maximum is the measure of the others."""
        return [place for place in self._stage.places if self._scenario.plugins[place.group].weight]

    # Who does what.

    def _phase(
        self, number: int, began: float, rate: float, changed: Scenario | None = None, alone: Place | None = None
    ) -> Phase:
        scenario = changed or self._scenario
        begin = round(began * NS)
        measured = begin + round(scenario.warm_up_s * NS)
        end = measured + round(scenario.duration_s * NS)
        groups = {place.id: place.group for place in self._stage.places}
        return Phase(
            scenario.mode,
            scenario.call,
            scenario.arrivals,
            rate / scenario.clients,
            scenario.batch,
            scenario.window,
            scenario.when_full,
            (alone.id,) if alone is not None else self._order(number),
            groups,
            scenario.frame_bytes,
            str(capture_path(scenario.capture, self._scene.base)) if scenario.capture else "",
            self._stage.system.settings.limits.max_stream_frame_bytes,
            f"{scenario.seed}:{self._scene.number}:{number}",
            begin,
            measured,
            end,
            end + round(scenario.drain_s * NS),
            round(INTERVAL_S * NS),
            most_of_each(scenario),
        )

    def _order(self, number: int) -> tuple[int, ...]:
        """Return to which plugins the frames of a client go in turn; each client begins with another."""
        plugins = self._scenario.plugins
        weights = {place.id: plugins[place.group].weight for place in self._stage.places}
        turn = spread({plugin: weight for plugin, weight in weights.items() if weight})
        first = number * len(turn) // self._scenario.clients
        return tuple(turn[first:] + turn[:first])


def unmeasurable(scenario: Scenario, tally: Tally) -> Fault:
    """Return what is wrong with a scenario of which a maximum is 0: frames that are refused, or too little time."""
    what = f"no frame was done while the maximum of {scenario.share_of} was measured for {scenario.calibrate_s:g} s"
    if tally.refusals:
        causes = ", ".join(f"{count:,} were refused with {cause}" for cause, count in tally.refusals.items())
        return Fault("rate", f"{what}: {causes}; let them be accepted, or give a rate in frames/s")
    return Fault("calibrate_s", f"{what}: give it more time, or a rate in frames/s")


def way_of(scenario: Scenario) -> Hashable:
    """Return how a maximum is measured: what is the same for two variants gives the same maximum."""
    receivers = [group for group in scenario.plugins.values() if group.weight]
    if scenario.share_of == "one plugin":
        receivers = [attrs.evolve(receivers[0], count=1, id=None)]
    asked = [getattr(scenario, name) for name in _OF_A_MAXIMUM]
    return json.dumps([*asked, *map(attrs.asdict, receivers)], sort_keys=True)


def at_stake(phase: Phase) -> int:
    """Return of how many frames nobody knows what became of them, if the client of this phase is lost."""
    if phase.mode == "open":
        return round(phase.rate * (phase.end - phase.measured) / NS)
    return 1 if phase.call == "request" else phase.window


def notes(tally: Tally, lost: Sequence[tuple[Phase, str]]) -> Iterator[str]:
    """Yield why frames were refused or lost, and which clients were."""
    for cause, count in tally.refusals.items():
        yield f"{count:,} frames were refused with {cause}"
    if frames := tally.counts.get("lost"):
        yield f"{frames:,} frames were lost, the last with {tally.loss}"
    for phase, why in lost:
        yield f"{why}: what it has counted is lost, and of {at_stake(phase):,} frames nobody knows what became of them"


def unended(tally: Tally, scenario: Scenario) -> Iterator[str]:
    """Yield that frames were under way when the time for the last ones was over: no latency has them."""
    if frames := tally.counts.get("unfinished"):
        when = f"within {scenario.drain_s:g} s (drain_s) after the measured time"
        yield f"{frames:,} frames had no outcome {when}, and are in no latency"


def early(frames: int, scenario: Scenario, window: Window) -> Iterator[str]:
    """Yield that the round ended early, because all frames that it may have were sent."""
    if frames >= most_of_each(scenario) * scenario.clients and round(window.seconds, 3) < scenario.duration_s:
        ended = f"max_frames ({scenario.max_frames:,}) was reached"
        if window.is_empty:
            yield f"{ended} before the measured time began: nothing was measured"
        else:
            yield f"{ended}: {window.seconds:.3g} s were measured, not {scenario.duration_s:g} s"


def most_of_each(scenario: Scenario) -> int:
    """Return how many frames each client may send."""
    return max(1, scenario.max_frames // scenario.clients)
