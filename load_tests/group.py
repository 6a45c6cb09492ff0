"""The group of the load tests: it imports a command when it is used, and tells what is missing for it in one line."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

from nyx_plugins.cli.failure import Failure, Interrupted, failure_of
from nyx_plugins.cli.usage import alike
from nyx_plugins.config.errors import NyxPluginError

from .extra import needed


class Commands(click.Group):
    """``commands_in`` maps each command to its module, its name in there, and a line of help."""

    def __init__(self, *args: Any, commands_in: Mapping[str, tuple[str, str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._commands_in = commands_in

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands."""
        return sorted(self._commands_in)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in self._commands_in:
            return None
        module, name, _ = self._commands_in[cmd_name]
        command: click.Command = getattr(_imported(module), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command; one that does not exist is refused with those that are spelt alike."""
        name = args[0]
        if name not in self._commands_in and not name.startswith("-") and not ctx.resilient_parsing:
            raise click.UsageError(f"no such command {name!r}{alike(name, self._commands_in)}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._commands_in[name][2]) for name in self.list_commands(ctx)])

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; errors of this package become one line and an exit code, as with ``nyx-plugins``."""
        try:
            with needed():
                return super().invoke(ctx)
        except NyxPluginError as error:
            raise failure_of(error) from error
        except OSError as error:
            if error.errno == errno.EPIPE:
                raise  # whoever reads the output has had enough of it: click ends in silence
            raise Failure(f"{error.filename}: {error.strerror}" if error.filename else str(error)) from error
        except KeyboardInterrupt as error:
            raise Interrupted("Interrupted: everything that was started has been stopped.") from error


def _imported(module: str) -> Any:
    return import_module(f".{module}", __package__)
