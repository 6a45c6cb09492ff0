"""A thread of its own for the few things that block: starting and closing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def aside(work: Callable[[], T], name: str) -> Future[T]:
    """Run ``work`` in a new thread, which a program waits for before it ends; what it raises is in the future."""
    future: Future[T] = Future()
    # From here on nobody can cancel it: what is begun is brought to its end.
    future.set_running_or_notify_cancel()
    threading.Thread(target=_run, args=(work, future), name=name).start()
    return future


def _run(work: Callable[[], T], future: Future[T]) -> None:
    try:
        result = work()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(result)
