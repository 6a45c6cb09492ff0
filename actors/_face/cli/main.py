"""The commands of ``nyx-plugins``.

Each is imported when it is asked for, and what it needs when it runs: help comes at once, and Ctrl-C is understood
from the start.
"""

from __future__ import annotations

import io
import os
import sys

import click

from .. import __version__
from .failure import EXIT_INTERRUPTED
from .group import CommandGroup

# Name: module of this package, and the command in it.
COMMANDS = {
    "check": ("authoring", "check"),
    "config": ("configuring", "config"),
    "completion": ("completion", "completion"),
    "dead-letters": ("dead_letters", "dead_letters"),
    "demo": ("capture", "demo"),
    "dispatch": ("frames", "dispatch"),
    "doctor": ("doctor", "doctor"),
    "events": ("events", "events"),
    "grant": ("plugins", "grant"),
    "keygen": ("signing", "keygen"),
    "load": ("plugins", "load"),
    "new": ("authoring", "new"),
    "pack": ("authoring", "pack"),
    "pause": ("plugins", "pause"),
    "replay": ("capture", "replay"),
    "request": ("frames", "request"),
    "reset": ("plugins", "reset"),
    "resume": ("plugins", "resume"),
    "revoke": ("plugins", "revoke"),
    "scale": ("plugins", "scale"),
    "serve": ("serving", "serve"),
    "sign": ("signing", "sign"),
    "stats": ("looking", "stats"),
    "status": ("looking", "status"),
    "stop": ("serving", "stop"),
    "swap": ("swap", "swap"),
    "top": ("top", "top"),
    "unload": ("plugins", "unload"),
    "verify": ("signing", "verify"),
}
# How the help sorts them.
TOPICS = {
    "Run": ("demo", "replay", "serve", "stop"),
    "Drive a running service": (
        *("load", "unload", "swap", "pause", "resume", "reset", "scale"),
        *("grant", "revoke", "dispatch", "request", "dead-letters"),
    ),
    "Look at a running service": ("status", "stats", "top", "events"),
    "Write plugins": ("new", "check", "pack"),
    "Sign plugins": ("keygen", "sign", "verify"),
    "Set up": ("config", "doctor", "completion"),
}


@click.group(cls=CommandGroup, commands_in=COMMANDS, topics=TOPICS)
@click.version_option(__version__, prog_name="nyx-plugins")
def cli() -> None:
    """Run plugins for frames of the Nyx Protocol, supervised and apart from each other."""


def main() -> None:
    """Run ``nyx-plugins`` and exit with its code."""
    _prepare_streams()
    try:
        cli(prog_name="nyx-plugins")
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)


def _prepare_streams() -> None:
    """Have all three, whatever was closed, and show letters that the terminal's encoding lacks by their numbers."""
    # What was closed is opened in this order, and so has the descriptor that it should have.
    if sys.stdin is None:
        sys.stdin = open(os.devnull)  # noqa: SIM115  # it stays open to the end
    if sys.stdout is None:
        sys.stdout = _closed_output()
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115  # it stays open to the end
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _closed_output() -> io.TextIOWrapper:
    """Return an output that refuses everything: who has closed the standard one is told that what it got is lost.

    It keeps nothing, or Python would try once more at its exit, and complain in its own words.
    """
    raw = open(os.open(os.devnull, os.O_RDONLY), "wb", buffering=0)  # noqa: SIM115  # it stays open to the end
    return io.TextIOWrapper(raw, write_through=True)
