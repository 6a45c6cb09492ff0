"""A plugin actor's broker: takes its worker's requests for connections and files, and answers each exactly once."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from functools import partial
from typing import Protocol

import attrs

from ..plugins.policy import Policy
from ..plugins.worker.answers import Connect, Request
from ..plugins.worker.outside import Refusal
from ..plugins.worker.protocol import BY_POLICY, BY_SYSTEM, MAX_REQUESTS, ProtocolError
from .crew import Crew
from .outside import Resolve, fulfil, resolve_here, timeout_s

THREADS = 4
# A job that keeps its time says more than that it did not.
_GRACE_S = 0.25


class Asker(Protocol):
    """Whose requests these are: a worker's link."""

    @property
    def answers_waiting(self) -> int:
        """How many answers its socket has not taken yet."""

    def answer(self, request_id: int, answer: int | Refusal) -> None:
        """Hand over a descriptor, which it will close, or a refusal."""


class Owner(Protocol):
    """What a broker needs of its actor."""

    def watch(self, fd: int, watcher: Callable[[int], None]) -> None:
        """Call ``watcher`` whenever ``fd`` is readable."""

    def unwatch(self, fd: int) -> None:
        """Stop that."""

    def alarm(self, name: object, after_s: float) -> None:
        """Call :meth:`Broker.expire` after so many seconds when ``name`` is ``"broker"``."""

    def worker_denied(self, what: str) -> None:
        """Take note of what the policy has denied."""


@attrs.frozen
class _UnderWay:
    request: Request
    asker: Asker
    deadline: float


class Broker:
    """Serves all workers of one plugin; its threads are started by the first request.

    A resolver that hangs holds up ``THREADS`` requests at most; whatever is not done in time is answered as timed
    out, and what comes of it later is closed.
    """

    def __init__(self, owner: Owner, resolve: Resolve = resolve_here) -> None:
        self._owner = owner
        self._resolve = resolve
        self._crew: Crew[int | Refusal] | None = None
        self._under_way: dict[int, _UnderWay] = {}
        self._count = 0

    def under_way(self, asker: Asker) -> int:
        """How many requests of one worker are not answered."""
        return sum(1 for item in self._under_way.values() if item.asker is asker)

    def take(self, request: Request, asker: Asker, policy: Policy) -> None:
        """Begin with a request under ``policy``. Raises :class:`ProtocolError` for what no honest worker asks."""
        ids = [other.request.request_id for other in self._under_way.values() if other.asker is asker]
        if len(ids) + asker.answers_waiting >= MAX_REQUESTS:
            raise ProtocolError(f"more than {MAX_REQUESTS} requests are not answered")
        if request.request_id in ids:
            raise ProtocolError(f"request {request.request_id} is not answered, and made again")
        deadline = time.monotonic() + timeout_s(request)
        self._count += 1
        self._under_way[self._count] = _UnderWay(request, asker, deadline)
        self._started_crew().submit(self._count, partial(fulfil, policy, request, deadline, self._resolve))
        self._set_alarm()

    def expire(self) -> None:
        """Answer what is not done in time."""
        now = time.monotonic()
        for key, item in list(self._under_way.items()):
            if item.deadline + _GRACE_S <= now:
                self._withdraw(key)
                item.asker.answer(item.request.request_id, _timed_out())
        self._set_alarm()

    def forget(self, asker: Asker) -> None:
        """The worker is gone: what is under way for it is given up."""
        for key, item in list(self._under_way.items()):
            if item.asker is asker:
                self._withdraw(key)

    def close(self) -> None:
        """Give up everything, and let the threads end. Idempotent."""
        for key in list(self._under_way):
            self._withdraw(key)
        if self._crew is not None:
            self._owner.unwatch(self._crew.fd)
            self._crew.close()
            self._crew = None

    def _started_crew(self) -> Crew[int | Refusal]:
        if self._crew is None:
            self._crew = Crew(THREADS, _release)
            self._owner.watch(self._crew.fd, self._answer)
        return self._crew

    def _answer(self, events: int) -> None:
        for key, result in self._crew.results() if self._crew is not None else ():
            item = self._under_way.pop(key, None)
            if item is None:
                _release(result)
                continue
            item.asker.answer(item.request.request_id, result)
            if isinstance(result, Refusal) and result.cause == BY_POLICY:
                self._owner.worker_denied(denial(item.request, result))

    def _withdraw(self, key: int) -> None:
        del self._under_way[key]
        if self._crew is not None:
            self._crew.withdraw(key)

    def _set_alarm(self) -> None:
        if self._under_way:
            first = min(item.deadline for item in self._under_way.values())
            self._owner.alarm("broker", first + _GRACE_S - time.monotonic())


def denial(request: Request, refusal: Refusal) -> str:
    """What was denied to a plugin, and why, in words."""
    if isinstance(request, Connect):
        return f"connection: {refusal.text}"
    return f"file: {refusal.text}"


def _timed_out() -> Refusal:
    return Refusal(BY_SYSTEM, errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))


def _release(result: int | Refusal) -> None:
    if isinstance(result, int):
        os.close(result)
