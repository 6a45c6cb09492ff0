"""``nyx-plugins status`` and ``stats``: what a service is doing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .connecting import connected, interruptible, place_options
from .options import json_option
from .references import PluginName

if TYPE_CHECKING:
    from ..actors.system import PluginSystem


@click.command(short_help="Whether a service is running, and its plugins.")
@json_option("Print one JSON object instead of a table.")
@place_options
def status(json_wanted: bool, runtime_dir: str | None) -> None:
    """Tell whether a service is running, and which plugins it has, in which state, with which permissions.

    The exit code is 0 when one is running, and 3 when none is.
    """
    from .facts import show_status

    with interruptible():
        show_status(runtime_dir, json_wanted)


@click.command(short_help="Counters of plugins and of the dispatcher.")
@click.argument("plugins", metavar="[PLUGIN]...", type=PluginName(), nargs=-1)
@json_option("Print one JSON object instead of a table.")
@connected
def stats(system: PluginSystem, plugins: tuple[int | str, ...], json_wanted: bool) -> None:
    """Print the counters of each PLUGIN (an id or a name), or of all, and of the dispatcher.

    The latency is the time from a frame's acceptance to its outcome: half of the frames (p50), and 99 of 100 (p99),
    took at most so long.
    """
    from .facts import show_stats

    show_stats(system, plugins, json_wanted)
