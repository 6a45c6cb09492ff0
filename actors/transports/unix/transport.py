"""The transport as Thespian sees it: intents in, envelopes out, and a loop that hands them to the actor."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
from collections.abc import Callable, Mapping
from typing import Any

from thespian.actors import (
    ActorAddress,
    ActorSystemMessage,
    ActorSystemStartupFailure,
    DeadEnvelope,
)
from thespian.system.addressManager import ActorLocalAddress, CannotPickleAddress
from thespian.system.logdirector import LoggerExitRequest
from thespian.system.transport import (
    ExternalInterfaceTransportInit,
    SendStatus,
    Thespian__UpdateWork,
    TransmitIntent,
)

from . import directory, forks, short
from .address import ADMIN, LOGGER, UnixAddress, address, admin_address, convention_addresses, parse
from .door import listen
from .endpoint import ContextInit, UnixEndpoint
from .envelope import LifelineEnded, MessageTooLarge
from .limits import Limits, raise_descriptor_limit
from .links import Links
from .loop import MessageLoop
from .note import Note
from .waiting import resolve

PRIVATE_CAPABILITY = "Unix Private Key"
LIFELINE_CAPABILITY = "Unix Lifeline"
# Thespian's number for its logger, which is nobody's child.
_LOGGER_INSTANCE = -1
# How many of the messages that wait a status names.
_SHOWN = 100
# How long a new admin waits for the one before it to be gone, in seconds.
_PREDECESSOR_S = 3.0


class UnixTransport:
    """Moves messages between processes of one user on one machine. See docs/transport.md.

    The methods with capitals in their names are Thespian's interface, and documented there.
    """

    def __init__(self, init: Any, *args: Any) -> None:
        self.directory, self._adminAddr, self._parentAddr, self._limits = "", None, None, Limits()
        self._lock_fd: int | None = None
        self._lifeline, self._offered, self._life = -1, -1, -1
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
        self._links = self._listen(path, listener)
        self.myAddress = address(path)
        self._is_external = not isinstance(init, UnixEndpoint)
        self._loop = MessageLoop(self._links, self.myAddress, self._dead_letter)
        if self._lifeline >= 0:
            self._links.hold_on_to(self._lifeline)
        if name == LOGGER:
            self._loop.farewell = LoggerExitRequest()
        elif name == ADMIN:
            self._loop.farewell = LifelineEnded()
        self._waits_for_peers = True
        self._closed = False
        forks.belongs_to_this_process(self)

    def _listen(self, path: str, listener: socket.socket | None) -> Links:
        try:
            return Links(path, self._limits, listener)
        except FileNotFoundError:
            # The system before this one has just been ended, and with it its directory.
            directory.prepare(self.directory)
            return Links(path, self._limits, listener)

    def _enter(self, capabilities: Mapping[str, Any]) -> None:
        """An external program: the first of a system makes its directory."""
        self._limits = Limits.of(capabilities)
        self.directory = directory.of(capabilities)
        self._is_private = bool(capabilities.get(PRIVATE_CAPABILITY))
        self._adminAddr = admin_address(capabilities)
        directory.prepare(self.directory)
        if not self._is_private:
            directory.refresh_key(self.directory)

    def _start(self, endpoint: UnixEndpoint) -> None:
        """Be a new process of the system: the admin, its logger, or an actor."""
        self.directory, self._limits = endpoint.directory, endpoint.limits
        self._adminAddr, self._parentAddr = endpoint.admin, endpoint.parent
        self._is_private = not endpoint.is_published
        directory.remember_key(endpoint.directory, endpoint.key)
        raise_descriptor_limit()
        # A signal that the program has blocked would be blocked in all its actors: none could end, or notice an end.
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        self._lifeline = self._offered = endpoint.lifeline
        if endpoint.is_admin:
            self._offered, self._life = os.pipe2(os.O_CLOEXEC)
            self._lock_fd = directory.lock(self.directory, _PREDECESSOR_S)
            if self._lock_fd is None:
                raise ActorSystemStartupFailure(f"the actor system in {self.directory} is running already")
            directory.remove_stale(directory.root())
            if endpoint.is_published:
                directory.publish_key(self.directory)
            else:
                directory.withdraw_key(self.directory)
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
            lifeline=self._lifeline_for(is_local, capabilities),
        )

    def _lifeline_for(self, is_local: bool, capabilities: Mapping[str, Any]) -> int:
        if capabilities.get("Process Startup Method", "fork") != "fork":
            return -1
        return self._offered if is_local else int(capabilities.get(LIFELINE_CAPABILITY, -1))

    def prepare_fork(self, endpoint: UnixEndpoint) -> ActorAddress:
        """Make the socket of a process that is about to be forked, and a way for it to say that it is up.

        Returns its address, which takes messages already.
        """
        assert endpoint.addrInst is not None
        endpoint.name = directory.new_name()
        path = os.path.join(self.directory, endpoint.name)
        endpoint.birth = self._links.births.descriptor()
        try:
            endpoint.listener = listen(path)
        except BaseException:
            os.close(endpoint.birth)
            raise
        known = self._loop.unborn[endpoint.addrInst] = address(path)
        return known

    def never_up(self, number: int) -> None:
        """The child with this number has ended before it was up: its socket is still to be removed."""
        child = self._loop.unborn.pop(number, None)
        if child is not None:
            self.deadAddress(None, child)

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
        if manager is not None and not resolve(manager, intent):
            return
        target, message = intent.targetAddr, intent.message
        details = target.addressDetails
        if not isinstance(details, UnixAddress):
            raise CannotPickleAddress(target)
        payload = self._pickled(target, message)
        if isinstance(message, Thespian__UpdateWork):
            intent.tx_done(SendStatus.Sent)
        elif details.path == self._links.path:
            self._loop.to_self(message)
            intent.tx_done(SendStatus.Sent)
        elif not self._has_room(details.path, message):
            self._overflow(intent)
        elif self._links.post(target, intent, payload):
            self._links.fates.written.append(intent)
        self._loop.report()
        if self._loop.runs_elsewhere:
            self._links.wake()

    def send(self, target: ActorAddress, message: Any, on_error: Callable[[Any, Any], None] | None) -> Note | None:
        """Send a message that is none of Thespian's own, to another process, by the shortest way.

        Returns ``None`` once it is written, else what will have its status; a bad one goes to ``on_error``, too. Raises
        what :meth:`scheduleTransmit` does.
        """
        payload = self._pickled(target, message)
        note = Note(target, message, on_error)
        if not self._has_room(target.addressDetails.path, message):
            self._overflow(note)
        elif self._links.post(target, note, payload):
            return None
        self._loop.report()
        if self._loop.runs_elsewhere:
            self._links.wake()
        return note

    def _pickled(self, target: ActorAddress, message: Any) -> bytes:
        payload = short.dumps(message)
        if len(payload) > self._limits.message_bytes:
            raise MessageTooLarge(target, len(payload), self._limits.message_bytes)
        return payload

    def is_other(self, target: ActorAddress) -> bool:
        """Whether this is the address of another process, as far as is known without asking anybody."""
        details = target.addressDetails
        return type(details) is UnixAddress and details.path != self._links.path

    def _has_room(self, path: str, message: Any) -> bool:
        limit = self._limits.queue_bytes
        if not self._links.room.is_missing(path, limit):
            return True
        if isinstance(message, logging.LogRecord):
            return False
        if not self._waits_for_peers:
            return not self._links.room.is_missing(path, 16 * limit)
        return self._links.room.wait(path, is_loop=not self._loop.runs_elsewhere)

    def _overflow(self, intent: TransmitIntent | Note) -> None:
        """Its peer takes nothing: the message is a dead letter, which is said."""
        self._links.count("overflow")
        self._dead_letter(intent.targetAddr, intent.message)
        self._links.fates.failed.append((intent, SendStatus.Failed))

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

    # The loop.

    def interrupt_wait(self, signal_shutdown: bool = False, check_children: bool = False) -> None:
        """Thespian's: a signal has come."""
        self._loop.interrupt(signal_shutdown, check_children)

    def abort_run(self, drain: bool = False) -> None:
        """Thespian's: end the run that is under way, with ``drain`` as soon as everything is written."""
        self._loop.abort(drain)

    def addWakeup(self, period: Any, payload: Any) -> None:
        """Thespian's: hand out a WakeupMessage later."""
        self._loop.wakeups.add(period, payload)
        if self._loop.runs_elsewhere:
            self._links.wake()

    def set_watch(self, fds: list[int]) -> None:
        """Thespian's: hand out a WatchMessage as soon as one of these can be read."""
        self._loop.watch(fds)

    def watch_again(self) -> None:
        """Hand out a WatchMessage as soon as one of the same descriptors can be read: all are still open."""
        self._loop.watch_again()

    def run(self, handler: Any, maximumDuration: Any = None) -> Any:
        """Thespian's: hand messages to ``handler`` until it, the time or :meth:`abort_run` says to end."""
        return self._loop.run(handler, maximumDuration)

    def let_go_of_ended(self) -> None:
        """Close the connections whose other ends are gone, without waiting; for who sends and runs no loop."""
        self._links.poll(0.0)

    # Reports, and the end.

    def counts(self) -> dict[str, int]:
        """How often what was refused or dropped, since the start."""
        return dict(self._links.counts)

    def _updateStatusResponse(self, response: Any) -> None:
        """Thespian's: what waits, and what was refused."""
        unsent, incoming = self._links.unsent(), list(self._links.incoming)
        response.addKeyVal("unix messages to be written", len(unsent))
        response.addKeyVal("unix messages to be handed out", len(incoming))
        for target, message in unsent[:_SHOWN]:
            response.addPendingMessage(self.myAddress, target, type(message).__name__)
        for connection, content in incoming[:_SHOWN]:
            sender = content.sender if connection is None else connection.address
            what = type(content.message).__name__ if connection is None else f"{len(content):,} bytes"
            response.addReceivedMessage(sender, self.myAddress, what)
        response.addWakeups([(self.myAddress, timer) for timer in self._loop.wakeups.timers()])
        for what, count in self.counts().items():
            response.addKeyVal(f"unix {what}", count)

    def close(self) -> None:
        """Close every socket, and remove what this process has in the directory. Idempotent."""
        if self._closed:
            return
        self._closed = True
        forks.is_closed(self)
        self._links.close()
        while self._links.fates.failed:
            intent, status = self._links.fates.failed.popleft()
            intent.tx_done(status)
        for fd in {self._lifeline, self._offered, self._life}:
            if fd >= 0:
                os.close(fd)
        if self._lock_fd is not None:
            directory.tidy(self.directory)
            os.close(self._lock_fd)
            directory.tidy_unused(self.directory)
        elif self._is_external or not os.path.lexists(os.path.join(self.directory, ADMIN)):
            # The last one removes the directory: often the admin, but others may take longer to end.
            directory.tidy_unused(self.directory)

    def abandon(self) -> None:
        """Close the descriptors of this transport in a process that was forked from its own; what it offered stays."""
        self._closed = True
        self._links.abandon()
        for fd in (self._lock_fd, self._life):
            if fd is not None and fd >= 0:
                os.close(fd)

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            self.close()
