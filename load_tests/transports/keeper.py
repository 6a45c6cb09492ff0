"""One measurement in processes of its own: see :mod:`nyx_plugins.load_tests.keeper`."""

from __future__ import annotations

import os
from pathlib import Path

import attrs

from nyx_plugins.load_tests.keeper import TIMEOUT_S, Work, kept

from .bases import start
from .measure import MEASUREMENTS, Figures


@attrs.frozen
class Request:
    """What to measure on which base: the name of the measurement, how often, and for how many seconds at most."""

    measurement: str
    base: str
    count: int
    timeout_s: float = TIMEOUT_S


def measured(request: Request) -> Figures:
    """Run one measurement in processes of its own; raises :class:`WorkFailed`."""
    return dict(kept(work_of(request)))


def work_of(request: Request) -> Work:
    """Return what a keeper is told of a request."""
    arguments = {"measurement": request.measurement, "base": request.base, "count": request.count}
    return Work(f"{__name__}:measure", arguments, request.timeout_s)


def measure(directory: Path, measurement: str, base: str, count: int) -> Figures:
    """Measure in this process, whose actors log into a file that nobody needs."""
    os.environ["THESPLOG_FILE"] = str(directory / "thespian.log")
    return MEASUREMENTS[measurement].run(start(base, directory), count, directory)
