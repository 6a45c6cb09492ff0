"""The load tests as one command: ``nyx-plugins-load``, or ``python -m nyx_plugins.load_tests``."""

from __future__ import annotations

import click

from nyx_plugins import __version__
from nyx_plugins.load_tests.group import Commands

# Name: module of this package, the command in it, and what it does.
COMMANDS = {
    "list": ("running", "list_scenarios", "List the scenarios that come with the package."),
    "show": ("running", "show", "Print a scenario: a beginning for one of your own."),
    "run": ("running", "run", "Run a scenario, by its name or from a file."),
    "report": ("report.command", "report", "Draw the report of a result that was kept."),
    "compare": ("compare.command", "compare", "Tell whether one result is worse than another."),
    "gate": ("gate.command", "gate", "Tell whether this checkout is slower than a revision of it."),
    "bench": ("bench.command", "bench", "Measure what is to be reached, against others in the same run."),
    "growth": ("growth.command", "growth", "Draw how cost grows with batches, frames, plugins, clients, mailboxes."),
    "peers": ("peers.command", "peers", "Do the same work with other systems, and say who guarantees what."),
    "chaos": ("chaos.command", "chaos", "Kill random processes under load, and prove that nothing was lost."),
    "recovery": ("recovery", "recovery", "Measure how long it takes until all is well after a process was killed."),
    "swap": ("swap", "main", "Swap a plugin under load, and count what became of the frames."),
    "five-figures": ("five_figures", "main", "Run the five performance tests of the reference implementation."),
    "jail": ("jail", "main", "Measure what the jail costs a worker."),
    "transports": ("transports.__main__", "main", "Compare Thespian's system bases with the transport of our own."),
}


@click.group(cls=Commands, commands_in=COMMANDS)
@click.version_option(__version__, prog_name="nyx-plugins-load")
def main() -> None:
    """Put a system under load, and measure or prove what it does."""


if __name__ == "__main__":
    main(prog_name="python -m nyx_plugins.load_tests")
