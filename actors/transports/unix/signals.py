"""Signals in an actor's process: those that end a process end the actor in order, others are noted or do nothing."""

from __future__ import annotations

import contextlib
import signal

# signal.signal() makes an enumeration member of each number and handler, which takes most of its time.
from _signal import signal as set_handler  # type: ignore[import-not-found]
from types import FrameType
from typing import Any

from thespian.system.multiprocCommon import child_exit_signals, exit_signals, uncatchable_signals

# A fault of the process itself comes again and again for as long as a handler lets it: it must end the process.
_FAULTS = frozenset({signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSYS, signal.SIGTRAP})


def catch_signals(manager: Any) -> None:
    """Let the signals that end a process end this actor, after the message that it is at."""

    def caught(number: int, frame: FrameType | None) -> None:
        if number in child_exit_signals:
            manager.signalChildDied(number, frame)
        elif number in exit_signals:
            manager.transport.interrupt_wait(signal_shutdown=True)
        elif number == signal.SIGUSR1:
            manager.thesplogStatus()

    for number in range(1, signal.NSIG):
        if number not in uncatchable_signals and number not in _FAULTS:
            with contextlib.suppress(RuntimeError, ValueError, OSError):
                set_handler(number, caught)
