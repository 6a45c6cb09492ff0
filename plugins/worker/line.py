"""A worker's requests to its plugin actor, from any thread."""

from __future__ import annotations

from _queue import SimpleQueue

from .protocol import MAX_REQUESTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .inbox import Inbox
    from .outbox import Outbox
    from .protocol import Message


class Line:
    """Asks over the worker's socket; who asks waits while ``MAX_REQUESTS`` are under way, of whatever kind."""

    def __init__(self, inbox: Inbox, outbox: Outbox) -> None:
        self._inbox = inbox
        self._outbox = outbox
        # Not of threading, which takes the thread that loads it for the main thread.
        self._slots: SimpleQueue[None] = SimpleQueue()
        for _ in range(MAX_REQUESTS):
            self._slots.put(None)

    def ask(self, kind: int, *fields: Any) -> tuple[Message, int]:
        """Return the answer, and the descriptor that came with it."""
        self._slots.get()
        try:
            return self._answer(kind, fields)
        finally:
            self._slots.put(None)

    def _answer(self, kind: int, fields: tuple[Any, ...]) -> tuple[Message, int]:
        request_id = self._inbox.expect()
        try:
            self._outbox.request([kind, request_id, *fields])
            return self._inbox.reply(request_id)
        except BaseException:
            self._inbox.forget(request_id)
            raise
