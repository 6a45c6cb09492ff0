"""Work in processes of its own, of which none is left when it is over, hung or not.

``kept`` starts a keeper (``python -m nyx_plugins.load_tests.keeper``), the keeper forks the process that works, and
whatever that starts is below it. The keeper inherits every orphan, and kills all of them once there is a result, time
is up, or whoever started it is gone (its standard input is the life pipe).
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from nyx_plugins.actors.processes import become_subreaper, sweep

from .anonymous import anonymous
from .scratch import scratch

TIMEOUT_S = 30.0
SWEEP_S = 5.0
REASON_CHARACTERS = 1000


class WorkFailed(Exception):
    """Some work gave no result; the text says why."""


@attrs.frozen
class Work:
    """A function, as ``package.module:name``, what it is called with besides a directory, and for how long at most.

    What it returns has to be JSON; what it leaves in the directory is removed.
    """

    function: str
    arguments: Mapping[str, object]
    timeout_s: float = TIMEOUT_S


def kept(work: Work) -> Any:
    """Do some work in processes of its own; raises :class:`WorkFailed`."""
    command = [sys.executable, "-P", "-m", "nyx_plugins.load_tests.keeper", json.dumps(attrs.asdict(work))]
    # In a session of its own, so that an interrupt from the terminal reaches it as the end of its life pipe only.
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as keeper:
        assert keeper.stdin is not None and keeper.stdout is not None
        try:
            answer = keeper.stdout.read()
        except BaseException:
            # The end of its life; whoever interrupts us finds nothing that is left.
            keeper.stdin.close()
            keeper.wait()
            raise
    report: dict[str, Any] = json.loads(answer or '{"failed": "its keeper ended early"}')
    if "failed" in report:
        raise WorkFailed(report["failed"])
    return report["result"]


def keep(work: Work) -> dict[str, Any]:
    """Do some work from its keeper, and leave no process and no file; return the report."""
    become_subreaper()
    report: dict[str, Any] = {}
    with scratch("nyx-kept-", ignore_errors=True) as directory:
        try:
            report = _await_report(work, directory, *_fork(work, directory))
        finally:
            left = sweep(SWEEP_S)
    return {"failed": f"processes {left} could not be killed"} if left else report


def _fork(work: Work, directory: Path) -> tuple[int, int]:
    """Start the process that works; return its id and the descriptor which tells that there is a report."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reading)
            _do(work, directory)
            os.write(writing, b".")
        finally:
            os._exit(0)
    os.close(writing)
    return pid, reading


def _do(work: Work, directory: Path) -> None:
    """Do it, and write the report; what is printed meanwhile goes into a file that nobody needs."""
    become_subreaper()
    try:
        _redirect(directory / "output")
        module, name = work.function.split(":")
        function = getattr(importlib.import_module(module), name)
        text = json.dumps({"result": function(directory, **work.arguments)})
    except BaseException as error:
        text = json.dumps({"failed": anonymous(f"{type(error).__name__}: {error}")[:REASON_CHARACTERS]})
    _report(directory).write_text(text, encoding="utf-8")


def _report(directory: Path) -> Path:
    return directory / "report.json"


def _redirect(output: Path) -> None:
    """Give the standard streams away, so that nobody waits for a process below to close them."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for fd in (1, 2):
        os.dup2(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), fd)


def _await_report(work: Work, directory: Path, pid: int, reading: int) -> dict[str, Any]:
    """Wait for the report, the end of who writes it, the end of who wants it, or the end of the time for it."""
    ended, deadline = os.pidfd_open(pid), time.monotonic() + work.timeout_s
    while True:
        ready, _, _ = select.select([0, reading, ended], [], [], max(0.0, deadline - time.monotonic()))
        if reading in ready and os.read(reading, 1):
            return dict(json.loads(_report(directory).read_text(encoding="utf-8")))
        if ended in ready or reading in ready:
            return {"failed": "its process was killed"}
        if 0 in ready and not os.read(0, 1):
            return {"failed": "nobody waits for it"}
        if not ready:
            return {"failed": f"not done within {work.timeout_s:g} s"}


def main() -> None:
    """Do what the argument says and print one line of JSON."""
    report = keep(Work(**json.loads(sys.argv[1])))
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
