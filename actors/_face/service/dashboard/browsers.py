"""Who looks at the dashboard: a bounded queue for each browser, so that a slow one holds up nobody."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from typing import Any

MAX_BROWSERS = 16
QUEUED_EVENTS = 200
HEARTBEAT_S = 15.0
"""How long a stream is silent at most; whoever has gone away is noticed by then."""


def message(kind: str, value: Any) -> bytes:
    """One server-sent event; JSON never contains a line end, so that a value can't forge another event."""
    return f"event: {kind}\ndata: {json.dumps(value, allow_nan=False, separators=(',', ':'))}\n\n".encode()


class Browser:
    """What one browser has not been sent yet: the newest snapshot alone, and so many events, the oldest dropped."""

    def __init__(self) -> None:
        self._snapshot = b""
        self._events: deque[bytes] = deque()
        self._dropped = 0
        self._closed = False
        self._changed = asyncio.Event()

    def put(self, kind: str, data: bytes) -> None:
        """Queue a message."""
        if kind == "snapshot":
            self._snapshot = data
        else:
            self._events.append(data)
            if len(self._events) > QUEUED_EVENTS:
                self._events.popleft()
                self._dropped += 1
        self._changed.set()

    def close(self) -> None:
        """End the stream, after what is queued."""
        self._closed = True
        self._changed.set()

    async def take(self) -> bytes:
        """All that is queued, as soon as there is something; a comment from time to time; nothing at the end."""
        if not self._changed.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), HEARTBEAT_S)
        lost = message("dropped", self._dropped) if self._dropped else b""
        data = lost + b"".join(self._events) + self._snapshot
        self._snapshot, self._dropped = b"", 0
        self._events.clear()
        if not self._closed:
            self._changed.clear()
        return data or (b"" if self._closed else b": still here\n\n")


class Browsers:
    """All that look at the moment. To be used in the server's event loop, apart from :meth:`publish`."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._all: set[Browser] = set()
        self._closed = False

    def __len__(self) -> int:
        return len(self._all)

    def run_in(self, loop: asyncio.AbstractEventLoop) -> None:
        """From now on this is the event loop."""
        self._loop = loop

    def join(self) -> Browser | None:
        """One more, or ``None`` when there are too many already."""
        if self._closed or len(self._all) >= MAX_BROWSERS:
            return None
        browser = Browser()
        self._all.add(browser)
        return browser

    def leave(self, browser: Browser) -> None:
        """One less."""
        self._all.discard(browser)

    def publish(self, kind: str, value: Any) -> None:
        """Send to all; for any thread. Nobody gets it after the end."""
        self._call(self._put, kind, message(kind, value))

    def close(self) -> None:
        """End all streams, after what is queued; for any thread."""
        self._call(self._close)

    def _call(self, function: Any, *arguments: Any) -> None:
        with contextlib.suppress(RuntimeError):
            # The loop may have ended meanwhile.
            if self._loop is not None:
                self._loop.call_soon_threadsafe(function, *arguments)

    def _put(self, kind: str, data: bytes) -> None:
        for browser in self._all:
            browser.put(kind, data)

    def _close(self) -> None:
        self._closed = True
        for browser in self._all:
            browser.close()
