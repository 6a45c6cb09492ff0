"""The commands of ``nyx-plugins``.

Each is imported when it is asked for, and what it needs when it runs: help comes at once, and Ctrl-C is understood
from the start.
"""

from __future__ import annotations

import sys

import click

from .. import __version__
from .failure import EXIT_INTERRUPTED, CommandGroup

# Name: module of this package, and the command in it.
COMMANDS = {
    "demo": ("capture", "demo"),
    "replay": ("capture", "replay"),
}


@click.group(cls=CommandGroup, commands_in=COMMANDS)
@click.version_option(__version__, prog_name="nyx-plugins")
def cli() -> None:
    """Run plugins for frames of the Nyx Protocol, supervised and apart from each other."""


def main() -> None:
    """Run ``nyx-plugins`` and exit with its code."""
    try:
        cli(prog_name="nyx-plugins")
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
