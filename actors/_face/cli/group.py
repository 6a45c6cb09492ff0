"""The group of all commands: it imports them one by one, sorts their help, and turns what they raise into failures."""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Mapping
from importlib import import_module
from typing import Any

import click

from ..config.errors import NyxPluginError
from .failure import Failure, Interrupted, failure_of
from .usage import alike, usage_failure

_OUTPUT_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF, errno.EINVAL})


class CommandGroup(click.Group):
    """A group whose commands are imported when they are used, may raise what the package raises, and be interrupted.

    ``commands_in`` maps the name of each command to its module in ``package`` and its name in there; ``topics`` maps
    headings of the help to names of commands.
    """

    def __init__(
        self,
        *args: Any,
        commands_in: Mapping[str, tuple[str, str]],
        topics: Mapping[str, Collection[str]] | None = None,
        package: str | None = __package__,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._commands_in = commands_in
        self._topics = topics or {}
        self._package = package

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands."""
        return sorted(self._commands_in)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in self._commands_in:
            return None
        module, name = self._commands_in[cmd_name]
        command: click.Command = getattr(import_module(f".{module}", self._package), name)
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
        """Write the commands of each topic, in its order; what has no topic comes last."""
        sorted_in = {name for names in self._topics.values() for name in names}
        others = [name for name in self.list_commands(ctx) if name not in sorted_in]
        limit = formatter.width - 6 - max(map(len, self._commands_in))
        for heading, names in {**self._topics, "Others" if self._topics else "Commands": others}.items():
            commands = [(name, self.get_command(ctx, name)) for name in names]
            rows = [(name, command.get_short_help_str(limit)) for name, command in commands if command is not None]
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows, col_max=limit)

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Understand the group's own options; a mistake in them becomes a :class:`Failure`."""
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as error:
            raise usage_failure(error) from error
        except OSError as error:
            # Help and version are printed here.
            raise _failure_of(error) from error

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; errors of this package become a :class:`Failure`, Ctrl-C becomes exit code 130."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            raise usage_failure(error) from error
        except NyxPluginError as error:
            raise failure_of(error) from error
        except OSError as error:
            raise _failure_of(error) from error
        except KeyboardInterrupt as error:
            raise Interrupted("Interrupted: everything that was started has been stopped.") from error


def _failure_of(error: OSError) -> Exception:
    # Whoever reads the output has had enough of it: click ends in silence.
    return error if error.errno == errno.EPIPE else Failure(_os_text(error))


def _os_text(error: OSError) -> str:
    if error.errno in _OUTPUT_ERRORS and error.filename is None:
        return f"the output can't be written: {error.strerror}"
    try:
        os.getcwd()
    except OSError:
        return "the current folder is not there any more: change to another"
    return f"{error.filename}: {error.strerror}" if error.filename is not None else str(error.strerror or error)
