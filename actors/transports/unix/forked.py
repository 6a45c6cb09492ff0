"""Starting processes; where they are forked, with only as much of ``multiprocessing.Process`` as Thespian asks for.

The page of every object that a forked process looks at has to be copied. multiprocessing looks at many before the
first line of ours runs: 100 actors take a third longer with it.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import select
import sys
import threading
import traceback
from collections.abc import Callable
from multiprocessing import util
from typing import Any


class ForkedProcess:
    """A child process that runs one function and ends."""

    def __init__(self, target: Callable[..., None], args: tuple[Any, ...], name: str) -> None:
        self.name = name
        self.exitcode: int | None = None
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(AttributeError, ValueError, OSError):
                stream.flush()
        self.pid = os.fork()
        if self.pid == 0:
            _run(target, args)

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid})"

    def is_alive(self) -> bool:
        """Whether it has not ended, as far as its parent can tell."""
        if self.exitcode is None:
            self._reap()
        return self.exitcode is None

    def join(self, timeout: float | None = None) -> None:
        """Wait until it has ended, for at most ``timeout`` seconds."""
        if self.is_alive():
            with contextlib.suppress(ProcessLookupError):
                ended = os.pidfd_open(self.pid)
                waiting = select.poll()
                waiting.register(ended, select.POLLIN)
                waiting.poll(None if timeout is None else timeout * 1000)
                os.close(ended)
            self._reap()

    def _reap(self) -> None:
        try:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            # Somebody else has collected it.
            self.exitcode = -1
            return
        if pid:
            self.exitcode = os.waitstatus_to_exitcode(status)


def start_process(context: Any, target: Any, arguments: tuple[Any, ...], name: str) -> Any:
    """Start a process that is not killed or waited for when this one ends."""
    # A daemon in multiprocessing's sense may have no children. Thespian does the same.
    multiprocessing.process.current_process()._config["daemon"] = False  # type: ignore[attr-defined]
    process = (context or multiprocessing).Process(target=target, args=arguments, name=name)
    process.start()
    with contextlib.suppress(KeyError):
        multiprocessing.process._children.remove(process)  # type: ignore[attr-defined]
    return process


def _run(target: Callable[..., None], args: tuple[Any, ...]) -> None:
    """Be the child; never returns."""
    code = 1
    try:
        if util._afterfork_registry:  # type: ignore[attr-defined]  # queues and locks of multiprocessing, if any
            util._run_after_forkers()  # type: ignore[attr-defined]
        target(*args)
        code = 0
        threading._shutdown()  # type: ignore[attr-defined]  # waits for threads, as the interpreter's own end does
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        os._exit(code & 0xFF)
