"""What ends a run from outside: Ctrl-C, SIGTERM or SIGHUP, each with the exit code that a shell has for it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from nyx_plugins.cli.failure import Interrupted

HEARD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption(KeyboardInterrupt):
    """A signal other than Ctrl-C's, which ends what is under way as that does."""

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(signal.Signals(number).name)


def is_hurried(number: int) -> bool:
    """Return whether a signal comes from somebody who is no user at a terminal, and may not wait long for the end."""
    return number != signal.SIGINT


class Stop(threading.Event):
    """Tells a run to end early; ``number`` is the signal that has asked for it."""

    number: int = signal.SIGINT

    @property
    def is_hurried(self) -> bool:
        """Whether that is somebody who may not wait long."""
        return self.is_set() and is_hurried(self.number)


class Terminated(Interrupted):
    """SIGTERM has ended a command."""

    exit_code = 143


class HungUp(Interrupted):
    """SIGHUP has ended a command: its terminal is gone."""

    exit_code = 129


_ENDS = {int(signal.SIGINT): Interrupted, int(signal.SIGTERM): Terminated, int(signal.SIGHUP): HungUp}


def code_after(number: int) -> int:
    """Return the exit code of a command that this signal has ended: that which a shell shows for it."""
    return _ENDS[number].exit_code


def number_of(error: BaseException | None) -> int:
    """Return the signal that has raised a :class:`KeyboardInterrupt`."""
    return error.number if isinstance(error, Interruption) else int(signal.SIGINT)


def interrupted(error: BaseException | None, text: str) -> Interrupted:
    """Return how a command ends that was interrupted: with ``text`` and the signal's code."""
    return _ENDS[number_of(error)](text)


@contextmanager
def interruptible() -> Iterator[None]:
    """Let the other signals raise :class:`Interruption`, as Ctrl-C raises KeyboardInterrupt."""

    def end(number: int, frame: object) -> NoReturn:
        raise Interruption(number)

    with answered(end, HEARD[1:]):
        yield


@contextmanager
def answered(handler: Callable[[int, object], object], numbers: tuple[int, ...] = HEARD) -> Iterator[None]:
    """Let ``handler`` answer these signals; a SIGHUP that is ignored (nohup) stays so."""
    wanted = [number for number in numbers if not _is_ignored_hangup(number)]
    before = {number: signal.signal(number, handler) for number in wanted}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def _is_ignored_hangup(number: int) -> bool:
    return number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN


@contextmanager
def drawing(kept: Path) -> Iterator[None]:
    """Say where the figures are, if what is drawn of them within this is interrupted."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise interrupted(error, f"Interrupted while pictures were drawn: the figures are in {kept}.") from error
