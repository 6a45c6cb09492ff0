"""Running a capture through a system with its configured plugins: all of ``replay``, most of ``demo``."""

from __future__ import annotations

import json
import os
import stat
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import BinaryIO

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from ..actors.system import PluginInfo, PluginSystem
from ..config.errors import NyxPluginError
from ..config.loading import load_settings
from ..config.settings import Settings
from .failure import Failure
from .pipes import refuse_named_pipe
from .replay import CaptureError, Replay, Replayed, read_frames
from .report import PluginReport, Report, as_json, print_report


def run_replay(capture: str, config: str, json_wanted: bool, transport: str | None, timeout: float | None) -> None:
    """Do what ``nyx-plugins replay`` does, and print the result."""
    settings = load_settings(config)
    with opened(capture) as file, running(settings, transport) as system:
        report = replay_capture(system, load_configured(system), file, capture, timeout)
    if json_wanted:
        click.echo(json.dumps(as_json(report), indent=1))
    else:
        print_report(report, Console())


@contextmanager
def running(settings: Settings, transport: str | None) -> Iterator[PluginSystem]:
    """Run a system for the length of a block; whatever ends the block early, waits for no frame."""
    system = PluginSystem(settings, transport=transport)
    try:
        yield system
    except BaseException:
        system.close(timeout=0.0)
        raise
    system.close()


def load_configured(system: PluginSystem) -> list[PluginInfo]:
    """Load what the settings name; :class:`Failure` lists every plugin that can't be loaded."""
    results = system.load_configured()
    failures = [f"plugins[{n}]: {error}" for n, error in enumerate(results) if isinstance(error, NyxPluginError)]
    if failures:
        raise Failure(f"{len(failures)} of {len(results)} plugins can't be loaded: " + "; ".join(failures))
    return [result for result in results if isinstance(result, PluginInfo)]


@contextmanager
def opened(source: str) -> Iterator[BinaryIO]:
    """Open a capture; :class:`CaptureError` when it can't be."""
    try:
        refuse_named_pipe(source)
        capture = open(source, "rb")  # noqa: SIM115  # closed below, outside of the try
    except (OSError, ValueError) as error:
        why = (isinstance(error, OSError) and error.strerror) or str(error)
        raise CaptureError(source, f"can't be read: {why}") from None
    with closing(capture):
        yield capture


def replay_capture(
    system: PluginSystem, plugins: list[PluginInfo], capture: BinaryIO, source: str, timeout: float | None
) -> Report:
    """Replay with a progress bar (on a terminal's standard error), drain, and read the statistics."""
    started = time.monotonic()
    replayed = _replay(system, capture, source, timeout)
    seconds = time.monotonic() - started
    reports = tuple(PluginReport(item.plugin_id, item.name, system.plugin_stats(item.plugin_id)) for item in plugins)
    return Report(replayed, reports, system.dispatch_stats(), seconds)


def _replay(system: PluginSystem, capture: BinaryIO, source: str, timeout: float | None) -> Replayed:
    replay = Replay(system, timeout)
    with _progress() as progress:
        task = progress.add_task("replaying", total=_size(capture))
        limit = system.settings.limits.max_stream_frame_bytes
        for frames in read_frames(capture, source, limit, lambda size: progress.advance(task, size)):
            replay.take(frames)
        progress.update(task, description="draining")
        return replay.finish()


def _progress() -> Progress:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), DownloadColumn())
    return Progress(*columns, TimeElapsedColumn(), console=console, disable=not console.is_terminal, transient=True)


def _size(capture: BinaryIO) -> int | None:
    status = os.fstat(capture.fileno())
    return status.st_size if stat.S_ISREG(status.st_mode) else None
