"""``Result``: what a run has measured, and under which circumstances; read from JSON and written as it.

A result has everything that a report draws and a comparison compares, so that neither needs to run anything. What the
fields mean stands here and nowhere else; ``docs/load-tests.md`` shows an example.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

import attrs
import cattrs

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
    cores: int
    memory_bytes: int
    kernel: str
    python: str
    """Implementation and version."""
    load_average: float
    """Of the minute before the run: processes that ran or waited to run."""


@attrs.frozen
class Counts:
    """Frames of one round, by what became of them."""

    offered: int = 0
    """Those that were to be sent within the measured time."""
    processed: int = 0
    failed: int = 0
    dead_lettered: int = 0
    refused: int = 0
    """Not accepted, for want of room for example."""
    lost: int = 0
    """Accepted, and never heard of: 0, or something is broken."""
    unsent: int = 0
    """Due, and not sent by the end: whoever sends could not keep up, or was held up."""


@attrs.frozen
class Latency:
    """How long frames took. All times in microseconds."""

    count: int
    min_us: float
    mean_us: float
    max_us: float
    percentiles_us: Mapping[str, float]
    """By percentile, ``"50"`` to ``"99.99"``."""
    histogram: str
    """All of it: an HdrHistogram, V2 compressed and base64 encoded, in microseconds with three significant digits."""


@attrs.frozen
class Series:
    """Something over time."""

    name: str
    unit: str
    at_s: tuple[float, ...]
    """Seconds since the round began."""
    values: tuple[float, ...]


@attrs.frozen
class ProcessUsage:
    """One process in a round: what it has used since the round began, at each look."""

    pid: int
    role: str
    """``client 1``, ``dispatcher``, ``plugin actor 1``, ``worker 1``, ..."""
    at_s: tuple[float, ...]
    cpu_s: tuple[float, ...]
    """User and system, since the first look."""
    rss_bytes: tuple[int, ...]
    pss_bytes: tuple[int, ...]
    voluntary_switches: tuple[int, ...]
    involuntary_switches: tuple[int, ...]
    descriptors: tuple[int, ...]


@attrs.frozen
class Mark:
    """Something that happened: a swap, a kill, a stall."""

    at_s: float
    """Seconds since the round began."""
    what: str


@attrs.frozen
class Metric:
    """One figure of a round, to be compared with that of another run."""

    value: float
    unit: str
    better: Better


@attrs.frozen
class Round:
    """One repetition of a scenario on a system of its own, after its warm-up."""

    number: int
    """From 1."""
    seconds: float
    """Measured time, without warm-up and drain."""
    counts: Counts
    metrics: Mapping[str, Metric]
    latencies: Mapping[str, Latency] = attrs.field(factory=dict)
    """``outcome``: from the intended time of sending to the outcome; ``service``: from the actual one; or by name."""
    series: tuple[Series, ...] = ()
    """Throughput, the depth of each mailbox, tmpfs and socket buffers in bytes, over time."""
    processes: tuple[ProcessUsage, ...] = ()
    marks: tuple[Mark, ...] = ()


@attrs.frozen
class Check:
    """A limit, and whether it was met."""

    what: str
    limit: str
    """As a reader wants it: ``>= 0.7x``."""
    measured: float
    unit: str
    met: bool


@attrs.frozen
class Result:
    """A run of one scenario."""

    scenario: str
    description: str
    started_at: str
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
    schema: int = SCHEMA


_converter = cattrs.Converter(forbid_extra_keys=True)


def to_json(result: Result) -> str:
    """Return ``result`` as JSON, indented."""
    return json.dumps(_converter.unstructure(result), indent=1, ensure_ascii=False) + "\n"


def write(result: Result, path: Path) -> None:
    """Write ``result`` to ``path``. Raises :class:`OSError`."""
    path.write_text(to_json(result), encoding="utf-8")
