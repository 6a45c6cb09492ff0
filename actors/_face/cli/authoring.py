"""``nyx-plugins new``, ``check`` and ``pack``: for the authors of plugins."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from .options import config_option, json_option
from .values import ConfigItem, Seconds, Whole

if TYPE_CHECKING:
    from .checking import Trial

EXIT_FAULTY = 1
MAX_ID = 2**32 - 1
PROBE = "probe"
_ALWAYS = ("bundle", "policy_wanted", "config", "json_wanted")


@click.command(short_help="Write a new plugin that works, with its test.")
@click.argument("name", metavar="NAME")
@click.option("--directory", metavar="DIR", help="Where to write it: a new or an empty folder.  [default: NAME]")
@click.option(
    "--id",
    "plugin_id",
    metavar="ID",
    type=Whole(0, MAX_ID),
    help="The id that frames are sent to.  [default: six digits made of NAME, always the same]",
)
def new(name: str, directory: str | None, plugin_id: int | None) -> None:
    """Write a new plugin called NAME: its manifest, its code, its tests and a README.

    NAME has at most 64 characters: a to z, 0 to 9, and after the first also - _ and the dot.
    """
    from .template import make_plugin

    make_plugin(name, directory, plugin_id)


class _WallTime(Seconds):
    """A number of seconds that a worker may be given for a frame."""

    def __init__(self) -> None:
        super().__init__(0.001)
        self.max = 3600.0


def _probe_option(name: str, default: str = PROBE) -> Callable[[Any], Any]:
    return click.option(f"--{name}", metavar="DATA", help=f"What on_{name} gets.  [default: {default}]")


@click.command(short_help="Load a bundle on its own, call each handler, and tell what it did.")
@click.argument("bundle", metavar="BUNDLE")
@_probe_option("handshake", f"{PROBE}, or a handshake if the plugin requires one")
@_probe_option("data")
@_probe_option("control")
@_probe_option("error")
@_probe_option("frame", f"{PROBE}, for each frame type of --config")
@click.option("--hex", "hex_wanted", is_flag=True, help="DATA is hexadecimal digits, with or without blanks.")
@click.option("--cbor", "cbor_wanted", is_flag=True, help="DATA is JSON, and is sent as CBOR.")
@click.option(
    "--set",
    "items",
    metavar="KEY=VALUE",
    type=ConfigItem(),
    multiple=True,
    help="A value of the plugin's own configuration: JSON, or else text; may be given several times.",
)
@click.option(
    "--with",
    "companions",
    metavar="BUNDLE",
    multiple=True,
    help="Load this bundle before, because the other requires it; may be given several times.",
)
@click.option(
    "--transport",
    type=click.Choice(["unix", "inline"]),
    default="unix",
    show_default=True,
    help="Run it in a worker, where it can neither hang nor crash this command, or in this process.",
)
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=_WallTime(),
    default=5.0,
    show_default=True,
    help="How long loading, each handler (if the manifest does not say) and unloading may take.",
)
@click.option(
    "--policy",
    "policy_wanted",
    is_flag=True,
    help="Start nothing: show what the plugin would be allowed, and where each line comes from.",
)
@config_option("The configuration whose frame types count, and for --policy its ceiling and plugin entries.")
@json_option("Print one JSON object.")
def check(bundle: str, policy_wanted: bool, config: str | None, json_wanted: bool, **wanted: Any) -> None:
    """Check BUNDLE, a folder or a zip file with plugin.toml: load it, send each handler a frame, and unload it.

    It runs in a system of its own, in which it may have whatever its manifest asks for. The exit code is 0 when nothing
    went wrong, 1 when the plugin could not be loaded or a handler raised, crashed or hung, and 2 when the bundle or its
    manifest is not valid. With --policy it is 1 when the plugin asks for more than it would be allowed.
    """
    _check_options(policy_wanted)
    if policy_wanted:
        from .policies import run_policy

        passed = run_policy(bundle, config, json_wanted)
    else:
        from .findings import run_check

        passed = run_check(_trial(bundle, config, **wanted), json_wanted)
    if not passed:
        click.get_current_context().exit(EXIT_FAULTY)


@click.command(short_help="Pack a bundle into a zip file, always the same for the same content.")
@click.argument("bundle", metavar="DIR")
@click.option("--output", metavar="FILE", help="Where to write it.  [default: NAME-VERSION.zip]")
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
def pack(bundle: str, output: str | None, force: bool) -> None:
    """Pack the bundle in DIR into a zip file that can be loaded like DIR, and has the same digest.

    The same content gives the same bytes on every machine: files are sorted and not compressed, their times and modes
    are fixed. Caches and version control are left out. Without --output the file is written to the current directory,
    or beside DIR if that is DIR itself. Nothing is written unless manifest and bundle are valid.
    """
    from ..plugins.packing import pack as packed
    from .failure import one_line
    from .tables import size

    done = packed(bundle, output, replace=force)
    files = "1 file" if done.files == 1 else f"{done.files:,} files"
    click.echo(f"Packed {done.manifest.name} {one_line(done.manifest.version)}: {files}, {size(done.size)}.")
    click.echo(f"  {one_line(str(done.path))}")
    click.echo(f"  digest {done.digest}")


def _check_options(policy_wanted: bool) -> None:
    """Refuse options that would do nothing: those of a trial with ``--policy``."""
    context = click.get_current_context()
    for param in context.command.params:
        name = param.name or ""
        is_given = context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        if is_given and name not in _ALWAYS and policy_wanted:
            raise click.UsageError(f"{param.opts[0]} is not for --policy, which starts nothing", context)


def _trial(
    bundle: str,
    config: str | None,
    *,
    hex_wanted: bool,
    cbor_wanted: bool,
    items: tuple[tuple[str, Any], ...],
    companions: tuple[str, ...],
    transport: str,
    timeout: float,
    **texts: str | None,
) -> Trial:
    from ..config.loading import load_settings
    from .checking import Trial
    from .data import read_data

    data = {
        handler: read_data(text, hex_wanted=hex_wanted, cbor_wanted=cbor_wanted, file=None)
        for handler, text in texts.items()
        if text is not None
    }
    frame_types = {} if config is None else load_settings(config).frame_types
    return Trial(bundle, transport, timeout, data, dict(items), companions, frame_types)
