"""The keys of a terminal, one by one and without echo, and what happens to the terminal meanwhile."""

from __future__ import annotations

import os
import select
import signal
import termios
import tty
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

import click

from .view import QUIT, keys_of

RESIZED = "resized"
"""What :meth:`Keyboard.wait` returns when the window has another size."""
_READ_BYTES = 256
_ENDING = (signal.SIGTERM, signal.SIGHUP)


class Keyboard:
    """Reads keys for as long as it is entered; the terminal is as it was before, however that ends.

    SIGTERM and SIGHUP end the program in order, and ``suspend`` and ``go_on`` are called around a stop by Ctrl-Z.
    """

    def __init__(self, fd: int, suspend: Callable[[], None], go_on: Callable[[], None]) -> None:
        self._fd = fd
        self._suspend = suspend
        self._go_on = go_on
        self._signals: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Keyboard:
        self._before = termios.tcgetattr(self._fd)
        self._wake, self._woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._former_wakeup = signal.set_wakeup_fd(self._woken, warn_on_full_buffer=False)
        for number, handler in (*((ending, _end) for ending in _ENDING), (signal.SIGWINCH, _note)):
            self._signals[number] = signal.signal(number, handler)
        self._signals[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, self._stop)
        tty.setcbreak(self._fd, termios.TCSADRAIN)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._restore()
        for number, handler in self._signals.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._former_wakeup)
        os.close(self._wake)
        os.close(self._woken)

    def wait(self, seconds: float) -> list[str]:
        """Return the keys that were pressed within ``seconds``, as soon as there are any; ``RESIZED`` is among them."""
        readable, _, _ = select.select([self._fd, self._wake], [], [], max(0.0, seconds))
        keys = []
        if self._wake in readable:
            os.read(self._wake, _READ_BYTES)
            keys.append(RESIZED)
        if self._fd in readable:
            raw = os.read(self._fd, _READ_BYTES)
            # A terminal at its end has gone away.
            keys += keys_of(raw) if raw else [QUIT]
        return keys

    def _restore(self) -> None:
        try:
            termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)
        except termios.error:
            # It is no more there: nobody misses its settings.
            return

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._suspend()
        self._restore()
        os.kill(os.getpid(), signal.SIGSTOP)
        tty.setcbreak(self._fd, termios.TCSADRAIN)
        self._go_on()


def _end(number: int, frame: FrameType | None) -> None:
    raise click.exceptions.Exit(128 + number)


def _note(number: int, frame: FrameType | None) -> None:
    """Let it only interrupt the wait."""
