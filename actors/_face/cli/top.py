"""``nyx-plugins top``: a live view of a service."""

from __future__ import annotations

import click

from . import connecting
from .connecting import place_options
from .options import json_option
from .values import Seconds

# The columns, in their order.
_LEFT = ("id", "plugin", "state", "in", "out", "mailbox", "p99")
SORT_KEYS = (*_LEFT, "failed", "dead", "denied", "restarts", "cpu", "memory")


@click.command(short_help="A live view: states, rates, mailboxes, CPU and memory.")
@click.option(
    "--interval",
    metavar="SECONDS",
    type=Seconds(0.1),
    default=1.0,
    show_default=True,
    help="How long between two looks.",
)
@click.option(
    "--sort",
    metavar="COLUMN",
    type=click.Choice(SORT_KEYS),
    default="id",
    show_default=True,
    help=f"The column to sort by: {', '.join(SORT_KEYS[:-1])} or {SORT_KEYS[-1]}.",
)
@click.option("--once", is_flag=True, help="Look twice, one interval apart, print the table, and end.")
@json_option("Look twice, one interval apart, print one JSON object, and end.")
@place_options
def top(interval: float, sort: str, once: bool, json_wanted: bool, runtime_dir: str | None) -> None:
    """Show plugins, states, rates, mailboxes, restarts, violations, CPU, memory and events, again and again.

    Where the output is no terminal, it does what --once does. Rates are frames per second since the last look, 100% CPU
    is one core, and the columns that don't fit into the terminal are left out.

    \b
    1-9           sort by that column; once more: the other way round
    s             sort by the next column
    r             the other way round
    arrows, j, k  one line down or up; PgDn, PgUp, blank: one page
    Home, End     to the first, to the last
    q             end
    """
    from .live import run_top

    with connecting.interruptible(""), connecting.connection(runtime_dir, ("events",)) as system:
        run_top(system, interval, sort, once, json_wanted)
