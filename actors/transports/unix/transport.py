"""The transport as Thespian sees it: intents in, envelopes out, and a loop that hands them to the actor."""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import resource
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from typing import Any

from thespian.actors import (
    ActorAddress,
    ActorExitRequest,
    ActorSystemFailure,
    ActorSystemMessage,
    ActorSystemStartupFailure,
    DeadEnvelope,
    WatchMessage,
)
from thespian.system.addressManager import ActorLocalAddress, CannotPickleAddress
from thespian.system.messages.multiproc import ChildMayHaveDied
from thespian.system.timing import timePeriodSeconds
from thespian.system.transport import (
    ExternalInterfaceTransportInit,
    ReceiveEnvelope,
    SendStatus,
    Thespian__Run_Expired,
    Thespian__Run_HandlerResult,
    Thespian__Run_Terminated,
    Thespian__UpdateWork,
    TransmitIntent,
    TransmitOnly,
)
from thespian.system.utilis import thesplog

from . import directory
from .address import ADMIN, LOGGER, UnixAddress, address, admin_address, convention_addresses, parse
from .endpoint import ContextInit, UnixEndpoint
from .limits import Limits
from .links import Links, listen
from .wakeups import Wakeups

PRIVATE_CAPABILITY = "Unix Private Key"
# Thespian's number for its logger, which is nobody's child.
_LOGGER_INSTANCE = -1
# After this many messages it is looked what else has happened.
_TURN = 64
# How long an ending process goes on writing, in seconds; Thespian's own limit for the same.
_DRAIN_S = 7.0
# How long a new admin waits for the one before it to be gone, in seconds.
_PREDECESSOR_S = 3.0

_transports: weakref.WeakSet[UnixTransport] = weakref.WeakSet()


class MessageTooLarge(ActorSystemFailure):
    """A message is larger, pickled, than the system allows; it was not sent."""

    def __init__(self, target: Any, size: int, limit: int) -> None:
        self.target = target
        super().__init__(
            f"a message of {size:,} bytes for {target} is above the limit of {limit:,}"
            " (capability 'Unix Message Bytes'): send it in parts"
        )


class Envelope(ReceiveEnvelope):
    """A received message. Thespian asks each to describe itself for a log line that is hardly ever written."""

    def identify(self) -> str:
        """Name the sender and the kind of message, without writing the message out."""
        return f"ReceiveEnvelope(from: {self.sender}, {type(self.message).__name__})"


class UnixTransport:
    """Moves messages between processes of one user on one machine. See docs/transport.md.

    The methods with capitals in their names are Thespian's interface, and documented there.
    """

    def __init__(self, init: Any, *args: Any) -> None:
        self.directory, self._adminAddr, self._parentAddr, self._limits = "", None, None, Limits()
        self._lock_fd: int | None = None
        self._is_private = False
        name, listener = "", None
        if isinstance(init, ExternalInterfaceTransportInit):
            self._enter(args[0])
        elif isinstance(init, UnixEndpoint):
            self._start(init)
            name, listener = init.name, init.listener
        elif isinstance(init, ContextInit):
            self.directory, self._adminAddr, self._limits = init.directory, init.admin, init.limits
        else:
            raise ActorSystemStartupFailure(f"a transport can't be made of a {type(init).__name__}")
        path = os.path.join(self.directory, name or directory.new_name())
        self._links = Links(path, self._limits, listener)
        self.myAddress = address(path)
        self._is_external = not isinstance(init, UnixEndpoint)
        self._wakeups = Wakeups()
        self._running: int | None = None
        self._aborting: bool | None = None
        self._drain_until: float | None = None
        self._waits_for_peers = True
        self._check_children = self._shut_down = self._is_watching = False
        self._closed = False
        if isinstance(init, UnixEndpoint) and init.is_admin and init.is_published:
            directory.publish_key(self.directory)
        _transports.add(self)

    def _enter(self, capabilities: Mapping[str, Any]) -> None:
        """An external program: the first of a system makes its directory."""
        self._limits = Limits.of(capabilities)
        self.directory = directory.of(capabilities)
        self._is_private = bool(capabilities.get(PRIVATE_CAPABILITY))
        self._adminAddr = admin_address(capabilities)
        directory.prepare(self.directory)
        directory.refresh_key(self.directory)

    def _start(self, endpoint: UnixEndpoint) -> None:
        """Be a new process of the system: the admin, its logger, or an actor."""
        self.directory, self._limits = endpoint.directory, endpoint.limits
        self._adminAddr, self._parentAddr = endpoint.admin, endpoint.parent
        self._is_private = not endpoint.is_published
        directory.remember_key(endpoint.directory, endpoint.key)
        _raise_descriptor_limit()
        if endpoint.is_admin:
            self._lock_fd = directory.lock(self.directory, _PREDECESSOR_S)
            if self._lock_fd is None:
                raise ActorSystemStartupFailure(f"the actor system in {self.directory} is running already")
            directory.remove_stale(directory.root())
        if endpoint.name and endpoint.listener is None:
            directory.remove_socket(os.path.join(self.directory, endpoint.name))

    # Addresses.

    @staticmethod
    def getAdminAddr(capabilities: Mapping[str, Any]) -> ActorAddress:
        """Thespian's: where the admin of a system with these capabilities is."""
        return admin_address(capabilities)

    @staticmethod
    def getAddressFromString(text: str | tuple[Any, ...]) -> ActorAddress:
        """Thespian's: read an address."""
        return parse(text)

    @staticmethod
    def getConventionAddress(capabilities: Mapping[str, Any]) -> list[ActorAddress] | None:
        """Thespian's: where the leaders of the convention are."""
        return convention_addresses(capabilities)

    @staticmethod
    def probeAdmin(address: ActorAddress) -> bool:
        """Thespian's: whether some process is at this address."""
        return directory.is_listening(address.addressDetails.path)

    def setAddressManager(self, manager: Any) -> None:
        """Thespian's: who knows the addresses of children that are not up yet. Not needed here."""

    # New processes.

    def prepEndpoint(self, assigned: ActorAddress, capabilities: Mapping[str, Any]) -> UnixEndpoint:
        """Thespian's: what a process that is about to be started needs to know."""
        details = assigned.addressDetails
        is_local = isinstance(details, ActorLocalAddress)
        number = details.addressInstanceNum if is_local else None
        key = directory.key(self.directory) if is_local else directory.make_key(self.directory)
        return UnixEndpoint(
            addrInst=number,
            name=LOGGER if number == _LOGGER_INSTANCE else "" if is_local else ADMIN,
            parent=self.myAddress,
            admin=self._adminAddr,
            directory=self.directory,
            key=key or b"",
            is_published=not self._is_private,
            limits=self._limits,
        )

    def listen_for(self, endpoint: UnixEndpoint) -> ActorAddress:
        """Make the socket of a process that is about to be forked, whose parent closes its own copy after that."""
        endpoint.name = directory.new_name()
        path = os.path.join(self.directory, endpoint.name)
        endpoint.listener = listen(path)
        return address(path)

    def expect(self, child: ActorAddress) -> None:
        """The process of that address is on its way."""
        self._links.put_off(child)

    def connectEndpoint(self, endpoint: UnixEndpoint) -> None:
        """Thespian's: the process was started. It will connect by itself."""

    def protectedFileNumList(self) -> list[int]:
        """Thespian's: which descriptors must stay open."""
        return self._links.descriptors()

    def childResetFileNumList(self) -> list[int]:
        """Thespian's: what a forked child has to close. Nothing: that was done as it was forked."""
        return []

    def external_transport_clone(self) -> UnixTransport:
        """Thespian's: one more context of this program."""
        return UnixTransport(ContextInit(self._adminAddr, self.directory, self._limits))

    # Sending.

    def enableRXPauseFlowControl(self, enable: bool = True) -> None:
        """Thespian's: whether a send may wait for a peer that is slow. An admin's must not."""
        self._waits_for_peers = enable

    def scheduleTransmit(self, manager: Any, intent: TransmitIntent, has_exclusive_flag: bool = False) -> None:
        """Thespian's: send a message, from any thread.

        Raises CannotPickleAddress for an address that is not known yet, :class:`MessageTooLarge`, and what pickle
        raises.
        """
        if manager is not None and not _resolve(manager, intent):
            return
        target, message = intent.targetAddr, intent.message
        details = target.addressDetails
        if not isinstance(details, UnixAddress):
            raise CannotPickleAddress(target)
        payload = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
        if len(payload) > self._limits.message_bytes:
            raise MessageTooLarge(target, len(payload), self._limits.message_bytes)
        if isinstance(message, Thespian__UpdateWork):
            intent.tx_done(SendStatus.Sent)
        elif details.path == self._links.path:
            self._links.incoming.append((None, Envelope(target, message)))
            intent.tx_done(SendStatus.Sent)
        elif not self._has_room(details.path, message):
            self._overflow(intent)
        else:
            self._links.post(target, intent, payload)
            self._report_written()
        if self._running not in (None, threading.get_ident()):
            self._links.wake()

    def _has_room(self, path: str, message: Any) -> bool:
        limit = self._limits.queue_bytes
        if not self._links.is_full(path, limit):
            return True
        if isinstance(message, logging.LogRecord):
            return False
        if not self._waits_for_peers:
            return not self._links.is_full(path, 16 * limit)
        return self._links.await_room(path)

    def _overflow(self, intent: TransmitIntent) -> None:
        """Its peer takes nothing: the message is a dead letter, which is said."""
        self._links.count("overflow")
        self._dead_letter(intent.targetAddr, intent.message)
        self._links.failed.append((intent, SendStatus.Failed))

    def _dead_letter(self, target: ActorAddress, message: Any) -> None:
        if target == self._adminAddr or isinstance(message, (ActorSystemMessage, logging.LogRecord)):
            return
        with contextlib.suppress(Exception):
            self.scheduleTransmit(None, TransmitIntent(self._adminAddr, DeadEnvelope(target, message)))

    def deadAddress(self, manager: Any, child: ActorAddress) -> None:
        """Thespian's: a child has ended. If it was killed, its socket is still to be removed."""
        details = child.addressDetails
        if isinstance(details, UnixAddress) and os.path.dirname(details.path) == self.directory:
            directory.remove_socket(details.path)

    def lostRemote(self, admin: ActorAddress) -> None:
        """Thespian's: another system has left the convention. Its connections end by themselves."""

    def _report_written(self) -> None:
        """Tell senders that their messages are on their way, unless another thread's handlers are at work."""
        if self._running in (None, threading.get_ident()):
            written = self._links.written
            while written:
                written.popleft().tx_done(SendStatus.Sent)

    def _report(self) -> None:
        links = self._links
        while links.written:
            links.written.popleft().tx_done(SendStatus.Sent)
        while links.failed:
            intent, status = links.failed.popleft()
            intent.tx_done(status)
        while links.lost:
            self._dead_letter(*links.lost.popleft())

    # Interruptions.

    def interrupt_wait(self, signal_shutdown: bool = False, check_children: bool = False) -> None:
        """Thespian's: a signal has come."""
        self._shut_down |= signal_shutdown
        self._check_children |= check_children
        self._links.wake()

    def abort_run(self, drain: bool = False) -> None:
        """Thespian's: end the run that is under way, with ``drain`` as soon as everything is written."""
        self._aborting = drain
        if drain and self._drain_until is None:
            self._drain_until = time.monotonic() + _DRAIN_S
        self._links.wake()

    def addWakeup(self, period: Any, payload: Any) -> None:
        """Thespian's: hand out a WakeupMessage later."""
        self._wakeups.add(period, payload)
        if self._running not in (None, threading.get_ident()):
            self._links.wake()

    def set_watch(self, fds: list[int]) -> None:
        """Thespian's: hand out a WatchMessage as soon as one of these can be read."""
        if fds or self._is_watching:
            self._is_watching = bool(fds)
            self._links.watch(fds)

    # The loop.

    def run(self, handler: Any, maximumDuration: Any = None) -> Any:
        """Thespian's: hand messages to ``handler`` until it, the time or :meth:`abort_run` says to end."""
        deadline = None
        if maximumDuration is not None:
            deadline = time.monotonic() + max(0.0, timePeriodSeconds(maximumDuration))
        before, self._running = self._running, threading.get_ident()
        self._aborting = None
        try:
            if handler is TransmitOnly or isinstance(handler, TransmitOnly):
                return self._run_until_written(deadline)
            return self._run(handler, deadline)
        finally:
            self._running = before

    def _run(self, handler: Callable[[Any], Any] | None, deadline: float | None) -> Any:
        has_polled = False
        while True:
            self._report()
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
            self._report()
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
            if self._links.failed or self._links.lost or self._links.written:
                self._report()
        return None

    def _next_envelope(self) -> ReceiveEnvelope | None:
        due = self._wakeups.next_due()
        if due is not None and due <= (now := time.monotonic()):
            wakeup = self._wakeups.pop_due(now)
            if wakeup is not None:
                return Envelope(self.myAddress, wakeup)
        while (item := self._links.next_item()) is not None:
            connection, content = item
            if connection is None:
                return content
            try:
                return Envelope(connection.address, pickle.loads(content))
            except Exception as error:
                self._unreadable(connection.address, error)
        return None

    def _unreadable(self, sender: ActorAddress, error: Exception) -> None:
        self._links.count("unreadable")
        text = f"{type(error).__name__}: {error}"
        thesplog("%s can't read a message of %s: %s", self.myAddress, sender, text, level=logging.ERROR)

    def _poll(self, deadline: float | None) -> None:
        """Wait for something to hand out; what signals and watches ask for comes behind what was there before."""
        links = self._links
        if self._aborting is None and (links.incoming or self._check_children or self._shut_down):
            links.poll(0.0)
        else:
            until = self._drain_until if self._aborting else self._wakeups.next_due()
            links.poll(_left(min((each for each in (deadline, until) if each is not None), default=None)))
        if self._check_children:
            self._check_children = False
            self._to_self(ChildMayHaveDied())
        if self._shut_down:
            self._shut_down = False
            self._to_self(ActorExitRequest())
        if links.ready_watches:
            ready, links.ready_watches = links.ready_watches, []
            self._to_self(WatchMessage(ready))

    def _to_self(self, message: Any) -> None:
        self._links.incoming.append((None, Envelope(self.myAddress, message)))

    # Reports, and the end.

    def counts(self) -> dict[str, int]:
        """How often what was refused or dropped, since the start."""
        return dict(self._links.counts)

    def _updateStatusResponse(self, response: Any) -> None:
        """Thespian's: what waits, and what was refused."""
        for target, message in self._links.unsent():
            response.addPendingMessage(self.myAddress, target, str(message))
        for connection, content in list(self._links.incoming):
            sender = content.sender if connection is None else connection.address
            what = str(content.message) if connection is None else f"{len(content):,} bytes"
            response.addReceivedMessage(sender, self.myAddress, what)
        response.addWakeups([(self.myAddress, timer) for timer in self._wakeups.timers()])
        for what, count in self.counts().items():
            response.addKeyVal(f"unix {what}", count)

    def close(self) -> None:
        """Close every socket, and remove what this process has in the directory. Idempotent."""
        if self._closed:
            return
        self._closed = True
        _transports.discard(self)
        self._links.close()
        while self._links.failed:
            intent, status = self._links.failed.popleft()
            intent.tx_done(status)
        if self._lock_fd is not None:
            directory.tidy(self.directory)
            os.close(self._lock_fd)
        elif self._is_external:
            directory.tidy_unused(self.directory)

    def abandon(self) -> None:
        """Close the descriptors of this transport in a process that was forked from its own."""
        self._closed = True
        self._links.abandon()
        if self._lock_fd is not None:
            os.close(self._lock_fd)

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self.close()


def _resolve(manager: Any, intent: TransmitIntent) -> bool:
    """Put the address of a child in place of its parent's name for it; false if there is nothing to be sent.

    Raises CannotPickleAddress as long as the child is not up.
    """
    target, message = manager.prepMessageSend(intent.targetAddr, intent.message)
    if message is SendStatus.DeadTarget:
        intent.tx_done(SendStatus.Sent)
        return False
    if target is None:
        raise CannotPickleAddress(intent.targetAddr)
    intent.changeTargetAddr(target)
    intent.changeMessage(message)
    return True


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())


def _raise_descriptor_limit() -> None:
    """Each peer takes a descriptor: allow as many as may be had without asking."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _leave_to_the_parent() -> None:
    """A copy of a socket in a forked process would hide its end from the peer."""
    for transport in list(_transports):
        transport.abandon()
    _transports.clear()


os.register_at_fork(after_in_child=_leave_to_the_parent)
