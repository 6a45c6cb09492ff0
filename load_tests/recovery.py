"""How long it takes until all is well again after a process was killed: medians and maxima, against their limits.

Run as ``python -m nyx_plugins.load_tests recovery``. The exit code is 1 when a median is beyond its limit: a maximum on
a machine with other work to do says more about that.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import attrs
import click

from nyx_plugins import NyxPluginError, PluginHeader, PluginSystem, Settings, Subscription
from nyx_plugins.config.settings import SupervisionSettings
from nyx_plugins.load_tests.chaos.census import DISPATCHER, GUARD, PLUGIN_ACTOR, REGISTRY, WORKER, Census, kill

EXIT_NOT_MET = 1
P, GUEST = 1, 2
DATA = 0x52
TIMEOUT_S = 20.0
# What is asked in vain is asked again after this time, in seconds.
AGAIN_S = 0.001


@attrs.frozen
class Measurement:
    """Who is killed, what is waited for, and how long it may take (seconds; ``None``: any time)."""

    role: str
    until: str
    wait: Callable[[Subject], None]
    limit_s: float | None = None


@attrs.frozen
class Times:
    """How long it took each time, in seconds."""

    measurement: Measurement
    seconds: Sequence[float]

    @property
    def met(self) -> bool:
        """Whether the median is within the limit."""
        limit_s = self.measurement.limit_s
        return limit_s is None or statistics.median(self.seconds) <= limit_s

    def __str__(self) -> str:
        median, most = statistics.median(self.seconds) * 1000, max(self.seconds) * 1000
        limit_s = self.measurement.limit_s
        limit = "" if limit_s is None else f" (at most {limit_s * 1000:,.0f} ms){'' if self.met else '  NOT MET'}"
        what = f"{self.measurement.role} killed to {self.measurement.until}"
        return f"{what}: median {median:,.1f} ms, maximum {most:,.1f} ms of {len(self.seconds)}{limit}"


class Subject:
    """A system with one plugin, which comes back at once however often it is killed."""

    def __init__(self, system: PluginSystem) -> None:
        self.system = system
        self.census = Census(system.host_pid)
        self.events: Subscription = system.subscribe()

    def strike(self, role: str) -> float:
        """Kill who has this role; returns when."""
        [victim] = self._those(role)
        parents = self.census.parents_of(role)
        now = time.perf_counter()
        if not kill(victim, parents):
            raise RuntimeError(f"{role} {victim} could not be killed")
        return now

    def settle(self) -> None:
        """Wait until everybody is there and has answered, so that nothing of the last strike is left to do."""
        self.accepted()
        self.granted()
        while self.events.get(0.05) is not None:
            pass

    # What is waited for.

    def ready(self) -> None:
        """Wait until the plugin is ready again."""
        deadline = time.monotonic() + TIMEOUT_S
        while (notice := self.events.get(max(0.0, deadline - time.monotonic()))) is not None:
            if str(getattr(notice, "kind", "")) == "ready":
                return
        raise TimeoutError(f"the plugin was not ready within {TIMEOUT_S:g} s")

    def accepted(self) -> None:
        """Wait until a frame is accepted that is sent now."""
        self.system.dispatch(DATA, PluginHeader(P, 0, b"next"), TIMEOUT_S)

    def granted(self) -> None:
        """Wait until the registry has written down a permission."""
        self._insist(lambda: self.system.grant(P, "control"))

    def loaded(self) -> None:
        """Wait until a plugin is loaded, which takes the guard's consent."""
        self._insist(lambda: self.system.load("builtin:echo", plugin_id=GUEST))
        self.system.unload(GUEST)

    def _insist(self, act: Callable[[], object]) -> None:
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            try:
                act()
                return
            except NyxPluginError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(AGAIN_S)

    def _those(self, role: str) -> list[int]:
        deadline = time.monotonic() + TIMEOUT_S
        while len(those := self.census.of(role)) != 1 and time.monotonic() < deadline:
            time.sleep(AGAIN_S)
        return those


MEASUREMENTS: Mapping[str, Measurement] = {
    measurement.role: measurement
    for measurement in (
        Measurement(WORKER, "ready", Subject.ready, 0.150),
        Measurement(PLUGIN_ACTOR, "ready", Subject.ready),
        Measurement(DISPATCHER, "the next accepted frame", Subject.accepted, 0.500),
        Measurement(REGISTRY, "the next grant", Subject.granted),
        Measurement(GUARD, "the next plugin loaded", Subject.loaded),
    )
}


def measure(measurements: Sequence[Measurement], rounds: int) -> Iterator[Times]:
    """Kill each ``rounds`` times, and measure."""
    supervision = SupervisionSettings(max_restarts=1_000_000, backoff_initial_s=0.0, backoff_max_s=0.0)
    with PluginSystem(Settings(supervision=supervision)) as system:
        system.load("builtin:echo", plugin_id=P)
        subject = Subject(system)
        for measurement in measurements:
            yield Times(measurement, [_once(subject, measurement) for _ in range(rounds)])


def _once(subject: Subject, measurement: Measurement) -> float:
    subject.settle()
    begun = subject.strike(measurement.role)
    measurement.wait(subject)
    return time.perf_counter() - begun


@click.command()
@click.option("--rounds", default=20, show_default=True, type=click.IntRange(1), help="How often each is killed.")
@click.option("--role", "roles", multiple=True, type=click.Choice(list(MEASUREMENTS)), help="Only these.")
def recovery(rounds: int, roles: Sequence[str]) -> None:
    """Measure how long it takes until all is well again after a process was killed."""
    met = True
    try:
        for times in measure([MEASUREMENTS[role] for role in roles or MEASUREMENTS], rounds):
            click.echo(str(times))
            met = met and times.met
    except (NyxPluginError, TimeoutError) as error:
        raise click.ClickException(f"it did not come back: {error}") from None
    if not met:
        click.get_current_context().exit(EXIT_NOT_MET)
