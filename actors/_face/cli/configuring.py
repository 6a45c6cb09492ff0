"""``nyx-plugins config``: is a configuration valid, and where does each value come from?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from .failure import EXIT_FAILED
from .group import CommandGroup
from .options import json_option

_Command = TypeVar("_Command", bound=Callable[..., Any])


def file_argument(required: bool) -> Callable[[_Command], _Command]:
    """``FILE``, or what ``NYX_PLUGINS_CONFIG`` names."""
    return click.argument("file", envvar="NYX_PLUGINS_CONFIG", required=required)


@click.group(cls=CommandGroup, commands_in={name: ("configuring", name) for name in ("check", "show")})
def config() -> None:
    """Check a configuration, or show what it comes to.

    FILE is the configuration; without it the environment variable NYX_PLUGINS_CONFIG names one.
    """


@click.command()
@file_argument(required=True)
def check(file: str) -> None:
    """Tell whether FILE can be used, or all that is wrong with it.

    The environment's NYX_PLUGINS_ variables are checked too, and so are the manifests of the plugins that would be
    loaded: their ids, their permissions, and whether what they ask for is within the ceiling. Nothing is started. The
    exit code is 0 for a configuration that can be used, and 2 for one with faults.
    """
    from .config_check import run_check

    if not run_check(file):
        click.get_current_context().exit(EXIT_FAILED)


@click.command(short_help="Print every setting in force, and where it comes from.")
@file_argument(required=False)
@json_option("Print a list of JSON objects instead: key, value, origin, file, line, variable.")
@click.option("--only-changed", is_flag=True, help="Leave out what is as the defaults have it.")
def show(file: str | None, json_wanted: bool, only_changed: bool) -> None:
    """Print every setting in force, and where it comes from: a default, FILE, or an environment variable.

    What is printed is TOML. What a plugin's configuration calls a token, a password, a secret or a key is not shown.
    """
    from .config_show import run_show

    run_show(file, json_wanted, only_changed)
