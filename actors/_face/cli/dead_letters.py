"""``nyx-plugins dead-letters``: frames that were accepted and not processed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .connecting import connected
from .group import CommandGroup
from .options import json_option, timeout_option
from .references import PluginName
from .values import Whole

if TYPE_CHECKING:
    from ..actors.system import PluginSystem

MAX_LETTER = 2**63 - 1
# As many as are ever kept of one plugin.
MAX_LIMIT = 100_000

_COMMANDS = {"list": "list_", "show": "show", "redeliver": "redeliver", "drop": "drop"}

_plugin = click.argument("plugin", metavar="PLUGIN", type=PluginName())
_letters = click.argument("letters", metavar="[LETTER]...", type=Whole(1, MAX_LETTER), nargs=-1)


@click.group(
    cls=CommandGroup,
    commands_in={name: ("dead_letters", where) for name, where in _COMMANDS.items()},
    short_help="Frames that were accepted and not processed.",
)
def dead_letters() -> None:
    """Look at frames that were accepted and not processed, and deliver them again or drop them.

    A plugin's dead letters have numbers, which ascend. They are kept when it is unloaded, and with a state directory
    also when the service stops; the oldest go first where there are too many. It need not be loaded to be called by
    its name.
    """


@click.command("list", short_help="List dead letters.")
@click.argument("plugin", metavar="[PLUGIN]", type=PluginName(), required=False)
@click.option(
    "--after", metavar="LETTER", type=Whole(0, MAX_LETTER), default=0, help="Only those with numbers above this one."
)
@click.option("--limit", metavar="N", type=Whole(1, MAX_LIMIT), default=100, show_default=True, help="At most so many.")
@json_option("Print a JSON array with one object for each dead letter.")
@connected
def list_(system: PluginSystem, plugin: int | str | None, after: int, limit: int, json_wanted: bool) -> None:
    """List the dead letters of PLUGIN (an id or a name; it need not be loaded), or of all."""
    from .letters import show_list

    show_list(system, plugin, after, limit, json_wanted)


@click.command(short_help="Show a dead letter with its data.")
@_plugin
@click.argument("letter", metavar="LETTER", type=Whole(1, MAX_LETTER))
@json_option("Print one JSON object.")
@connected
def show(system: PluginSystem, plugin: int | str, letter: int, json_wanted: bool) -> None:
    """Show dead letter LETTER of PLUGIN (an id or a name), with its header and its data."""
    from .letters import show_one

    show_one(system, plugin, letter, json_wanted)


@click.command(short_help="Send dead letters to their plugin once more.")
@_plugin
@_letters
@click.option("--all", "all_wanted", is_flag=True, help="All that there are.")
@timeout_option("How long to wait for room in the mailbox, for all together.")
@json_option("Print one JSON object.")
@connected
def redeliver(
    system: PluginSystem,
    plugin: int | str,
    letters: tuple[int, ...],
    all_wanted: bool,
    timeout: float | None,
    json_wanted: bool,
) -> None:
    """Send each dead letter LETTER of PLUGIN (an id or a name), or all, to it once more.

    Those that are accepted are dead letters no more; the others stay, and the exit code tells why the first does.
    """
    from .letters import redeliver_some

    redeliver_some(system, plugin, _chosen(letters, all_wanted), timeout, json_wanted)


@click.command(short_help="Remove dead letters for good.")
@_plugin
@_letters
@click.option("--all", "all_wanted", is_flag=True, help="All that there are.")
@json_option("Print one JSON object.")
@connected
def drop(
    system: PluginSystem, plugin: int | str, letters: tuple[int, ...], all_wanted: bool, json_wanted: bool
) -> None:
    """Remove each dead letter LETTER of PLUGIN (an id or a name), or all. If one of them is not there, none goes.

    By name, all are those that were for the plugin of that name; by id, also those of others that had the id.
    """
    from .letters import drop_some

    drop_some(system, plugin, _chosen(letters, all_wanted), json_wanted)


def _chosen(letters: tuple[int, ...], all_wanted: bool) -> tuple[int, ...] | None:
    """The numbers, or ``None`` for all; a usage error for neither or both."""
    if bool(letters) is all_wanted:
        raise click.UsageError(
            "LETTERs and '--all' exclude each other" if letters else "name LETTERs, or say '--all'",
            click.get_current_context(),
        )
    return None if all_wanted else letters
