"""How the command line fails: one sentence on standard error and exit code 2, never a traceback."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from typing import Any

import click

from ..config.errors import NyxPluginError

EXIT_FAILED = 2
EXIT_INTERRUPTED = 130


class Failure(click.ClickException):
    """What ends a command early: its text becomes one line, exit code 2 follows."""

    exit_code = EXIT_FAILED

    def __init__(self, text: str) -> None:
        super().__init__(one_line(_without_current_folder(text)))


class CommandGroup(click.Group):
    """A group whose commands are imported when they are used, may raise what the package raises, and be interrupted.

    ``commands_in`` maps the name of each command to its module in this package and its name in there.
    """

    def __init__(self, *args: Any, commands_in: Mapping[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._commands_in = commands_in

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands."""
        return sorted(self._commands_in)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in self._commands_in:
            return None
        module, name = self._commands_in[cmd_name]
        command: click.Command = getattr(import_module(f".{module}", __package__), name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; errors of this package become a :class:`Failure`, Ctrl-C becomes exit code 130."""
        try:
            return super().invoke(ctx)
        except NyxPluginError as error:
            raise Failure(str(error)) from error
        except OSError as error:
            if error.errno == errno.EPIPE:
                # Whoever reads the output has had enough of it: click ends in silence.
                raise
            raise Failure(f"the output can't be written: {error.strerror}") from error
        except KeyboardInterrupt:
            click.echo("Interrupted: everything that was started has been stopped.", err=True)
            ctx.exit(EXIT_INTERRUPTED)


def one_line(text: str) -> str:
    """Put ``text`` on one line and escape what a terminal might obey: some of it comes from plugins."""
    joined = " ".join(text.split())
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in joined)


def _without_current_folder(text: str) -> str:
    """Name what lies below the current folder as its user does: paths were made absolute on their way."""
    with suppress(OSError):
        folder = os.getcwd()
        return text if folder == "/" else text.replace(f"{folder}/", "")
    return text
