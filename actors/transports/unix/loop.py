"""The loop of a process: hands messages, wakeups and signals to the actor, one after the other."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from thespian.actors import ActorAddress, ActorExitRequest, WatchMessage
from thespian.system.messages.multiproc import ChildMayHaveDied, EndpointConnected
from thespian.system.timing import timePeriodSeconds
from thespian.system.transport import (
    ReceiveEnvelope,
    SendStatus,
    Thespian__Run_Expired,
    Thespian__Run_HandlerResult,
    Thespian__Run_Terminated,
    TransmitOnly,
)
from thespian.system.utilis import thesplog

from . import short
from .envelope import Envelope
from .links import Links
from .wakeups import Wakeups

# After this many messages it is looked what else has happened.
_TURN = 64
# How long an ending process goes on writing, in seconds; Thespian's own limit for the same.
_DRAIN_S = 7.0


class MessageLoop:
    """One at a time, whatever the number of threads; the others may interrupt it."""

    def __init__(self, links: Links, address: ActorAddress, dead_letter: Callable[[ActorAddress, Any], None]) -> None:
        self.wakeups = Wakeups()
        self.unborn: dict[int, ActorAddress] = {}
        """The addresses of children that were forked and are not up yet, by their parent's numbers for them."""
        self.farewell: Any = ActorExitRequest(recursive=True)
        """What this process is told when its admin is gone."""
        self._links = links
        self._address = address
        self._dead_letter = dead_letter
        self._thread: int | None = None
        self._aborting: bool | None = None
        self._drain_until: float | None = None
        self._is_reporting = False
        self._check_children = self._shut_down = self._is_watching = False

    @property
    def runs_elsewhere(self) -> bool:
        """Whether another thread than the present one is in it."""
        return self._thread not in (None, threading.get_ident())

    # From outside.

    def interrupt(self, shut_down: bool, check_children: bool) -> None:
        """A signal has come: end a wait, and hand out what it means."""
        self._shut_down |= shut_down
        self._check_children |= check_children
        self._links.wake()

    def abort(self, drain: bool) -> None:
        """End the run that is under way, with ``drain`` as soon as everything is written."""
        self._aborting = drain
        if drain and self._drain_until is None:
            self._drain_until = time.monotonic() + _DRAIN_S
        self._links.wake()

    def watch(self, fds: list[int]) -> None:
        """Hand out a WatchMessage as soon as one of these can be read."""
        if fds or self._is_watching:
            self._is_watching = bool(fds)
            self._links.watch(fds)

    def watch_again(self) -> None:
        """Hand out a WatchMessage as soon as one of the same can be read."""
        if self._is_watching:
            self._links.watch_again()

    def to_self(self, message: Any) -> None:
        """Hand out a message of this process to itself, in its turn."""
        self._links.incoming.append((None, Envelope(self._address, message)))

    def report(self) -> None:
        """Tell senders what became of their messages, unless another thread's handlers are at work.

        Between two runs a failure waits for the next: it may be what ends a wait that has not begun.
        """
        fates = self._links.fates
        if self._is_reporting or not (fates.written or fates.failed or fates.lost):
            # What is told here may make somebody send, which comes back here: one after the other.
            return
        self._is_reporting = True
        try:
            self._report()
        except IndexError:
            # Of two threads between runs, one was faster.
            pass
        finally:
            self._is_reporting = False

    def _report(self) -> None:
        links = self._links
        while links.fates.written and not self.runs_elsewhere:
            links.fates.written.popleft().tx_done(SendStatus.Sent)
        while links.fates.failed and self._thread == threading.get_ident():
            intent, status = links.fates.failed.popleft()
            intent.tx_done(status)
        while links.fates.lost and not self.runs_elsewhere:
            self._dead_letter(*links.fates.lost.popleft())

    def run(self, handler: Any, duration: Any = None) -> Any:
        """Hand messages to ``handler`` until it, the time or :meth:`abort` says to end.

        Thespian's conventions: without a handler the first message is the result; with the class TransmitOnly as the
        handler nothing is handed out, and the result is 0 once everything is written.
        """
        deadline = None if duration is None else time.monotonic() + max(0.0, timePeriodSeconds(duration))
        before, self._thread = self._thread, threading.get_ident()
        self._aborting = None
        try:
            if handler is TransmitOnly or isinstance(handler, TransmitOnly):
                return self._run_until_written(deadline)
            return self._run(handler, deadline)
        finally:
            self._thread = before

    def _run(self, handler: Callable[[Any], Any] | None, deadline: float | None) -> Any:
        has_polled = False
        while True:
            self.report()
            if self._aborting is not None:
                if not self._is_draining():
                    return Thespian__Run_Terminated()
            else:
                result = self._hand_out(handler)
                if result is not None:
                    return result
                if self._aborting is not None:
                    continue
            if deadline is not None and has_polled and time.monotonic() >= deadline:
                return Thespian__Run_Expired()
            self._poll(deadline)
            has_polled = True

    def _run_until_written(self, deadline: float | None) -> Any:
        while True:
            self.report()
            if self._aborting is not None:
                return Thespian__Run_Terminated()
            if not self._links.has_unsent() or self._is_past_draining():
                return 0
            if deadline is not None and time.monotonic() >= deadline:
                return Thespian__Run_Expired()
            self._links.poll(_left(deadline))

    def _is_draining(self) -> bool:
        return bool(self._aborting) and self._links.has_unsent() and not self._is_past_draining()

    def _is_past_draining(self) -> bool:
        return self._drain_until is not None and time.monotonic() >= self._drain_until

    def _hand_out(self, handler: Callable[[Any], Any] | None) -> Any:
        """Hand out what there is, but not for ever; returns what ends the run, or ``None``."""
        for _ in range(_TURN):
            envelope = self._next_envelope()
            if envelope is None:
                return None
            if handler is None:
                return envelope
            result = handler(envelope)
            if not result:
                return Thespian__Run_HandlerResult(result)
            if self._aborting is not None:
                return None
            self.report()
        return None

    def _next_envelope(self) -> ReceiveEnvelope | None:
        due = self.wakeups.next_due()
        if due is not None and due <= (now := time.monotonic()):
            wakeup = self.wakeups.pop_due(now)
            if wakeup is not None:
                return Envelope(self._address, wakeup)
        links = self._links
        while links.incoming and (item := links.next_item()) is not None:
            connection, content = item
            if connection is None:
                return content
            try:
                return Envelope(connection.address, short.loads(content))
            except Exception as error:
                self._unreadable(connection.address, error)
                self._dead_letter(self._address, bytes(content))
        return None

    def _unreadable(self, sender: ActorAddress, error: Exception) -> None:
        self._links.count("unreadable")
        text = f"{type(error).__name__}: {error}"
        thesplog("%s can't read a message of %s: %s", self._address, sender, text, level=logging.ERROR)

    def _poll(self, deadline: float | None) -> None:
        """Wait for something to hand out; what signals and watches ask for comes behind what was there before."""
        links = self._links
        if self._aborting is None and (links.incoming or self._check_children or self._shut_down):
            links.poll(0.0)
        else:
            until = self._drain_until if self._aborting else self.wakeups.next_due()
            links.poll(_left(min((each for each in (deadline, until) if each is not None), default=None)))
        if self._check_children:
            self._check_children = False
            self.to_self(ChildMayHaveDied())
        if self._shut_down:
            self._shut_down = False
            self.to_self(ActorExitRequest())
        if links.is_orphaned:
            links.is_orphaned = False
            # Before all else: whatever others say from now on, they say because of the same.
            links.incoming.appendleft((None, Envelope(self._address, self.farewell)))
        if links.born:
            numbers, links.born = links.born, []
            for number in numbers:
                child = self.unborn.pop(number, None)
                if child is not None:
                    links.incoming.append((None, Envelope(child, EndpointConnected(number))))
        if links.ready_watches:
            ready, links.ready_watches = links.ready_watches, []
            self.to_self(WatchMessage(ready))


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())
