"""The commands of ``nyx-plugins`` and their options.

What a command needs is imported when it runs: help comes at once, and Ctrl-C is understood from the start.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from .. import __version__
from .failure import EXIT_INTERRUPTED, CommandGroup

EXIT_DIFFERENT = 1

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _transport(command: _Command) -> _Command:
    text = "Where actors and plugins run: in processes of their own, or all in this one."
    return click.option("--transport", type=click.Choice(["unix", "inline"]), help=text + "  [default: as configured]")(
        command
    )


def _not_nan(ctx: click.Context, param: click.Parameter, value: float | None) -> float | None:
    if value is not None and value != value:
        raise click.BadParameter("nan is no number of seconds.", ctx, param)
    return value


def _timeout(command: _Command) -> _Command:
    text = "How long frames may wait for room in a mailbox, and in the end for their outcomes."
    option = click.option(
        "--timeout",
        type=click.FloatRange(min=0, max=86_400),
        callback=_not_nan,
        metavar="SECONDS",
        help=text + "  [default: as configured]",
    )
    return option(command)


@click.group(cls=CommandGroup)
@click.version_option(__version__, prog_name="nyx-plugins")
def cli() -> None:
    """Run plugins for frames of the Nyx Protocol, supervised and apart from each other."""


@cli.command()
@click.argument("capture")
@click.option("--config", "config", required=True, metavar="FILE", help="The configuration, which names the plugins.")
@click.option("--json", "json_wanted", is_flag=True, help="Print one JSON object instead of tables.")
@_transport
@_timeout
def replay(capture: str, config: str, json_wanted: bool, transport: str | None, timeout: float | None) -> None:
    """Feed the frames of CAPTURE to the configured plugins and tell what became of them.

    Frames that are refused are results: the exit code is 0 when the replay ran to its end. It is 2, with one sentence
    on standard error, when the configuration, a plugin or the capture can't be used.
    """
    from .running import run_replay

    run_replay(capture, config, json_wanted, transport, timeout)


@cli.command()
@_transport
def demo(transport: str | None) -> None:
    """Replay the capture that comes with the package, and check the result.

    The text of six licences goes to the three bundled plugins. The exit code is 0 when every figure is as expected,
    and 1 when one is not.
    """
    from .demo import run_demo

    if not run_demo(transport):
        click.get_current_context().exit(EXIT_DIFFERENT)


def main() -> None:
    """Run ``nyx-plugins`` and exit with its code."""
    try:
        cli(prog_name="nyx-plugins")
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
