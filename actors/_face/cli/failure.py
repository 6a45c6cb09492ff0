"""How the command line fails: one sentence on standard error and an exit code for the cause, never a traceback."""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from importlib import import_module
from typing import Any

import click

from ..config.errors import NyxPluginError, StartupError
from ..plugins.errors import AlreadyLoaded, ServiceRunning, SystemStopped

EXIT_REFUSED = 1
EXIT_FAILED = 2
EXIT_STOPPED = 3
EXIT_LATE = 4
EXIT_INTERRUPTED = 130
_OUTPUT_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF, errno.EINVAL})


class Failure(click.ClickException):
    """What ends a command early because of what it was given: its text becomes one line, exit code 2 follows."""

    exit_code = EXIT_FAILED

    def __init__(self, text: str) -> None:
        super().__init__(one_line(_without_current_folder(text)))


class Refused(Failure):
    """The system refused or failed what was asked: exit code 1."""

    exit_code = EXIT_REFUSED


class Stopped(Failure):
    """No system is there, or it stopped meanwhile, or it can't start: exit code 3."""

    exit_code = EXIT_STOPPED


class Late(Failure):
    """What was asked was not done in time: exit code 4."""

    exit_code = EXIT_LATE


class Interrupted(Failure):
    """The user has pressed Ctrl-C: exit code 130."""

    exit_code = EXIT_INTERRUPTED

    def show(self, file: Any = None) -> None:
        """Print the text as it is, if there is any: to be interrupted is no error."""
        if self.message:
            click.echo(self.message, file=file, err=True)


class CommandGroup(click.Group):
    """A group whose commands are imported when they are used, may raise what the package raises, and be interrupted.

    ``commands_in`` maps the name of each command to its module in this package and its name in there; ``topics`` maps
    headings of the help to names of commands.
    """

    def __init__(
        self,
        *args: Any,
        commands_in: Mapping[str, tuple[str, str]],
        topics: Mapping[str, Collection[str]] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._commands_in = commands_in
        self._topics = topics or {}

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

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command; one that does not exist is refused with those that are spelt alike."""
        name = args[0]
        if name not in self._commands_in and not name.startswith("-") and not ctx.resilient_parsing:
            raise click.UsageError(f"no such command {name!r}{_alike(name, self._commands_in)}", ctx)
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

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; errors of this package become a :class:`Failure`, Ctrl-C becomes exit code 130."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            raise usage_failure(error) from error
        except NyxPluginError as error:
            raise failure_of(error) from error
        except OSError as error:
            if error.errno == errno.EPIPE:
                # Whoever reads the output has had enough of it: click ends in silence.
                raise
            raise Failure(_os_text(error)) from error
        except KeyboardInterrupt as error:
            raise Interrupted("Interrupted: everything that was started has been stopped.") from error


def failure_of(error: NyxPluginError) -> Failure:
    """Translate an error of this package into what the command says, and its exit code."""
    return _failure_class(error)(str(error))


def exit_code_of(error: NyxPluginError) -> int:
    """Return the exit code that tells the cause: 1 refused, 2 wrong, 3 stopped, 4 late."""
    return _failure_class(error).exit_code


def usage_failure(error: click.UsageError) -> click.ClickException:
    """Put what click says of a wrong argument into one sentence that names the command's help."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        return error
    text = _usage_text(error)
    return Failure(f"{text}; try '{error.ctx.command_path} --help'" if error.ctx else text)


def one_line(text: str) -> str:
    """Put ``text`` on one line and escape what a terminal might obey: some of it comes from plugins."""
    return escaped(" ".join(text.split()))


def escaped(text: str, kept: str = "") -> str:
    """Escape the characters that a terminal might obey, but those that are ``kept``."""
    return "".join(
        char if char.isprintable() or char in kept else char.encode("unicode_escape").decode() for char in text
    )


def _failure_class(error: NyxPluginError) -> type[Failure]:
    # Every class of error also is the builtin that a caller would catch, and so tells what kind of failure it is.
    match error:
        case TimeoutError():
            return Late
        case SystemStopped() | ServiceRunning() | StartupError() | ConnectionError():
            return Stopped
        case ValueError() if not isinstance(error, AlreadyLoaded):
            return Failure
    return Refused


def _os_text(error: OSError) -> str:
    if error.errno in _OUTPUT_ERRORS and error.filename is None:
        return f"the output can't be written: {error.strerror}"
    try:
        os.getcwd()
    except OSError:
        return "the current folder is not there any more: change to another"
    return f"{error.filename}: {error.strerror}" if error.filename is not None else str(error.strerror or error)


def _usage_text(error: click.UsageError) -> str:
    if isinstance(error, click.NoSuchOption):
        options = [name for param in error.ctx.command.params for name in param.opts] if error.ctx else []
        return f"no such option {error.option_name!r}{_alike(error.option_name, [*options, '--help'])}"
    text = error.format_message().rstrip(".")
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def _alike(name: str, names: Collection[str]) -> str:
    from difflib import get_close_matches

    found = get_close_matches(name, names, cutoff=0.7)
    return f" (did you mean {' or '.join(map(repr, found))}?)" if found else ""


def _without_current_folder(text: str) -> str:
    """Name what lies below the current folder as its user does: paths were made absolute on their way."""
    with suppress(OSError):
        folder = os.getcwd()
        return text if folder == "/" else text.replace(f"{folder}/", "")
    return text
