"""One measurement in processes of its own, of which none is left when it is over, hung or not.

``measured`` starts a keeper (``python -m nyx_plugins.load_tests.transports.keeper``), the keeper forks the process
that measures, and Thespian forks the actors from that. The keeper inherits every orphan, and kills all of them
once there is a result, time is up, or whoever started it is gone (its standard input is the life pipe).
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import attrs

from nyx_plugins.actors.processes import become_subreaper, sweep

from .bases import start
from .measure import MEASUREMENTS, Figures

TIMEOUT_S = 30.0
SWEEP_S = 5.0


class MeasurementFailed(Exception):
    """A measurement gave no figures; the text says why."""


@attrs.frozen
class Request:
    """What to measure on which base: the name of the measurement, how often, and for how many seconds at most."""

    measurement: str
    base: str
    count: int
    timeout_s: float = TIMEOUT_S


def measured(request: Request) -> Figures:
    """Run one measurement in processes of its own; raises :class:`MeasurementFailed`."""
    command = [sys.executable, "-P", "-m", "nyx_plugins.load_tests.transports.keeper"]
    arguments = json.dumps(attrs.asdict(request))
    # In a session of its own, so that an interrupt from the terminal reaches it as the end of its life pipe only.
    with subprocess.Popen(
        [*command, arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as keeper:
        assert keeper.stdout is not None
        answer = keeper.stdout.read()
    report: dict[str, Any] = json.loads(answer or '{"failed": "its keeper ended early"}')
    if "failed" in report:
        raise MeasurementFailed(report["failed"])
    return dict(report["figures"])


def keep(request: Request) -> dict[str, Any]:
    """Run one measurement from its keeper, and leave no process and no file; return the report."""
    become_subreaper()
    report: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="nyx-", ignore_cleanup_errors=True) as directory:
        try:
            report = _await_report(request, *_fork(request, Path(directory)))
        finally:
            left = sweep(SWEEP_S)
    return {"failed": f"processes {left} could not be killed"} if left else report


def _fork(request: Request, directory: Path) -> tuple[int, int]:
    """Start the process that measures; return its id and the descriptor from which its report can be read."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reading)
            _measure(request, directory, writing)
        finally:
            os._exit(0)
    os.close(writing)
    return pid, reading


def _measure(request: Request, directory: Path, report: int) -> None:
    """Measure, and write the report; what actors print goes into a file that nobody needs."""
    os.environ["THESPLOG_FILE"] = str(directory / "thespian.log")
    become_subreaper()
    try:
        _redirect(directory / "output")
        work = MEASUREMENTS[request.measurement].run
        text = json.dumps({"figures": work(start(request.base, directory), request.count, directory)})
    except BaseException as error:
        text = json.dumps({"failed": f"{type(error).__name__}: {error}"[:1000]})
    os.write(report, text.encode())


def _redirect(output: Path) -> None:
    """Give the standard streams away, so that nobody waits for an actor to close them."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for fd in (1, 2):
        os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), fd)


def _await_report(request: Request, pid: int, reading: int) -> dict[str, Any]:
    """Wait for the report, the end of who writes it, the end of who wants it, or the end of the time for it."""
    ended, deadline = os.pidfd_open(pid), time.monotonic() + request.timeout_s
    while True:
        ready, _, _ = select.select([0, reading, ended], [], [], max(0.0, deadline - time.monotonic()))
        if reading in ready:
            # One write of less than a pipe takes at once; empty if it ended without any.
            return dict(json.loads(os.read(reading, 1 << 16) or '{"failed": "it ended without a result"}'))
        if ended in ready:
            return {"failed": "its process was killed"}
        if 0 in ready and not os.read(0, 1):
            return {"failed": "nobody waits for it"}
        if not ready:
            return {"failed": f"not done within {request.timeout_s:g} s"}


def main() -> None:
    """Measure what the argument says and print one line of JSON."""
    report = keep(Request(**json.loads(sys.argv[1])))
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
