"""``nyx-plugins doctor``: what this machine can enforce, and why it is no more."""

from __future__ import annotations

from typing import Any

import click

from .failure import EXIT_REFUSED
from .options import config_option, json_option


@click.command(short_help="What this machine can enforce of policies.")
@config_option("The configuration whose required level counts.")
@json_option("Print one JSON object instead of a table.")
def doctor(config: str | None, json_wanted: bool) -> None:
    """Tell how well this machine can confine plugins: each layer of the jail, and what is missing for it.

    The level is full with Landlock (version 3 or later) and seccomp, partial with one of them, else cooperative: then
    a plugin can do whatever the user can. The exit code is 0 when the machine reaches the level that the configuration
    requires (system.require_enforcement), and 1 when plugins would be refused.
    """
    from ..config.loading import load_settings
    from ..plugins.worker.jail.level import enforcement

    found, required = enforcement(), load_settings(config).system.require_enforcement
    _print(required, json_wanted)
    if not found.reaches(required):
        click.get_current_context().exit(EXIT_REFUSED)


def _print(required: str, json_wanted: bool) -> None:
    from .fields import print_json

    facts = _facts(required)
    if json_wanted:
        print_json(facts)
    else:
        _print_text(facts)


def _facts(required: str) -> dict[str, Any]:
    from ..plugins.worker.jail import LAYERS
    from ..plugins.worker.jail.level import enforcement, machine

    found, here = enforcement(), machine()
    return {
        "level": found.level,
        "required": required,
        "sufficient": found.reaches(required),  # type: ignore[arg-type]
        "kernel": here.kernel,
        "architecture": here.architecture,
        "landlock_version": here.landlock_version,
        "layers": {name: found.missing.get(name, "") for name in LAYERS},
        "notes": list(here.notes),
    }


def _print_text(facts: dict[str, Any]) -> None:
    from rich.text import Text

    from . import tables

    landlock = f"Landlock {facts['landlock_version']}" if facts["landlock_version"] else "no Landlock"
    click.echo(f"Linux {facts['kernel']} on {facts['architecture']}, {landlock}\n")
    rows = tables.table("layer", "works", "why not")
    for name, reason in facts["layers"].items():
        works = Text("no", style="red") if reason else Text("yes", style="green")
        tables.add(rows, name.replace("_", " "), works, reason)
    tables.console().print(rows)
    click.echo()
    for note in facts["notes"]:
        click.echo(f"Note: {note}.")
    click.echo(f"Policies are enforced at level {facts['level']}; {facts['required']} is required.")
    if not facts["sufficient"]:
        click.echo("Plugins would be refused: raise the level, or lower system.require_enforcement.")
