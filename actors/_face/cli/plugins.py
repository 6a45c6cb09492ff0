"""Commands about the plugins of a service: load, unload, pause, resume, reset, scale, grant, revoke."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .connecting import connected
from .options import json_option, timeout_option
from .references import MAX_ID, PluginName
from .values import ConfigItem, ConfigTable, PermissionName, Whole

if TYPE_CHECKING:
    from ..actors.system import PluginSystem

PERMISSION = PermissionName()
MAX_CAPACITY = 100_000
MAX_INSTANCES = 64
LEAST_CAPACITY_BYTES = 4096
MAX_CAPACITY_BYTES = 1 << 30

_plugins = click.argument("plugins", metavar="PLUGIN...", type=PluginName(), nargs=-1, required=True)
_plugin = click.argument("plugin", metavar="PLUGIN", type=PluginName())
_permissions = click.argument("permissions", metavar="PERMISSION...", type=PERMISSION, nargs=-1, required=True)
_json = json_option("Print a JSON array with one object for each plugin.")


def _for_one_bundle(ctx: click.Context, param: click.Parameter, plugin_id: int | None) -> int | None:
    if plugin_id is not None and len(bundles := ctx.params.get("bundles", ())) > 1:
        raise click.UsageError(f"'--id' is for one bundle, not for {len(bundles)}", ctx)
    return plugin_id


@click.command(short_help="Load bundles: folders, zip files, builtin:NAME.")
@click.argument("bundles", metavar="BUNDLE...", nargs=-1, required=True, is_eager=True)
@click.option(
    "--id", "plugin_id", metavar="ID", type=Whole(0, MAX_ID), callback=_for_one_bundle, help="The plugin's id."
)
@click.option("--capacity", metavar="FRAMES", type=Whole(1, MAX_CAPACITY), help="Frames that its mailbox holds.")
@click.option(
    "--capacity-bytes",
    metavar="BYTES",
    type=Whole(LEAST_CAPACITY_BYTES, MAX_CAPACITY_BYTES),
    help="Bytes that its mailbox holds.",
)
@click.option("--instances", metavar="N", type=Whole(1, MAX_INSTANCES), help="Workers that share its frames.")
@click.option(
    "--permission",
    "permissions",
    metavar="PERMISSION",
    type=PERMISSION,
    multiple=True,
    help="A permission to ask for in place of those in the manifest; may be given several times.",
)
@click.option(
    "--require-handshake/--no-handshake",
    "require_handshake",
    default=None,
    help="Whether senders have to come to terms with the plugin first; else as the manifest says.",
)
@click.option(
    "--durability",
    type=click.Choice(["memory", "disk"]),
    help="What its accepted frames outlive: processes, or the machine too.  [default: as configured]",
)
@click.option(
    "--set",
    "items",
    metavar="KEY=VALUE",
    type=ConfigItem(),
    multiple=True,
    help="A value of the plugin's own configuration: JSON, or else text; may be given several times.",
)
@click.option(
    "--set-json", "table", metavar="OBJECT", type=ConfigTable(), help="The plugin's own configuration as a JSON object."
)
@_json
@connected
def load(system: PluginSystem, bundles: tuple[str, ...], json_wanted: bool, **wanted: Any) -> None:
    """Load each BUNDLE: a folder or a zip file with plugin.toml, or one that comes with the package (builtin:echo).

    Relative paths are those of this terminal. What the options do not say, the manifest says, and then the service's
    configuration. A bundle that can't be loaded leaves nothing behind, and hinders no other.
    """
    from .managing import load_bundles

    load_bundles(system, bundles, json_wanted, **wanted)


@click.command(short_help="Finish the frames in hand and remove plugins.")
@_plugins
@timeout_option("How long the frames in hand may take; what is not finished then is dead-lettered.")
@click.option("--cascade", is_flag=True, help="Unload before it all that require it.")
@_json
@connected
def unload(
    system: PluginSystem, plugins: tuple[int | str, ...], timeout: float | None, cascade: bool, json_wanted: bool
) -> None:
    """Take no more frames for each PLUGIN (an id or a name), finish those accepted, and remove it.

    A plugin that others require stays, unless they are unloaded before: named before it, or with --cascade.
    """
    from .managing import unload_each

    unload_each(system, plugins, timeout, cascade, json_wanted)


@click.command(short_help="Run a plugin in more workers, or fewer.")
@_plugin
@click.argument("instances", metavar="N", type=Whole(1, MAX_INSTANCES))
@_json
@connected
def scale(system: PluginSystem, plugin: int | str, instances: int, json_wanted: bool) -> None:
    """Run PLUGIN (an id or a name) in N workers, which share its frames as its manifest says (`balance`).

    Returns once the new ones are ready, or those that are too many have finished what they had.
    """
    from .managing import for_each

    for_each(system, [plugin], "scaled", lambda plugin_id: system.scale(plugin_id, instances), json_wanted)


@click.command(short_help="Hand plugins no more frames for now.")
@_plugins
@_json
@connected
def pause(system: PluginSystem, plugins: tuple[int | str, ...], json_wanted: bool) -> None:
    """Hand each PLUGIN (an id or a name) no more frames; its mailbox accepts until it is full.

    Returns once the plugins have finished what they had in hand.
    """
    from .managing import for_each

    for_each(system, plugins, "paused", system.pause, json_wanted)


@click.command(short_help="Go on after a pause.")
@_plugins
@_json
@connected
def resume(system: PluginSystem, plugins: tuple[int | str, ...], json_wanted: bool) -> None:
    """Hand frames to each PLUGIN (an id or a name) again."""
    from .managing import for_each

    for_each(system, plugins, "resumed", system.resume, json_wanted)


@click.command(short_help="Bring plugins back that were given up.")
@_plugins
@_json
@connected
def reset(system: PluginSystem, plugins: tuple[int | str, ...], json_wanted: bool) -> None:
    """Bring each PLUGIN (an id or a name) back that has failed or is in quarantine.

    Returns once the plugins are ready. They may be restarted as often as if nothing had been; their counters stay.
    """
    from .managing import for_each

    for_each(system, plugins, "reset", system.reset, json_wanted)


@click.command(short_help="Give a plugin permissions.")
@_plugin
@_permissions
@json_option("Print one JSON object: the plugin as it is afterwards.")
@connected
def grant(system: PluginSystem, plugin: int | str, permissions: tuple[str, ...], json_wanted: bool) -> None:
    """Give PLUGIN (an id or a name) each PERMISSION; they are in force when the command ends.

    Permissions: handshake, data_access, control, error_reporting, inter_plugin, and those that the service's
    configuration names ([frame_types]).
    """
    from .managing import change_permissions

    change_permissions(system, plugin, permissions, system.grant, json_wanted)


@click.command(short_help="Take permissions away from a plugin.")
@_plugin
@_permissions
@json_option("Print one JSON object: the plugin as it is afterwards.")
@connected
def revoke(system: PluginSystem, plugin: int | str, permissions: tuple[str, ...], json_wanted: bool) -> None:
    """Take each PERMISSION away from PLUGIN (an id or a name).

    Once the command has ended, no frame that needs one of them is accepted. Permissions: handshake, data_access,
    control, error_reporting, inter_plugin, and those that the service's configuration names ([frame_types]).
    """
    from .managing import change_permissions

    change_permissions(system, plugin, permissions, system.revoke, json_wanted)
