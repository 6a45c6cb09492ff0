"""``Result``: what a run has measured, and under which circumstances; read from JSON and written as it.

A result has everything that a report draws and a comparison compares, so that neither needs to run anything. What the
fields mean stands here and nowhere else; ``docs/load-tests.md`` shows an example.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path

import attrs
import cattrs
from attrs import field

from nyx_plugins.config.errors import ConfigError, Fault

from . import rules
from .drafts import drafted

SCHEMA = 1
"""Grows when an older reader would misunderstand a newer file."""


class Mode(StrEnum):
    """How frames are sent."""

    OPEN = "open"
    """At times that were fixed before; latency counts from the intended time, so that a stall is not hidden."""
    CLOSED = "closed"
    """The next one when an earlier one is done: what arrives adapts to what is served, and latency says less."""
    NONE = "none"
    """Nothing is sent at a rate: start-up, for example."""


class Better(StrEnum):
    """Which direction of a metric is an improvement."""

    HIGHER = "higher"
    LOWER = "lower"


@attrs.frozen
class Machine:
    """Where it ran."""

    processor: str
    cores: int = field(validator=rules.position)
    memory_bytes: int = field(validator=rules.count)
    kernel: str
    python: str
    """Implementation and version."""
    load_average: float = field(validator=rules.duration_s)
    """Of the minute before the run: processes that ran or waited to run."""


@attrs.frozen
class Counts:
    """Frames of one round, by what became of them."""

    offered: int = field(default=0, validator=rules.count)
    """Those that were to be sent within the measured time."""
    processed: int = field(default=0, validator=rules.count)
    failed: int = field(default=0, validator=rules.count)
    dead_lettered: int = field(default=0, validator=rules.count)
    refused: int = field(default=0, validator=rules.count)
    """Not accepted, for want of room for example."""
    lost: int = field(default=0, validator=rules.count)
    """Nobody can say what became of them: 0, or something is broken."""
    unfinished: int = field(default=0, validator=rules.count)
    """Sent, and without an outcome when the time for the last ones (``drain_s``) was over."""
    unsent: int = field(default=0, validator=rules.count)
    """Due, and not sent by the end: whoever sends could not keep up, or was held up."""
    unknown: int = field(default=0, validator=rules.count)
    """Sent, or due to be sent, by clients that ended early: nobody knows what became of them. In a closed loop those
    that may have been under way then."""


@attrs.frozen
class Latency:
    """How long frames took. All times in microseconds."""

    count: int = field(validator=rules.count)
    min_us: float = field(validator=rules.duration_us)
    mean_us: float = field(validator=rules.duration_us)
    max_us: float = field(validator=rules.duration_us)
    percentiles_us: Mapping[str, float] = field(validator=rules.percentiles)
    """By percentile, ``"50"`` to ``"99.99"``."""
    histogram: str
    """All of it: an HdrHistogram, V2 compressed and base64 encoded, in microseconds with three significant digits."""


@attrs.frozen
class Series:
    """Something over time."""

    name: str
    unit: str
    at_s: tuple[float, ...] = field(validator=rules.moments)
    """Seconds since the round began."""
    values: tuple[float, ...] = field(validator=rules.amounts)
    """As many as there are times."""

    def __attrs_post_init__(self) -> None:
        """Refuse what is not as long."""
        _refuse(self, rules.over_time(self.at_s, values=self.values))


@attrs.frozen
class ProcessUsage:
    """One process in a round: what it has used since the round began, at each look."""

    pid: int = field(validator=rules.count)
    role: str
    """``client 1``, ``dispatcher``, ``plugin actor 1``, ``worker 1``, ..."""
    at_s: tuple[float, ...] = field(validator=rules.moments)
    cpu_s: tuple[float, ...] = field(validator=rules.durations_s)
    """User and system, since the first look."""
    rss_bytes: tuple[int, ...] = field(validator=rules.counts)
    pss_bytes: tuple[int, ...] = field(validator=rules.counts)
    voluntary_switches: tuple[int, ...] = field(validator=rules.counts)
    involuntary_switches: tuple[int, ...] = field(validator=rules.counts)
    descriptors: tuple[int, ...] = field(validator=rules.counts)

    def __attrs_post_init__(self) -> None:
        """Refuse columns that are not as long."""
        columns = {name: getattr(self, name) for name in _COLUMNS}
        _refuse(self, rules.over_time(self.at_s, **columns))


@attrs.frozen
class Mark:
    """Something that happened: a swap, a kill, a stall."""

    at_s: float = field(validator=rules.moment_s)
    """Seconds since the round began."""
    what: str


@attrs.frozen
class Metric:
    """One figure of a round, to be compared with that of another run."""

    value: float = field(validator=rules.amount)
    unit: str
    better: Better


@attrs.frozen
class Round:
    """One repetition of a scenario on a system of its own, after its warm-up."""

    number: int = field(validator=rules.position)
    """From 1."""
    seconds: float = field(validator=rules.duration_s)
    """Measured time, without warm-up and drain."""
    counts: Counts
    metrics: Mapping[str, Metric]
    latencies: Mapping[str, Latency] = field(factory=dict)
    """``outcome``: from the intended time of sending to the outcome; ``service``: from the actual one; or by name."""
    series: tuple[Series, ...] = ()
    """Throughput, the depth of each mailbox, files and socket buffers in bytes, over time."""
    processes: tuple[ProcessUsage, ...] = ()
    marks: tuple[Mark, ...] = ()
    notes: tuple[str, ...] = ()
    """What whoever reads the figures has to know besides: why frames were refused, which client was lost."""


@attrs.frozen
class Check:
    """A limit, and whether it was met."""

    what: str
    limit: str
    """As a reader wants it: ``>= 0.7x``."""
    measured: float | None = field(validator=rules.amount_or_none)
    """``null`` where it was not measured, which is not met."""
    unit: str
    met: bool

    def __attrs_post_init__(self) -> None:
        """Refuse a limit that was met by nothing."""
        if self.met and self.measured is None:
            _refuse(self, [Fault("met", "must be false where nothing was measured")])


@attrs.frozen
class Result:
    """A run of one scenario."""

    scenario: str
    description: str
    started_at: str = field(validator=rules.time)
    """UTC, ISO 8601."""
    ended: str
    """``completed``, ``interrupted``, or what went wrong."""
    mode: Mode
    connected: bool
    """Whether the system was a service that ran already."""
    machine: Machine
    versions: Mapping[str, str]
    """Of this package, its dependencies, and the revision of the checkout, by name."""
    settings: Mapping[str, object]
    """The scenario as it was run, and where the system's settings are not their defaults."""
    rounds: tuple[Round, ...]
    checks: tuple[Check, ...] = ()
    schema: int = field(default=SCHEMA, validator=rules.position)


_COLUMNS = ("cpu_s", "rss_bytes", "pss_bytes", "voluntary_switches", "involuntary_switches", "descriptors")
_HALF = re.compile("[\ud800-\udfff]")
_converter = cattrs.Converter(forbid_extra_keys=True)


def _refuse(which: object, faults: Iterable[Fault]) -> None:
    if found := list(faults):
        raise ConfigError(type(which).__name__, found)


def to_json(result: Result) -> str:
    """Return ``result`` as JSON, indented."""
    return whole(json.dumps(_converter.unstructure(result), indent=1, ensure_ascii=False, allow_nan=False)) + "\n"


def whole(text: str) -> str:
    """Return JSON in which half a character, as a file's name may have some, is its number: nothing can write it."""
    return _HALF.sub(lambda half: f"\\\\u{ord(half[0]):04x}", text)


def write(result: Result, path: Path) -> None:
    """Write ``result`` to ``path``, whole or not at all. Raises :class:`OSError`."""
    with drafted(path) as draft:
        draft.write_text(to_json(result), encoding="utf-8")
