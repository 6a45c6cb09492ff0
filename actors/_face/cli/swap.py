"""``nyx-plugins swap``: another version of a plugin, once, or each time that its bundle changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .connecting import connected
from .options import json_option, timeout_option
from .references import PluginName

if TYPE_CHECKING:
    from ..actors.system import PluginSystem


@click.command(short_help="Put another version in a plugin's place.")
@click.argument("plugin", metavar="PLUGIN", type=PluginName())
@click.argument("bundle", metavar="BUNDLE")
@click.option("--allow-widen", is_flag=True, help="Let the new version have more permissions and a wider policy.")
@click.option("--dry-run", is_flag=True, help="Only show what the new version may do that the old one may not.")
@click.option("--watch", is_flag=True, help="Stay, and swap again each time that the bundle has changed.")
@timeout_option("For each of: reading it, starting it, waiting for frames in hand, moving over.")
@json_option("Print a JSON object; with --watch, one on a line for each swap.")
@connected
def swap(
    system: PluginSystem,
    plugin: int | str,
    bundle: str,
    allow_widen: bool,
    dry_run: bool,
    watch: bool,
    timeout: float | None,
    json_wanted: bool,
) -> None:
    """Put the version in BUNDLE in the place of PLUGIN (an id or a name) while frames come in: none is lost.

    It starts beside the old one, gets its state, and goes on between two frames; if anything fails the old one goes
    on. A version that may do more than the old one needs --allow-widen. Relative paths are those of this terminal.
    """
    from .swapping import Wish, follow, swap_once

    if watch and dry_run:
        raise click.UsageError("'--watch' swaps, and '--dry-run' does not: give one of them")
    wish = Wish(bundle, allow_widen, dry_run, timeout, json_wanted)
    if watch:
        follow(system, plugin, wish)
    else:
        swap_once(system, plugin, wish)
