"""Ending a service from another terminal."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import time
from typing import Any

import attrs
import click

from ..actors.launch import StopReport
from ..actors.service_file import Service, find, service_dir, stop_report
from ..plugins.errors import DispatchTimeout, ServiceNotRunning
from ..service.server import EXIT_LEFT, EXIT_STOPPED, in_words

_OUT_OF_ORDER = "it was ended at once, by a second signal or kill -9, and could not say how its plugins ended"


def run_stop(runtime_dir: str | None, timeout: float | None, json_wanted: bool) -> int:
    """Do what ``nyx-plugins stop`` does; returns the exit code."""
    path = service_dir(runtime_dir)
    service = find(path)
    _end(service, timeout, str(path))
    found = stop_report(path, service.pid)
    report = _structured(found or {})
    if json_wanted:
        click.echo(json.dumps({"pid": service.pid, **attrs.asdict(report), "in_order": found is not None}, indent=1))
    else:
        click.echo(f"Process {service.pid} has stopped; {_OUT_OF_ORDER if found is None else in_words(report)}.")
    return EXIT_LEFT if report.left else EXIT_STOPPED


def _end(service: Service, timeout: float | None, path: str) -> None:
    """Send SIGTERM to exactly this process, and wait for its end, and for that of its host, which is the last to go."""
    deadline = None if timeout is None else time.monotonic() + timeout
    with contextlib.ExitStack() as opened:
        try:
            ends = [_watch(service.pid, opened)]
        except ProcessLookupError:
            raise ServiceNotRunning(path) from None
        with contextlib.suppress(ProcessLookupError):
            ends.append(_watch(service.host_pid, opened))
        signal.pidfd_send_signal(ends[0], signal.SIGTERM)
        for end in ends:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not select.select([end], [], [], left)[0]:
                raise DispatchTimeout(None, f"the end of the service (process {service.pid})", timeout or 0.0)


def _watch(pid: int, opened: contextlib.ExitStack) -> int:
    fd = os.pidfd_open(pid)
    opened.callback(os.close, fd)
    return fd


def _structured(found: dict[str, Any]) -> StopReport:
    known = attrs.fields_dict(StopReport)
    return StopReport(**{name: _frozen(value) for name, value in found.items() if name in known})


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
