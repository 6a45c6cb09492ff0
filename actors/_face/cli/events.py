"""``nyx-plugins events``: what happens in a service, as it happens."""

from __future__ import annotations

import click

from . import connecting
from .connecting import place_options
from .options import json_option, timeout_option
from .values import Whole


@click.command(short_help="Print events as they happen.")
@click.option("--emits", is_flag=True, help="Print the frames that plugins emit too.")
@click.option("--count", metavar="N", type=Whole(min=1), help="End after so many.")
@timeout_option("End after so long.", default="when the service stops")
@json_option("Print one JSON object on each line.")
@place_options
def events(emits: bool, count: int | None, timeout: float | None, json_wanted: bool, runtime_dir: str | None) -> None:
    """Print what happens to plugins, from now on: loaded, ready, crashed, restarted, failed, quarantined and so on.

    Each line is there at once. The exit code is 0 after --count lines or --timeout seconds, and when nobody reads the
    output any more; 4 when the time was over before --count lines; 3 when the service stops; 130 after Ctrl-C.
    """
    from .following import follow

    streams = ("events", "emits") if emits else ("events",)
    with connecting.interruptible(""), connecting.connection(runtime_dir, streams) as system:
        follow(system, count, timeout, json_wanted)
