"""``Protocol``: HTTP as uvicorn speaks it, with a deadline for requests and a bound for connections."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import h11
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol

from .. import places
from ..places import Places

HEADERS = {"X-Content-Type-Options": "nosniff", "Connection": "close"}
_OPEN = frozenset({h11.IDLE, h11.SEND_RESPONSE})
"""The states in which an answer may begin."""

_log = logging.getLogger("nyx_plugins.service.dashboard")
# What strangers send is no news, and they could fill the log with it. Errors are ours.
_log.addFilter(lambda record: record.levelno >= logging.ERROR)


class Protocol(H11Protocol):
    """One connection. Until its request is complete, its place is lent."""

    def __init__(self, room: Places[Protocol], *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._room = room
        self._inner = self.app
        self._deadline: asyncio.TimerHandle | None = None
        self.app = self._answer
        self.logger = _log

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Take a place, if need be that of the connection which has held one for nothing the longest."""
        super().connection_made(transport)
        oldest = self._room.enter(self)
        if oldest is not None:
            oldest.transport.abort()
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        self._room.leave(self)
        self._expect_no_more()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Take what has come; the place is kept once that is a whole request."""
        super().handle_events()
        if self._is_asked:
            self._room.answer(self)

    def on_response_complete(self) -> None:
        """Wait for the next request, for no longer than for the first."""
        self._room.wait(self)
        self._expect()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Say in one sentence that this is no request."""
        self._refuse(400, "This is no HTTP request, or its headers are too long.")

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = _full if self._room.overfull else self._inner
        await app(scope, receive, send)

    @property
    def _is_asked(self) -> bool:
        return self.cycle is not None and not self.cycle.more_body and not self.cycle.response_complete

    def _expect(self) -> None:
        self._expect_no_more()
        self._deadline = self.loop.call_later(places.REQUEST_S, self._end_if_late)

    def _expect_no_more(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()

    def _end_if_late(self) -> None:
        if not self._is_asked:
            self._refuse(408, f"The request was not complete within {places.REQUEST_S:g} s.")

    def _refuse(self, status: int, text: str) -> None:
        """Answer, unless an answer was begun or the connection has failed, and hang up."""
        if not self.transport.is_closing() and self.conn.our_state in _OPEN:
            body = f"{text}\n".encode()
            fields = {**HEADERS, "Content-Type": "text/plain; charset=utf-8", "Content-Length": str(len(body))}
            headers = [(name.lower().encode(), value.encode()) for name, value in fields.items()]
            head = h11.Response(status_code=status, headers=headers, reason=STATUS_PHRASES[status])
            for event in (head, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


async def _full(scope: Scope, receive: Receive, send: Send) -> None:
    """The answer to one request too many."""
    text = "All places are taken: try again, or close a page.\n"
    await PlainTextResponse(text, 503, HEADERS)(scope, receive, send)
