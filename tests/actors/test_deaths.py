"""What the kernel says of a worker's end, in words."""

from __future__ import annotations

import signal

import pytest

from nyx_plugins.actors.deaths import Cause, Death, exited, told_by_kernel


def by_signal(number: int, cpu_s: float = 0.0, limit_s: int | None = None) -> Death:
    """Read the status of a process that a signal ended."""
    return told_by_kernel(number, cpu_s, limit_s)


@pytest.mark.parametrize(
    ("death", "cause", "text", "normal"),
    [
        (told_by_kernel(0, 0.0, None), Cause.EXIT, "exited with code 0", True),
        (told_by_kernel(7 << 8, 0.0, None), Cause.EXIT, "exited with code 7", False),
        (told_by_kernel(1 << 8, 0.0, None, "no key"), Cause.EXIT, "exited with code 1: no key", False),
        (
            told_by_kernel(9, 0.0, None, "no key"),
            Cause.SIGNAL,
            "killed by SIGKILL (out of memory, or from outside)",
            False,
        ),
        (exited(3), Cause.EXIT, "exited with code 3", False),
        (exited(0), Cause.EXIT, "exited with code 0", True),
        (by_signal(signal.SIGSEGV), Cause.SIGNAL, "killed by SIGSEGV", False),
        (by_signal(signal.SIGABRT | 0x80), Cause.SIGNAL, "killed by SIGABRT", False),
        (by_signal(50), Cause.SIGNAL, "killed by signal 50", False),
        (by_signal(signal.SIGSYS), Cause.SECCOMP, "killed by SIGSYS (a system call that no plugin may make)", False),
        (by_signal(signal.SIGKILL), Cause.SIGNAL, "killed by SIGKILL (out of memory, or from outside)", False),
        (by_signal(signal.SIGKILL, 1.9, 2), Cause.SIGNAL, "killed by SIGKILL (out of memory, or from outside)", False),
        (
            by_signal(signal.SIGKILL, 3.04, 2),
            Cause.CPU,
            "killed by SIGKILL: 3.0 s of CPU time are used, the limit is 2 s",
            False,
        ),
        (
            by_signal(signal.SIGXCPU, 2.0, 2),
            Cause.CPU,
            "killed by SIGXCPU: 2.0 s of CPU time are used, the limit is 2 s",
            False,
        ),
        (by_signal(signal.SIGXCPU), Cause.CPU, "killed by SIGXCPU", False),
    ],
)
def test_each_end_has_its_cause(death: Death, cause: Cause, text: str, normal: bool) -> None:
    """The status, and the CPU time where it says more, give cause and text."""
    assert (death.cause, death.text, death.normal) == (cause, text, normal)
    assert str(death) == text
