"""How the messages of a session go out: one thread at a time, so that what was queued first arrives first."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ._thespian import Address
from .endpoint import Endpoint
from .feed import Feed
from .gathering import Gathering
from .traffic import Traffic

_log = logging.getLogger("nyx_plugins.session")


class Sending:
    """Sends what is in the outbox on a thread of its own; on a synchronous endpoint there is none.

    ``lock`` is the session's; ``fail`` ends it for a reason.
    """

    def __init__(self, endpoint: Endpoint, traffic: Traffic, lock: threading.Lock, fail: Callable[[str], None]) -> None:
        self._endpoint = endpoint
        self._traffic = traffic
        self._lock = lock
        self._fail = fail
        self._bell = threading.Lock()
        """Opens when the thread is to look; who rings has the session's lock."""
        self._turn = threading.RLock()
        self._gathering = Gathering()
        self.is_due = False
        """Whether there may be something to send, of which the thread has been told."""
        self._feeds: list[Feed] = []
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread, where there is to be one."""
        if not self._endpoint.synchronous:
            self._thread = threading.Thread(target=self._run, name="nyx-plugins-send", daemon=True)
            self._thread.start()

    def join(self, timeout: float) -> None:
        """Wait for the end of the thread, which comes when the session has ended."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout)

    @contextmanager
    def fed_by(self, feed: Feed) -> Iterator[None]:
        """Meanwhile, send what is there of this as well."""
        with self._lock:
            self._feeds.append(feed)
        try:
            yield
        finally:
            with self._lock:
                self._feeds.remove(feed)

    def flow(self) -> None:
        """Let in what is there of feeds, before anything that comes after it; the lock is held."""
        for feed in self._feeds:
            feed.flow()

    def kick(self) -> None:
        """Send what is queued, on a synchronous endpoint; else let the thread do it."""
        if self._endpoint.synchronous:
            # One thread at a time: what was taken first has to arrive first.
            with self._turn:
                while self._traffic.stopped is None and (work := self._take()) is not None:
                    self._endpoint.send(*work)
        else:
            with self._lock:
                self.tell()

    def tell(self) -> None:
        """There may be something to send; the lock is held."""
        if not self.is_due:
            self.is_due = True
            self._ring()

    def end(self) -> None:
        """The session has ended; the lock is held."""
        self._ring()

    def _ring(self) -> None:
        if self._bell.locked():
            self._bell.release()

    def _run(self) -> None:
        try:
            self._loop()
        except Exception as error:
            # Whoever waits for an answer must hear of it: nothing is sent any more.
            _log.exception("the thread that sends to the system has failed")
            self._fail(f"internal error: {error!r}")

    def _loop(self) -> None:
        while self._is_told():
            with self._lock:
                self.flow()
                hold_s = self._hold_s()
                work = None if hold_s else self._next()
            if hold_s:
                time.sleep(hold_s)
                work = self._take()
            if work is not None:
                self._send(*work)
                self._gathering.sent(time.monotonic())

    def _is_told(self) -> bool:
        """Wait until there may be something to send; false once there is nothing, and the session has ended."""
        while not self.is_due:
            if self._traffic.stopped is not None:
                return False
            self._bell.acquire()
        return True

    def _hold_s(self) -> float:
        outbox = self._traffic.outbox
        frames = outbox.loose_frames
        return self._gathering.wait_s(time.monotonic(), frames, outbox.is_flow) if frames else 0.0

    def _send(self, target: Address, message: Any) -> None:
        try:
            self._endpoint.send(target, message)
        except Exception as error:
            _log.exception("a message to the system could not be sent")
            self._fail(f"internal error: {error!r}")

    def _take(self) -> tuple[Address, Any] | None:
        with self._lock:
            return self._next()

    def _next(self) -> tuple[Address, Any] | None:
        # First: whoever adds to a feed looks at it afterwards, without the lock.
        self.is_due = False
        self.flow()
        outbox = self._traffic.outbox
        work = outbox.next()
        self.is_due = work is not None and not outbox.is_empty
        return work
