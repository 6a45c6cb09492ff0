"""Questions of a session that have no answer yet. Pure and not thread-safe: the session holds the lock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import messages as m
from .pending import Pending


class Inquiry(Pending[Any]):
    """One question; done when the answer is there, and the routes that it speaks of."""

    __slots__ = ("number", "repeat", "what")

    def __init__(self, number: int, what: str) -> None:
        super().__init__()
        self.number = number
        self.what = what
        self.repeat: Callable[[], None] | None = None
        """How to ask the same again; ``None`` where it must not be asked twice."""


class Inquiries:
    """All questions of one session, by number."""

    def __init__(self) -> None:
        self._open: dict[int, Inquiry] = {}
        self._early: list[m.Reply] = []
        self._last = 0

    def __len__(self) -> int:
        return len(self._open)

    def new(self, what: str) -> Inquiry:
        """Open one with a number of its own; ``what`` is what errors call it."""
        self._last += 1
        inquiry = self._open[self._last] = Inquiry(self._last, what)
        return inquiry

    def answer(self, reply: m.Reply, version: int) -> None:
        """Take a reply, as soon as the routes are at its version; they are at ``version`` now."""
        if reply.request_id not in self._open:
            return
        if reply.version > version:
            self._early.append(reply)
            return
        inquiry = self._open.pop(reply.request_id)
        if reply.error is None:
            inquiry.succeed(reply.value)
        else:
            inquiry.fail(reply.error)

    def routes_at(self, version: int) -> None:
        """Take the replies that have waited for these routes."""
        if self._early:
            early, self._early = self._early, []
            for reply in early:
                self.answer(reply, version)

    def repeat(self) -> None:
        """An actor that may have lost questions, or answers, has been started again: ask again what may be."""
        for inquiry in self._open.values():
            if inquiry.repeat is not None:
                inquiry.repeat()

    def forget(self, inquiry: Inquiry) -> None:
        """Nobody waits for this answer any more. Idempotent."""
        self._open.pop(inquiry.number, None)

    def fail(self, error: BaseException) -> None:
        """There will be no answers."""
        for inquiry in self._open.values():
            inquiry.fail(error)
        self._open.clear()
        self._early.clear()
