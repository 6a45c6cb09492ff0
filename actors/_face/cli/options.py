"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from .values import Seconds

_Command = TypeVar("_Command", bound=Callable[..., Any])


def transport_option(command: _Command) -> _Command:
    """``--transport``: where actors and plugins run."""
    text = "Where actors and plugins run: in processes of their own, or all in this one."
    option = click.option(
        "--transport", type=click.Choice(["unix", "inline"]), help=text + "  [default: as configured]"
    )
    return option(command)


def config_option(text: str, required: bool = False) -> Callable[[_Command], _Command]:
    """``--config FILE``, or what ``NYX_PLUGINS_CONFIG`` names; ``None`` when there is neither."""
    return click.option(
        "--config", required=required, metavar="FILE", envvar="NYX_PLUGINS_CONFIG", show_envvar=True, help=text
    )


def timeout_option(text: str, default: str = "as configured") -> Callable[[_Command], _Command]:
    """``--timeout SECONDS``, 0 to a day; ``None`` when it is not given."""
    return click.option(
        "--timeout",
        type=Seconds(),
        metavar="SECONDS",
        help=f"{text}  [default: {default}]",
    )


def json_option(text: str, is_eager: bool = False) -> Callable[[_Command], _Command]:
    """``--json``, given to the command as ``json_wanted``."""
    return click.option("--json", "json_wanted", is_flag=True, is_eager=is_eager, help=text)
