"""How the command line fails: one sentence on standard error and an exit code for the cause, never a traceback."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

import click

from ..config.errors import NyxPluginError, StartupError
from ..plugins.errors import AlreadyLoaded, PluginNotFailed, ServiceRunning, SwapRefused, SystemStopped

EXIT_REFUSED = 1
EXIT_FAILED = 2
EXIT_STOPPED = 3
EXIT_LATE = 4
EXIT_INTERRUPTED = 130


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


def failure_of(error: NyxPluginError) -> Failure:
    """Translate an error of this package into what the command says, and its exit code."""
    text = str(error)
    if isinstance(error, SwapRefused):
        text = text.replace("(allow_widen=True allows it)", "(--allow-widen allows it)")
    return _failure_class(error)(text)


def exit_code_of(error: NyxPluginError) -> int:
    """Return the exit code that tells the cause: 1 refused, 2 wrong, 3 stopped, 4 late."""
    return _failure_class(error).exit_code


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
        case ValueError() if not isinstance(error, AlreadyLoaded | PluginNotFailed):
            return Failure
    return Refused


def _without_current_folder(text: str) -> str:
    """Name what lies below the current folder as its user does: paths were made absolute on their way."""
    with suppress(OSError):
        folder = os.getcwd()
        return text if folder == "/" else text.replace(f"{folder}/", "")
    return text
