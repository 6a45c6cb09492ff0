"""Why a worker ended: told from what the kernel says of it, or from what its plugin actor ended it for."""

from __future__ import annotations

import enum
import os
import signal

import attrs


class Cause(enum.StrEnum):
    """Of the end of a worker."""

    EXIT = "exit"
    """It exited of its own accord; the text has its code."""
    SIGNAL = "signal"
    """A signal ended it, most often a crash."""
    SECCOMP = "seccomp"
    """It made a system call that no plugin has any business with."""
    CPU = "cpu"
    """It used up its CPU time."""
    MEMORY = "memory"
    """It held more memory than its policy allows."""
    THREADS = "threads"
    """It ran more threads than its policy allows."""
    SCRATCH = "scratch"
    """It filled its private directory beyond its size."""
    DEADLINE = "deadline"
    """A frame, or its start, took longer than allowed."""
    PROTOCOL = "protocol"
    """It said what no honest worker says, or closed its socket."""


OVERSTEPPING = frozenset({Cause.SECCOMP, Cause.MEMORY, Cause.THREADS, Cause.SCRATCH})
"""What no honest plugin does by mistake: these ends count as violations."""


@attrs.frozen
class Death:
    """The end of one worker: what kind of cause, and in words, to be read after "worker"."""

    cause: Cause
    text: str
    normal: bool = False
    """Whether it exited with code 0."""

    def __str__(self) -> str:
        return self.text


def exited(code: int, reason: str = "") -> Death:
    """Return the end by an exit with ``code``, for which the worker has given this ``reason``."""
    return Death(Cause.EXIT, f"exited with code {code}{': ' if reason else ''}{reason}", code == 0)


def told_by_kernel(status: int, cpu_s: float, cpu_limit_s: int | None, reason: str = "") -> Death:
    """Read the status of wait4(2), with the CPU time that the worker has used and was allowed, in seconds.

    ``reason`` is what the worker has said of its exit, if it has exited.
    """
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return exited(code, reason)
    number = -code
    if number == signal.SIGSYS:
        return Death(Cause.SECCOMP, "killed by SIGSYS (a system call that no plugin may make)")
    out_of_time = cpu_limit_s is not None and cpu_s >= cpu_limit_s
    if number == signal.SIGXCPU or (number == signal.SIGKILL and out_of_time):
        limit = "" if cpu_limit_s is None else f": {cpu_s:.1f} s of CPU time are used, the limit is {cpu_limit_s} s"
        return Death(Cause.CPU, f"killed by {_name(number)}{limit}")
    if number == signal.SIGKILL:
        return Death(Cause.SIGNAL, "killed by SIGKILL (out of memory, or from outside)")
    return Death(Cause.SIGNAL, f"killed by {_name(number)}")


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
