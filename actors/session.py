"""A session: one program's end of the system. It checks, spends credit, coalesces, and matches answers to receipts.

Any number of threads may use it. What they hand in while a message is under way travels in the next one.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from ..config.errors import NyxPluginError
from ..config.settings import LimitSettings
from ..plugins.errors import DispatchTimeout, MailboxFull, PluginNotRegistered, SystemStopped
from . import messages as m
from ._thespian import Address
from .admission import AT_REST, admit
from .answers import ANSWERS
from .channel import Channel
from .events import ALL_STREAMS
from .log_lines import write_plugin_lines
from .outbox import Outbox
from .receipt import Outcome, OutcomeKind, Receipt, outcome_of
from .subscription import Subscription

_log = logging.getLogger("nyx_plugins.session")
# What a plugin logs is the application's to show: without a word from it, nothing goes to standard error.
logging.getLogger("nyx_plugins").addHandler(logging.NullHandler())


class Endpoint(Protocol):
    """How a session reaches the actors; one for each transport."""

    address: Address
    supervisor: Address
    synchronous: bool
    """Whether ``send`` runs the actors until all is done, on the caller's thread."""

    def start(self, on_message: Callable[[Any], None]) -> None:
        """Call ``on_message`` with all that arrives."""

    def send(self, target: Address, message: Any) -> None:
        """Send one message."""

    def close(self) -> None:
        """Release everything. Idempotent."""


class Session:
    """The client's end. Close it when done; everything pending then fails with :class:`SystemStopped`."""

    def __init__(self, endpoint: Endpoint, limits: LimitSettings) -> None:
        self.id = secrets.randbits(63) | 1
        self._pid = os.getpid()
        self._endpoint = endpoint
        self._limits = limits
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._to_send = threading.Condition(self._lock)
        self._turn = threading.RLock()
        self._channels: dict[int, Channel] = {}
        self._routes: dict[int, m.Route] = {}
        self._version = -1
        self._directory: m.Attached | None = None
        self._outbox = Outbox(self.id, self._channels)
        self._replies: dict[int, m.Reply | None] = {}
        self._next_request = 0
        self._subscriptions: list[Subscription] = []
        self._stopped: SystemStopped | None = None
        self._has_lost = False
        self._sender: threading.Thread | None = None

    # Life.

    def attach(self, timeout: float, streams: Iterable[str] = ALL_STREAMS) -> None:
        """Introduce this session and wait for the routes; raises :class:`DispatchTimeout`.

        ``streams`` is what it wants to be told: events, emitted frames and log lines.
        """
        self._endpoint.start(self._on_message)
        if not self._endpoint.synchronous:
            self._sender = threading.Thread(target=self._send_loop, name="nyx-plugins-send", daemon=True)
            self._sender.start()
        attach = m.Attach(0, self._endpoint.address, self.id, os.getpid(), tuple(streams))
        with self._lock:
            self._outbox.command(self._endpoint.supervisor, attach)
        self._kick()
        with self._changed:
            ready = self._wait_for(lambda: self._directory is not None and self._version >= 0, timeout)
        if not ready:
            raise DispatchTimeout(None, "an answer of the system", timeout)

    def fail(self, reason: str) -> None:
        """End everything pending with :class:`SystemStopped`. Idempotent; the first reason stands."""
        with self._changed:
            if self._stopped is not None:
                return
            self._stopped = SystemStopped(reason)
            self._routes.clear()
            for channel in self._channels.values():
                for receipt in channel.abandon():
                    receipt._refuse(self._stopped)
                    self._has_lost = True
            self._changed.notify_all()
            self._to_send.notify_all()
        for subscription in list(self._subscriptions):
            subscription.close()

    def close(self, reason: str = "it was closed") -> None:
        """Say goodbye, fail what is pending and release the endpoint. Idempotent."""
        with self._lock:
            if self._stopped is None:
                self._outbox.command(self._endpoint.supervisor, m.Detach(self.id))
        self._kick()
        self.fail(reason)
        if self._sender is not None and self._sender is not threading.current_thread():
            self._sender.join(5.0)
        self._endpoint.close()

    @property
    def stopped(self) -> SystemStopped | None:
        """Why nothing works any more, or ``None``."""
        return self._stopped

    # Frames.

    def offer(self, frame_type: int, header: bytes, count_full: bool = True) -> Receipt:
        """Check a frame, spend a credit, and queue it; never waits. Raises what refuses it.

        With ``count_full`` false a lack of room is not counted as a refusal: the caller will wait and try again.
        """
        self._check_process()
        with self._lock:
            return self._offer(frame_type, header, count_full)

    def offer_waiting(self, frame_type: int, header: bytes, deadline: float, timeout: float) -> Receipt:
        """Queue a frame, waiting for room until ``deadline`` (monotonic); raises :class:`DispatchTimeout` then."""
        self._check_process()
        with self._changed:
            try:
                return self._offer(frame_type, header, count_full=False)
            except MailboxFull as full:
                channel = self._channels[full.plugin_id]
            channel.waiting += 1
            try:
                return self._offer_until(frame_type, header, deadline, timeout)
            finally:
                channel.waiting -= 1
                self._give_back(channel.plugin_id, channel.recall(0))

    def _offer_until(self, frame_type: int, header: bytes, deadline: float, timeout: float) -> Receipt:
        while True:
            self._changed.wait(max(0.0, deadline - time.monotonic()))
            try:
                return self._offer(frame_type, header, count_full=False)
            except MailboxFull as full:
                if time.monotonic() < deadline:
                    continue
                late = DispatchTimeout(full.plugin_id, f"room in its mailbox ({full})", timeout)
                self._refuse(late, full.plugin_id)
                raise late from None

    def flush(self) -> None:
        """See to it that what is queued is sent: at once on a synchronous endpoint, else by the sending thread."""
        self._kick()

    def drain(self, timeout: float | None) -> None:
        """Wait until every frame of this session has its outcome; raises DispatchTimeout, or SystemStopped."""
        with self._changed:
            done = self._wait_for(lambda: not any(c.outstanding for c in self._channels.values()), timeout)
            if self._stopped is not None and self._has_lost:
                raise self._stopped.with_traceback(None)
            if done:
                return
            busy = {c.plugin_id: c.outstanding for c in self._channels.values() if c.outstanding}
        raise DispatchTimeout(None, f"outcomes of {sum(busy.values())} frames (by plugin: {busy})", timeout or 0.0)

    def _offer(self, frame_type: int, header: bytes, count_full: bool) -> Receipt:
        if self._stopped is not None:
            # One instance for all: its traceback would grow with each raise.
            raise self._stopped.with_traceback(None)
        try:
            route = admit(self._routes, frame_type, header, self._limits.max_header_bytes).route
            channel = self._channels[route.plugin_id]
            receipt = channel.offer(frame_type, header, self._changed)
        except NyxPluginError as error:
            full = isinstance(error, MailboxFull)
            if full:
                self._ask_for_credit(error.plugin_id)  # type: ignore[attr-defined]  # it is a MailboxFull
            if count_full or not full:
                self._refuse(error, getattr(error, "plugin_id", None))
            raise
        self._outbox.note_frames(channel)
        self._to_send.notify()
        return receipt

    def _refuse(self, error: BaseException, plugin_id: int | None) -> None:
        self._outbox.refuse(error, plugin_id)
        self._to_send.notify()

    def _ask_for_credit(self, plugin_id: int) -> None:
        channel = self._channels[plugin_id]
        missing = channel.missing_credit()
        if missing:
            channel.wants_credit = True
            self._outbox.to_dispatcher(m.WantCredit(self.id, plugin_id, missing))
            self._to_send.notify()

    # Questions.

    def ask(self, to: str, make: Callable[[int, Address], m.Question], timeout: float, what: str) -> Any:
        """Ask ``to`` (an actor's role) and return the reply's value.

        Raises the reply's error, :class:`SystemStopped`, or :class:`DispatchTimeout` naming ``what``.
        """
        self._check_process()
        with self._lock:
            if self._stopped is not None:
                raise self._stopped.with_traceback(None)
            self._next_request += 1
            number = self._next_request
            self._replies[number] = None
            self._outbox.gather()
            self._outbox.command(self._role(to), make(number, self._endpoint.address))
            self._to_send.notify()
        self._kick()
        with self._changed:
            self._wait_for(lambda: self._answered(number), timeout)
            reply = self._replies.pop(number)
        if reply is None:
            raise (self._stopped or DispatchTimeout(None, what, timeout)).with_traceback(None)
        if reply.error is not None:
            raise reply.error
        return reply.value

    def _answered(self, number: int) -> bool:
        reply = self._replies[number]
        return reply is not None and self._version >= reply.version

    def _role(self, role: str) -> Address:
        if role == "supervisor":
            return self._endpoint.supervisor
        assert self._directory is not None
        return self._directory.registry if role == "registry" else self._directory.dispatcher

    # What is known here.

    def routes(self) -> dict[int, m.Route]:
        """Return the routes as last told by the dispatcher."""
        with self._lock:
            return dict(self._routes)

    def subscribe(self, capacity: int) -> Subscription:
        """Return a queue of events and emitted frames."""
        subscription = Subscription(capacity, self._unsubscribe)
        with self._lock:
            self._subscriptions = [*self._subscriptions, subscription]
        if self._stopped is not None:
            subscription.close()
        return subscription

    def _unsubscribe(self, subscription: Subscription) -> None:
        with self._lock:
            self._subscriptions = [other for other in self._subscriptions if other is not subscription]

    def _check_process(self) -> None:
        """A forked process has no part in its parent's session: its threads are not there."""
        if os.getpid() != self._pid:
            raise SystemStopped("it belongs to the process that this one was forked from")

    def _wait_for(self, ready: Callable[[], bool], timeout: float | None) -> bool:
        """Wait with the lock held; also returns when the session has failed."""
        self._changed.wait_for(lambda: ready() or self._stopped is not None, timeout)
        return ready()

    # Sending.

    def _kick(self) -> None:
        if self._endpoint.synchronous:
            # One thread at a time: what was taken first has to arrive first.
            with self._turn:
                while self._stopped is None and (work := self._take()) is not None:
                    self._endpoint.send(*work)
        else:
            with self._lock:
                self._to_send.notify()

    def _send_loop(self) -> None:
        while True:
            with self._to_send:
                while (work := self._outbox.next()) is None:
                    if self._stopped is not None:
                        return
                    self._to_send.wait()
            try:
                self._endpoint.send(*work)
            except Exception as error:
                _log.exception("a message to the system could not be sent")
                self.fail(f"internal error: {error!r}")

    def _take(self) -> tuple[Address, Any] | None:
        with self._lock:
            return self._outbox.next()

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
                self._changed.notify_all()
                self._to_send.notify()

    def _note(self, message: m.SessionMessage) -> None:
        match message:
            case m.Accepted():
                self._channel(message.plugin_id).accept(message.ranges)
                self._confirm(message.confirm_to)
            case m.Settled():
                self._settled(message)
                self._confirm(message.confirm_to)
            case m.Rejected():
                self._rejected(message)
            case m.Reply():
                if message.request_id in self._replies:
                    self._replies[message.request_id] = message
            case m.RoutesChanged():
                self._change_routes(message)
            case m.CreditGranted():
                self._channel(message.plugin_id).grant(message.frames)
            case m.CreditRecalled():
                self._give_back(message.plugin_id, self._channel(message.plugin_id).recall(message.frames))
            case m.Attached():
                self._directory = message
                self._outbox.dispatcher = message.dispatcher

    def _confirm(self, source: Address) -> None:
        if source is not None:
            self._outbox.command(source, m.DeliverySeen(self.id, ANSWERS))

    def _settled(self, message: m.Settled) -> None:
        channel = self._channel(message.plugin_id)
        owed = 0
        for seq, result in message.outcomes:
            _, back = channel.settle(seq, outcome_of(result))
            owed += back
        self._give_back(message.plugin_id, owed)

    def _rejected(self, message: m.Rejected) -> None:
        channel = self._channel(message.plugin_id)
        owed = sum(channel.refuse(seq, error) for seq, error in message.frames)
        self._give_back(message.plugin_id, owed)

    def _give_back(self, plugin_id: int, frames: int) -> None:
        if frames:
            self._outbox.to_dispatcher(m.ReturnCredit(self.id, plugin_id, frames))

    def _change_routes(self, message: m.RoutesChanged) -> None:
        for plugin_id, drained in message.gone.items():
            self._routes.pop(plugin_id, None)
            self._close_channel(self._channel(plugin_id), drained)
        for route in message.routes:
            self._routes[route.plugin_id] = route
            if route.state == AT_REST:
                continue
            channel = self._channel(route.plugin_id)
            channel.open(route)
            if channel.unsent_count:
                self._outbox.note_frames(channel)
        self._version = message.version

    def _close_channel(self, channel: Channel, drained: bool) -> None:
        """Refuse what was not sent. Of what was, the drained plugin actor or the dispatcher tells; else nobody will."""
        self._outbox.forget_frames(channel)
        error = PluginNotRegistered(channel.plugin_id)
        unsent, under_way = channel.close()
        for receipt in unsent:
            receipt._refuse(error)
            self._refuse(error, channel.plugin_id)
        if not drained:
            for receipt in under_way:
                self._abandon(channel, receipt, error)

    def _abandon(self, channel: Channel, receipt: Receipt, error: PluginNotRegistered) -> None:
        channel.forget(receipt)
        if receipt.accepted:
            receipt._settle(Outcome(OutcomeKind.DEAD_LETTERED, reason="its plugin actor was gone"))
        else:
            receipt._refuse(error)
            self._outbox.refuse(error, channel.plugin_id, submitted=True)

    def _channel(self, plugin_id: int) -> Channel:
        channel = self._channels.get(plugin_id)
        if channel is None:
            channel = self._channels[plugin_id] = Channel(plugin_id, self._limits.max_header_bytes)
        return channel

    def _deliver(self, message: m.Delivery) -> None:
        if message.stream == "log":
            write_plugin_lines(message.plugin_id, message.plugin, message.items, message.dropped)
        else:
            for subscription in self._subscriptions:
                subscription._put(message.items, message.dropped)
        with self._lock:
            self._outbox.command(message.source, m.DeliverySeen(self.id, message.stream))
            self._to_send.notify()
        if self._endpoint.synchronous:
            self._kick()
