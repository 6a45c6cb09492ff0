"""What ``swap`` does, and what it prints."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from time import sleep
from typing import Any

import attrs
import click

from ..actors.arguments import located_bundle
from ..actors.swap_report import SwapReport
from ..actors.system import PluginSystem
from ..config.errors import NyxPluginError
from ..plugins.bundle import remove_staged, stage_bundle
from ..plugins.errors import PluginNotFailed, PluginNotLoaded
from .failure import EXIT_STOPPED, Failure, exit_code_of, failure_of, one_line
from .fields import error_fields, print_json, print_json_line
from .managing import described
from .references import resolve
from .watching import INTERVAL_S, Watch

# What has no worker just now is tried again after this time, in seconds.
AGAIN_S = 1.0


@attrs.frozen
class Wish:
    """What is to come in the plugin's place, and how to tell of it."""

    bundle: str
    allow_widen: bool
    dry_run: bool
    timeout_s: float | None
    json_wanted: bool


def swap_once(system: PluginSystem, plugin: int | str, wish: Wish) -> None:
    """Swap, and print the report; raises what :meth:`PluginSystem.swap` raises."""
    plugin_id = resolve(system, plugin)
    report = _swapped(system, plugin_id, wish)
    if wish.json_wanted:
        print_json(report_fields(report))
        return
    for line in lines(report, system.plugin_info(plugin_id).name):
        click.echo(line)


def follow(system: PluginSystem, plugin: int | str, wish: Wish) -> None:
    """Swap each time that the bundle is another one than the plugin's, until the service ends.

    A version that is no good is told of, and the one in its place goes on. One that has failed is brought back first.
    """
    if wish.bundle.startswith("builtin:"):
        raise Failure(f"{wish.bundle} does not change: --watch is for a folder or a zip file")
    plugin_id = resolve(system, plugin)
    name = system.plugin_info(plugin_id).name
    watch = Watch(located_bundle(wish.bundle))
    click.echo(f"watching {one_line(wish.bundle)} for {described(plugin_id, name)}", err=True)
    told = ""
    while True:
        sleep(INTERVAL_S)
        if watch.is_due():
            told = _try(system, plugin_id, name, wish, watch, told)


def _try(system: PluginSystem, plugin_id: int, name: str, wish: Wish, watch: Watch, told: str) -> str:
    """Swap, tell what came of it unless it was ``told`` last, and return that."""
    try:
        _catch_up(system, plugin_id, name, wish, watch)
    except NyxPluginError as error:
        if exit_code_of(error) == EXIT_STOPPED:
            raise
        if str(error) != told:
            _tell_failure(error, wish)
        return str(error)
    return ""


def _catch_up(system: PluginSystem, plugin_id: int, name: str, wish: Wish, watch: Watch) -> None:
    if _digest(wish.bundle) == system.plugin_info(plugin_id).digest:
        return
    try:
        report = _swapped(system, plugin_id, wish)
    except PluginNotLoaded as error:
        watch.again(AGAIN_S)
        _bring_back(system, error)
    else:
        _tell(report, name, wish)


def _digest(bundle: str) -> str:
    with TemporaryDirectory() as folder:
        target = Path(folder, "bundle")
        try:
            return stage_bundle(bundle, target).digest
        finally:
            remove_staged(target)


def _bring_back(system: PluginSystem, error: PluginNotLoaded) -> None:
    """Start a plugin that has failed once more: a version that is mended can take over then. Raises why it can't."""
    if error.state == "failed":
        # Somebody else may have been quicker.
        with suppress(PluginNotFailed):
            system.reset(error.plugin_id)
    elif error.state != "restarting":
        raise error


def _swapped(system: PluginSystem, plugin_id: int, wish: Wish) -> SwapReport:
    return system.swap(
        plugin_id, wish.bundle, allow_widen=wish.allow_widen, dry_run=wish.dry_run, timeout=wish.timeout_s
    )


def _tell(report: SwapReport, name: str, wish: Wish) -> None:
    if wish.json_wanted:
        print_json_line({**report_fields(report), "error": None})
    else:
        click.echo("\n".join(lines(report, name)))


def _tell_failure(error: NyxPluginError, wish: Wish) -> None:
    if wish.json_wanted:
        print_json_line({"error": error_fields(error)})
    else:
        failure_of(error).show()


_MARKS = {True: "+", False: "-", None: "~"}


def lines(report: SwapReport, name: str) -> Iterator[str]:
    """Yield what became of a swap, and then a line for each difference: ``+`` more, ``-`` less, ``~`` neither."""
    versions = f"{one_line(report.old_version)} -> {one_line(report.new_version)}"
    if report.swapped:
        state = "with its state" if report.state_carried else "without state"
        pause = f"paused for {report.pause_s * 1000:.1f} ms"
        yield f"swapped {described(report.plugin_id, name)} {versions}, {state}, {pause}"
    else:
        yield f"would swap {described(report.plugin_id, name)} {versions}"
    for difference in report.differences:
        yield f"  {_MARKS[difference.grows]} {one_line(str(difference))}"


def report_fields(report: SwapReport) -> dict[str, Any]:
    """Return a :class:`SwapReport`."""
    return attrs.asdict(report)
