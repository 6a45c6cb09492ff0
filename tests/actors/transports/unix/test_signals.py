"""Signals of an actor's process: which of them end it in order, and which end it at once."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
from typing import Any

import pytest

from nyx_plugins.actors.transports.unix.forked import ForkedProcess
from nyx_plugins.actors.transports.unix.signals import catch_signals


class Actor:
    """Writes down what a signal has it do."""

    def __init__(self, writing: int) -> None:
        self.transport = self
        self._writing = writing

    def signalChildDied(self, number: int, frame: Any) -> None:
        """Thespian's: a child has ended."""
        os.write(self._writing, b"child ")

    def interrupt_wait(self, signal_shutdown: bool = False) -> None:
        """Thespian's: end the wait, and the actor."""
        os.write(self._writing, b"shutdown " if signal_shutdown else b"wait ")

    def thesplogStatus(self) -> None:
        """Thespian's: log what it is doing."""
        os.write(self._writing, b"status ")


def _catch_and_raise(writing: int, *numbers: int) -> None:
    catch_signals(Actor(writing))
    for number in numbers:
        signal.raise_signal(number)


def _catch_and_crash(writing: int) -> None:
    faulthandler.disable()  # pytest's, which would print where the tests are
    catch_signals(Actor(writing))
    ctypes.string_at(0)


def _outcome(function: Any, *numbers: int) -> tuple[int | None, str]:
    """Return the exit code of a process that catches signals, and what these had its actor do."""
    reading, writing = os.pipe()
    process = ForkedProcess(function, (writing, *numbers), "actor")
    os.close(writing)
    with open(reading) as file:
        process.join(30.0)
        if process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
            process.join()
            pytest.fail("it does not end")
        return process.exitcode, file.read().strip()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT, signal.SIGABRT])
def test_what_ends_a_process_ends_its_actor_in_order(number: int) -> None:
    """A signal that asks a process to end asks its actor to, which goes on until then."""
    assert _outcome(_catch_and_raise, number) == (0, "shutdown")


def test_the_end_of_a_child_and_a_status_are_asked_for() -> None:
    """The actor looks after its children and logs its status when it is told to, each time."""
    assert _outcome(_catch_and_raise, signal.SIGCHLD, signal.SIGUSR1, signal.SIGCHLD) == (0, "child status child")


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGUSR2, signal.SIGALRM, signal.SIGRTMIN])
def test_other_signals_do_nothing(number: int) -> None:
    """A signal that means nothing to an actor does not disturb it."""
    assert _outcome(_catch_and_raise, number) == (0, "")


def test_nobody_can_keep_a_process_alive_that_is_killed() -> None:
    """A process that is killed has ended, whatever it catches."""
    assert _outcome(_catch_and_raise, signal.SIGKILL) == (-signal.SIGKILL, "")


def test_a_crash_ends_the_process() -> None:
    """A process that reads where there is no memory ends; it does not try the same again for ever."""
    assert _outcome(_catch_and_crash) == (-signal.SIGSEGV, "")
