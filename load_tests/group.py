"""The group of the load tests: what is missing for a command is told in one line, and its help is there without it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from nyx_plugins.cli.failure import Interrupted, failure_of
from nyx_plugins.cli.group import CommandGroup

from .errors import MissingExtra
from .extra import missing, needed
from .interruption import interrupted, interruptible


class Commands(CommandGroup):
    """``commands_in`` maps each command to its module, its name in there, and a line of help."""

    def __init__(self, *args: Any, commands_in: Mapping[str, tuple[str, str, str]], **kwargs: Any) -> None:
        where = {name: (module, command) for name, (module, command, _) in commands_in.items()}
        super().__init__(*args, commands_in=where, package=__package__, **kwargs)
        self._help = {name: line for name, (_, _, line) in commands_in.items()}

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command, and let its help say what is not installed."""
        with needed():
            command = super().get_command(ctx, cmd_name)
        if command is not None:
            command.epilog = missing()
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._help[name]) for name in self.list_commands(ctx)])

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; errors of this package become one line and an exit code, as with ``nyx-plugins``.

        SIGTERM and SIGHUP end it as Ctrl-C does, with codes of their own.
        """
        try:
            with interruptible(), needed():
                return super().invoke(ctx)
        except Interrupted as error:
            if isinstance(error.__cause__, KeyboardInterrupt):
                raise interrupted(error.__cause__, error.message) from error.__cause__
            raise
        except MissingExtra as error:
            raise failure_of(error) from error
