"""Forked processes: how they end, and how their parents learn of it."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from nyx_plugins.actors.transports.unix.forked import ForkedProcess


def _raise() -> None:
    raise LookupError("nothing found")


def _wait_for_end(reading: int, writing: int) -> None:
    os.close(writing)
    os.read(reading, 1)


@pytest.fixture
def waiting() -> Iterator[tuple[ForkedProcess, Callable[[], None]]]:
    """Return a process that runs, and a function that lets it end."""
    reading, writing = os.pipe()
    process = ForkedProcess(_wait_for_end, (reading, writing), "waiting")
    os.close(reading)
    with contextlib.ExitStack() as end:
        end.callback(process.join)
        end.callback(os.close, writing)
        yield process, end.close


@contextlib.contextmanager
def _all_below(number: int) -> Iterator[None]:
    """Have all descriptors below a number taken."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken: list[int] = []
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, number + 100), hard))
        while not taken or taken[-1] < number - 1:
            taken.append(os.open(os.devnull, os.O_RDONLY))
        yield
    finally:
        for fd in taken:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize(
    ("target", "arguments", "code"),
    [
        (time.monotonic, (), 0),
        (sys.exit, (), 0),
        (sys.exit, (0,), 0),
        (sys.exit, (3,), 3),
        (sys.exit, (259,), 3),
        (sys.exit, ("text",), 1),
        (os._exit, (5,), 5),
        (signal.raise_signal, (signal.SIGKILL,), -signal.SIGKILL),
    ],
)
def test_the_exit_code_tells_how_it_ended(
    target: Callable[..., None], arguments: tuple[object, ...], code: int
) -> None:
    """A function that returns ends its process with 0, others with what they said, or the signal."""
    process = ForkedProcess(target, arguments, "child")
    process.join()
    assert process.exitcode == code
    assert not process.is_alive()


def test_an_exception_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    """A function that raises ends its process with 1, and the traceback goes to standard error."""
    process = ForkedProcess(_raise, (), "child")
    process.join()
    assert process.exitcode == 1
    out, error = capfd.readouterr()
    assert out == ""
    assert error.startswith("Traceback") and error.endswith("LookupError: nothing found\n")


def test_output_comes_once(capfd: pytest.CaptureFixture[str]) -> None:
    """What was printed before the fork is printed once, and what the child prints is not lost."""
    sys.stdout.write("before ")
    ForkedProcess(sys.stdout.write, ("child ",), "child").join()  # type: ignore[arg-type]
    sys.stdout.write("after")
    assert capfd.readouterr().out == "before child after"


def test_it_lives_until_it_ends(waiting: tuple[ForkedProcess, Callable[[], None]]) -> None:
    """A process is alive while it runs, and its exit code is known once it has ended."""
    process, end = waiting
    assert process.is_alive() and process.exitcode is None
    assert str(process) == f"waiting (pid {process.pid})"
    end()
    assert not process.is_alive() and process.exitcode == 0


def test_a_join_with_a_timeout_comes_back(waiting: tuple[ForkedProcess, Callable[[], None]]) -> None:
    """A join returns after its timeout while the process goes on, and can be repeated."""
    process, end = waiting
    for timeout in (0, 0.001):
        process.join(timeout)
        assert process.is_alive() and process.exitcode is None
    end()
    process.join(0)
    assert process.exitcode == 0


def test_a_process_that_somebody_else_collected_is_gone() -> None:
    """Whoever else has waited for a process keeps its exit code: here it counts as gone."""
    process = ForkedProcess(time.monotonic, (), "child")
    os.waitpid(process.pid, 0)
    assert not process.is_alive()
    process.join()
    assert process.exitcode == -1


def test_a_process_can_be_joined_with_many_descriptors_open(
    waiting: tuple[ForkedProcess, Callable[[], None]],
) -> None:
    """A parent that has more than 1,024 descriptors open can wait for a child."""
    process, _ = waiting
    with _all_below(1024):
        process.join(0)
    assert process.is_alive()
