"""``EventStream``: the answer that never ends, with all that a browser is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.types import Receive, Scope, Send

from .browsers import Browser

SEND_S = 30.0
"""How long a browser may take to read what it was sent; one that has stopped reading gives its place to others."""


class EventStream:
    """Sends ``first`` and then what is put into ``browser``, until either end has gone; then calls ``on_end``."""

    def __init__(self, browser: Browser, first: bytes, on_end: Callable[[Browser], None]) -> None:
        self._browser = browser
        self._first = first
        self._on_end = on_end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        gone = asyncio.ensure_future(_until_gone(receive, self._browser))
        try:
            headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            data = b"retry: 1000\n\n" + self._first
            while data:
                async with asyncio.timeout(SEND_S):
                    await send({"type": "http.response.body", "body": data, "more_body": True})
                data = await self._browser.take()
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError:
            # The response is cut off, and the server closes the connection.
            pass
        finally:
            gone.cancel()
            self._on_end(self._browser)


async def _until_gone(receive: Receive, browser: Browser) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    browser.close()
