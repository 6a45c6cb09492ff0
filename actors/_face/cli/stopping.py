"""Ending a service from another terminal."""

from __future__ import annotations

import json
import os
import select
import signal
from typing import Any

import attrs
import click

from ..actors.launch import StopReport
from ..actors.service_file import find, service_dir, stop_report
from ..plugins.errors import DispatchTimeout, ServiceNotRunning
from ..service.server import EXIT_LEFT, EXIT_STOPPED, in_words


def run_stop(runtime_dir: str | None, timeout: float | None, json_wanted: bool) -> int:
    """Do what ``nyx-plugins stop`` does; returns the exit code."""
    path = service_dir(runtime_dir)
    service = find(path)
    _end(service.pid, timeout, str(path))
    found = stop_report(path, service.pid) or {}
    report = _structured(found)
    if json_wanted:
        click.echo(json.dumps({"pid": service.pid, **attrs.asdict(report)}, indent=1))
    else:
        click.echo(f"Process {service.pid} has stopped; {in_words(report)}.")
    return EXIT_LEFT if report.left else EXIT_STOPPED


def _end(pid: int, timeout: float | None, path: str) -> None:
    """Send SIGTERM to exactly this process, and wait for its end."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        raise ServiceNotRunning(path) from None
    try:
        signal.pidfd_send_signal(process, signal.SIGTERM)
        ready, _, _ = select.select([process], [], [], timeout)
    finally:
        os.close(process)
    if not ready:
        raise DispatchTimeout(None, f"the end of the service (process {pid})", timeout or 0.0)


def _structured(found: dict[str, Any]) -> StopReport:
    known = attrs.fields_dict(StopReport)
    return StopReport(**{name: _frozen(value) for name, value in found.items() if name in known})


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
