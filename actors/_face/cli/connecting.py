"""The other end of a served system: the options that choose it, and a decorator that gives a command its connection."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from .failure import Interrupted
from .options import config_option

if TYPE_CHECKING:
    from ..actors.system import PluginSystem

_INTERRUPTED = "Interrupted: the service goes on, and may still do what it was asked before."


@contextmanager
def connection(runtime_dir: str | None, streams: tuple[str, ...] = (), sends: bool = False) -> Iterator[PluginSystem]:
    """Connect to the service of a runtime directory for the length of a block.

    Raises :class:`ServiceNotRunning`; what a command is asked to do on inline systems, tests do by replacing this.
    """
    from ..actors.system import PluginSystem

    system = PluginSystem.connect(runtime_dir, streams=streams, sends=sends)
    try:
        yield system
    finally:
        system.close()


def place_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--runtime-dir`` and ``--config``; the command gets one ``runtime_dir``, ``None`` for the usual one."""

    @click.option(
        "--runtime-dir",
        metavar="DIR",
        envvar="NYX_PLUGINS_RUNTIME_DIR",
        show_envvar=True,
        help="The runtime directory of the service.  [default: as configured]",
    )
    @config_option("The configuration of the service, which may name its runtime directory.")
    @functools.wraps(command)
    def placed(*args: Any, runtime_dir: str | None, config: str | None, **kwargs: Any) -> Any:
        return command(*args, runtime_dir=place(runtime_dir, config), **kwargs)

    return placed


def place(runtime_dir: str | None, config: str | None) -> str | None:
    """Return the runtime directory that the options mean.

    Raises :class:`ConfigError` for any fault of the configuration and of the environment, whether needed or not: a
    mistake in there is not to be found out only when an option is left out.
    """
    from ..config.loading import load_settings

    configured = load_settings(config).system.runtime_dir
    return runtime_dir or configured or None


def connected(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command its ``system``, for as long as it runs, and the options that choose it."""

    @place_options
    @functools.wraps(command)
    def connect_and_call(*args: Any, runtime_dir: str | None, **kwargs: Any) -> Any:
        with interruptible(), connection(runtime_dir) as system:
            return command(system, *args, **kwargs)

    return connect_and_call


@contextmanager
def interruptible(said: str = _INTERRUPTED) -> Iterator[None]:
    """End on Ctrl-C with exit code 130, and say what that means for what the service was asked."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise Interrupted(said) from error
