"""A session: one program's end of the system. It checks, spends credit, coalesces, and matches answers to receipts.

Any number of threads may use it. What they hand in while a message is under way travels in the next one. What has to be
waited for is a :class:`Pending`: threads wait for it, an event loop is told.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import attrs

from ..plugins.errors import DispatchTimeout, SystemStopped
from ..plugins.worker.jail.level import Enforcement
from . import messages as m
from ._thespian import Address
from .drains import Drains
from .endpoint import Endpoint
from .events import ALL_STREAMS
from .feed import Feed
from .frame_rules import FrameRules
from .inquiries import Inquiries, Inquiry
from .lineage import Origin, OwnCondition
from .log_lines import write_plugin_lines
from .pending import Pending
from .questions import Ask
from .receipt import Receipt
from .sending import Sending
from .series import Go, Piece, Sendable, Series, goes
from .subscription import Subscription
from .traffic import Traffic
from .waiting import Waiter

T = TypeVar("T")

_log = logging.getLogger("nyx_plugins.session")
# What a plugin logs is the application's to show: without a word from it, nothing goes to standard error.
logging.getLogger("nyx_plugins").addHandler(logging.NullHandler())


class Session:
    """The client's end. Close it when done; everything pending then fails with :class:`SystemStopped`."""

    def __init__(self, endpoint: Endpoint, rules: FrameRules) -> None:
        self.id = secrets.randbits(63) | 1
        self._origin = Origin()
        self._endpoint = endpoint
        self._lock = threading.Lock()
        self._changed = OwnCondition(self._lock)
        self._traffic = Traffic(self.id, rules, self._changed, endpoint.supervisor)
        self._outbox = self._traffic.outbox
        self._directory: m.Attached | None = None
        self._inquiries = Inquiries()
        self._drains = Drains(self._traffic)
        self._sending = Sending(endpoint, self._traffic, self._lock, self.fail)
        self._after_news: Callable[[], None] = lambda: None
        self._subscriptions: list[Subscription] = []

    # Life.

    def attach(self, timeout: float, streams: Iterable[str] = ALL_STREAMS, sends: bool = True) -> None:
        """Introduce this session and wait for the routes; raises :class:`DispatchTimeout`.

        ``streams`` is what it wants to be told: events, emitted frames and log lines; ``sends``, whether it is to have
        room in mailboxes before it asks for some.
        """
        self._endpoint.start(self._on_message, self.fail)
        self._sending.start()
        attach = m.Attach(0, self._endpoint.address, self.id, os.getpid(), tuple(streams), sends)
        with self._lock:
            self._outbox.command(self._endpoint.supervisor, attach)
        self._sending.kick()
        with self._changed:
            ready = self._wait_for(lambda: self._directory is not None and self._traffic.version >= 0, timeout)
        if not ready:
            raise DispatchTimeout(None, "an answer of the system", timeout)

    @property
    def enforcement(self) -> Enforcement:
        """How well plugins are confined."""
        assert self._directory is not None
        return self._directory.enforcement

    def fail(self, reason: str) -> None:
        """End everything pending with :class:`SystemStopped`. Idempotent; the first reason stands."""
        with self._changed:
            if self.stopped is not None:
                return
            stopped = SystemStopped(reason)
            self._traffic.stop(stopped)
            self._inquiries.fail(stopped)
            self._drains.settle()
            self._changed.notify_all()
            self._sending.end()
        for subscription in list(self._subscriptions):
            subscription.close()
        self._after_news()

    def close(self, reason: str = "it was closed") -> None:
        """Say goodbye, fail what is pending and release the endpoint. Idempotent."""
        with self._lock:
            if self.stopped is None:
                self._sending.flow()
                self._traffic.let_go()
                self._outbox.gather()
                self._outbox.command(self._endpoint.supervisor, m.Detach(self.id))
        self._sending.kick()
        self.fail(reason)
        self._sending.join(5.0)
        self._endpoint.close()

    @property
    def synchronous(self) -> bool:
        """Whether the actors run on the caller's thread."""
        return self._endpoint.synchronous

    @property
    def stopped(self) -> SystemStopped | None:
        """Why nothing works any more, or ``None``."""
        return self._origin.elsewhere or self._traffic.stopped

    # Frames.

    def offer(self, frame_type: int, header: bytes, extra: m.Extra | None = None) -> Receipt:
        """Check a frame, spend a credit, and queue it; never waits. Raises what refuses it."""
        self._origin.check()
        try:
            with self._lock:
                self._sending.flow()
                return self._traffic.offer(frame_type, header, extra)
        finally:
            # A refusal is reported too. Who has been told already has yet to look at what was queued last.
            self._tell()

    def enter(
        self, frame_type: int, header: bytes, extra: m.Extra | None = None, is_awaited: bool = True
    ) -> Receipt | Waiter:
        """Queue a frame, or else let it wait for room behind those who do already. Raises what refuses it.

        It goes with the next :meth:`flush`. ``is_awaited``: its acceptance is waited for, and not its outcome alone.
        """
        self._origin.check()
        with self._lock:
            self._sending.flow()
            return self._traffic.enter(frame_type, header, extra, is_awaited)

    def offer_many(self, frames: Iterable[Sendable]) -> list[Piece]:
        """Offer frames one after the other; see :meth:`Traffic.offer_many`. :meth:`flush` has to follow."""
        self._origin.check()
        with self._lock:
            self._sending.flow()
            return self._traffic.offer_many(frames)

    def enter_many(self, frames: Iterable[Sendable]) -> list[Piece]:
        """Likewise, where those that find no room wait in line."""
        self._origin.check()
        with self._lock:
            self._sending.flow()
            return self._traffic.enter_many(frames)

    @contextmanager
    def series(
        self, frames: Iterable[Sendable], timeout: float | None, are_there: bool
    ) -> Iterator[tuple[Series, Iterator[Go]]]:
        """Yield what becomes of frames, and the goes in which to send them, each with a :meth:`flush` after it.

        ``timeout``: to wait for room, in line, at the end no longer; ``None``: not to. Those not ``are_there`` yet also
        go with others as they come, and none is asked for after ``timeout`` seconds.
        """
        wait = timeout is not None
        series = Series(self.enter_many if wait else self.offer_many)
        feed = Feed(series, self._traffic.enter_many if wait else self._traffic.offer_many, self._tell, timeout)
        with series.ending(self.give_up):
            if are_there:
                yield series, goes(frames)
            else:
                with self._sending.fed_by(feed):
                    yield series, feed.goes(frames)

    def _tell(self) -> None:
        if not self._sending.is_due:
            self._sending.kick()

    def offer_waiting(
        self,
        frame_type: int,
        header: bytes,
        deadline: float,
        timeout: float,
        extra: m.Extra | None = None,
        is_awaited: bool = True,
    ) -> Receipt:
        """Queue a frame, waiting for room until ``deadline`` (monotonic); raises :class:`DispatchTimeout` then."""
        try:
            entry = self.enter(frame_type, header, extra, is_awaited)
        finally:
            # A refusal is reported too.
            self._sending.kick()
        return entry if isinstance(entry, Receipt) else self.result(entry, deadline - time.monotonic(), timeout)

    def flush(self) -> None:
        """Send what is queued, on a synchronous endpoint; else let the sending thread do it."""
        self._sending.kick()

    def drain(self, timeout: float | None) -> None:
        """Wait until every frame of this session has its outcome; raises DispatchTimeout, or SystemStopped."""
        self.result(self.drained(), timeout, timeout or 0.0)

    def drained(self) -> Pending[None]:
        """Return what is done once every frame has its outcome, and fails if the system takes outcomes with it."""
        self._origin.check()
        with self._lock:
            self._sending.flow()
            return self._drains.add()

    # Questions.

    def ask(self, ask: Ask, timeout: float) -> Any:
        """Ask an actor and return the reply's value, waiting up to ``timeout`` seconds this time.

        Raises the reply's error, :class:`SystemStopped`, or :class:`DispatchTimeout` naming what was asked and for how
        long in all.
        """
        return self.result(self.post(ask), timeout, ask.timeout_s)

    def post(self, ask: Ask) -> Inquiry:
        """Ask an actor and return what will hold the answer."""
        self._origin.check()
        with self._lock:
            self._traffic.check()
            inquiry = self._inquiries.new(ask.what)
            if ask.may_repeat:
                repeated = ask.repeated(time.monotonic())
                inquiry.repeat = lambda: self._put(repeated, inquiry)
            self._put(ask, inquiry)
        self._sending.kick()
        return inquiry

    def _put(self, ask: Ask, inquiry: Inquiry) -> None:
        self._sending.flow()
        self._outbox.gather()
        self._outbox.command(self._role(ask.role), ask.question(inquiry.number, self._endpoint.address))

    def _role(self, role: str) -> Address:
        if role == "supervisor":
            return self._endpoint.supervisor
        assert self._directory is not None
        return self._directory.registry if role == "registry" else self._directory.dispatcher

    # Waiting.

    def result(self, pending: Pending[T], wait_s: float | None, timeout: float) -> T:
        """Wait up to ``wait_s`` seconds, and return or raise what came of it; the error speaks of ``timeout``."""
        try:
            pending.wait(wait_s)
            self.expire(pending, timeout)
            return pending.result()
        finally:
            self.give_up(pending)

    def expire(self, pending: Pending[Any], timeout: float) -> None:
        """Time is up: what is not done ends with :class:`DispatchTimeout`."""
        if pending.done:
            return
        with self._lock:
            if not pending.done:
                pending.fail(self._too_late(pending, timeout))
                self._forget(pending)
        self._sending.kick()
        self._after_news()

    def give_up(self, pending: Pending[Any]) -> None:
        """Wait for this no longer. Nothing happens to what is done."""
        if not pending.done:
            with self._lock:
                self._forget(pending)
            self._sending.kick()
            self._after_news()

    def after_news(self, call: Callable[[], None]) -> None:
        """Call this after each message, once all whom it concerns have been told. It must not wait."""
        self._after_news = call

    def _too_late(self, pending: Pending[Any], timeout: float) -> DispatchTimeout:
        match pending:
            case Waiter():
                return self._traffic.too_late(pending, timeout)
            case Inquiry():
                return DispatchTimeout(None, pending.what, timeout)
        busy = self._traffic.outstanding()
        return DispatchTimeout(None, f"outcomes of {sum(busy.values())} frames (by plugin: {busy})", timeout)

    def _forget(self, pending: Pending[Any]) -> None:
        match pending:
            case Waiter():
                self._traffic.leave(pending)
            case Inquiry():
                self._inquiries.forget(pending)
            case _:
                self._drains.forget(pending)

    # What is known here.

    def routes(self) -> dict[int, m.Route]:
        """Return the routes as last told by the dispatcher."""
        self._origin.check()
        with self._lock:
            return dict(self._traffic.routes)

    def subscribe(self, capacity: int) -> Subscription:
        """Return a queue of events and emitted frames; raises :class:`SystemStopped`."""
        self._origin.check()
        subscription = Subscription(capacity, self._unsubscribe)
        with self._lock:
            self._traffic.check()
            self._subscriptions = [*self._subscriptions, subscription]
        return subscription

    def _unsubscribe(self, subscription: Subscription) -> None:
        with self._lock:
            self._subscriptions = [other for other in self._subscriptions if other is not subscription]
        self._after_news()

    def _wait_for(self, ready: Callable[[], bool], timeout: float | None) -> bool:
        """Wait with the lock held; also returns when the session has failed."""
        self._changed.wait_for(lambda: ready() or self.stopped is not None, timeout)
        return ready()

    # Receiving.

    def _on_message(self, message: m.SessionMessage) -> None:
        try:
            self._take_in(message)
        except Exception as error:
            # Whoever waits here must hear of it: the thread that tells them must not end in silence.
            _log.exception("a message of the system could not be handled")
            self.fail(f"internal error: {error!r}")

    def _take_in(self, message: m.SessionMessage) -> None:
        if isinstance(message, m.SystemStopping):
            self.fail(message.reason)
        elif isinstance(message, m.Delivery):
            self._deliver(message)
        else:
            with self._changed:
                self._note(message)
                self._drains.settle()
                self._changed.notify_all()
                if not self._outbox.is_empty:
                    self._sending.tell()
            self._after_news()
            if self._endpoint.synchronous:
                # One of the actors may wait for what this has to say, below on the stack.
                self._sending.kick()

    def _note(self, message: m.SessionMessage) -> None:
        match message:
            case m.Reply():
                self._inquiries.answer(message, self._traffic.version)
            case m.Attached():
                self._directory = message
                self._traffic.join(message.dispatcher, message.dispatcher_epoch)
            case m.Introduce():
                self._introduced(message)
            case _:
                self._traffic.note(message)
                self._inquiries.routes_at(self._traffic.version)

    def _introduced(self, who: m.Introduce) -> None:
        """An essential actor has been started again, and is here from now on."""
        assert self._directory is not None
        if who.role == "dispatcher":
            self._directory = attrs.evolve(self._directory, dispatcher=who.address, dispatcher_epoch=who.epoch)
            self._traffic.rejoin(who.address, who.epoch)
        elif who.role == "registry":
            self._directory = attrs.evolve(self._directory, registry=who.address)
        self._inquiries.repeat()

    def _deliver(self, message: m.Delivery) -> None:
        if message.stream == "log":
            write_plugin_lines(message.plugin_id, message.plugin, message.items, message.dropped)
        else:
            for subscription in self._subscriptions:
                subscription._put(message.items, message.dropped)
            self._after_news()
        with self._lock:
            self._outbox.command(message.source, m.DeliverySeen(self.id, message.stream))
            self._sending.tell()
        if self._endpoint.synchronous:
            self._sending.kick()
