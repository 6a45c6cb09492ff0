"""Transport ``tcp``: Thespian's multiprocTCPBase, kept on the loopback interface.

Thespian binds every actor's socket to all interfaces and unpickles what arrives. Here each socket is bound to
127.0.0.1, so that no other machine reaches it; **other users of this machine still can**, and what they send is
unpickled. Run it only where the local users are trusted.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from thespian.actors import ActorSystem, ActorSystemException
from thespian.system import transport
from thespian.system.multiprocCommon import MultiProcAdmin
from thespian.system.transport import ReceiveEnvelope, TransmitIntent
from thespian.system.transport.IPBase import IPActorAddress
from thespian.system.transport.TCPTransport import TCPTransport

from ...config.errors import StartupError
from .._thespian import Address

LOOPBACK = "127.0.0.1"
_BASE = "multiprocTCPBase"
# How often it is looked whether to go on waiting for a peer.
TURN = timedelta(seconds=0.2)
# How long the receiving thread may take to notice that it is to end, in seconds.
QUIT_S = 5.0
_SILENT = {"version": 1, "disable_existing_loggers": False}


def boot(admin_port: int) -> ActorSystem:
    """Start an actor system whose admin listens on ``admin_port`` of the loopback interface.

    Call it in a process that holds nothing of the application: all actors are forked from it.
    Raises :class:`StartupError` when the port is busy.
    """
    _mend_thespian()
    _check_port_free(admin_port)
    try:
        return ActorSystem(_BASE, _capabilities(admin_port), logDefs=_SILENT, transientUnique=True)
    except ActorSystemException as error:
        raise StartupError(f"no actor system could be started on port {admin_port}: {error}") from None


def free_port() -> int:
    """Pick a port of the loopback interface that nobody uses now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def address_text(address: Address) -> str:
    """Write an actor's address as ``host:port``."""
    host, port = address.addressDetails.sockname[:2]
    return f"{host}:{port}"


class Endpoint:
    """A program's end of a running actor system: one thread receives, the caller's thread sends.

    Sending and receiving use separate Thespian contexts, because all waits of one context share a lock.
    """

    synchronous = False

    def __init__(self, admin_port: int, supervisor: str) -> None:
        _mend_thespian()
        self._system = ActorSystem(_BASE, _capabilities(admin_port), logDefs=False, transientUnique=True)
        self._contexts = contextlib.ExitStack()
        self._sending = self._contexts.enter_context(self._system.private())
        self._receiving = self._contexts.enter_context(self._system.private())
        self.address: Address = self._receiving._systemBase.transport.myAddress
        self.supervisor: Address = TCPTransport.getAddressFromString(supervisor)
        self._thread: threading.Thread | None = None
        self._closed = False

    def start(self, on_message: Callable[[Any], None]) -> None:
        """Call ``on_message`` with everything that arrives, from a thread of this endpoint's own."""
        self._thread = threading.Thread(
            target=self._receive, args=(on_message,), name="nyx-plugins-receive", daemon=True
        )
        self._thread.start()

    def send(self, target: Address, message: Any) -> None:
        """Send one message; returns when the peer's transport has it, or there is no such peer. Not thread-safe."""
        _transmit(self._sending, target, message, lambda: self._closed)

    def close(self) -> None:
        """Stop receiving and close every socket of this endpoint. Idempotent."""
        if self._closed:
            return
        self._closed = True
        # Not by the context for sending, on which another thread may still wait.
        deadline = time.monotonic() + QUIT_S
        _transmit(self._system, self.address, _Quit(), lambda: time.monotonic() > deadline)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(5.0)
        transports = [context._systemBase.transport for context in (self._sending, self._receiving, self._system)]
        sockets = [sock for transport in transports for sock in _sockets(transport)]
        self._contexts.close()
        self._system._systemBase.transport.close()
        for sock in sockets:
            sock.close()

    def _receive(self, on_message: Callable[[Any], None]) -> None:
        # Until it is told, and no sooner: the one who tells it waits until that message is taken.
        while not isinstance(message := self._receiving.listen(), _Quit):
            if message is not None:
                on_message(message)


class _Quit:
    """Sent by an endpoint to itself, to end its receiving thread."""


def _transmit(context: ActorSystem, target: Address, message: Any, given_up: Callable[[], bool]) -> None:
    """Send, and wait for this message only; Thespian's ``tell`` waits for those to the dead too."""
    base = context._systemBase
    ended: list[Any] = []

    def end(result: Any, intent: Any) -> None:
        ended.append(result)
        base.transport.abort_run()

    base.transport.scheduleTransmit(None, TransmitIntent(target, message, onSuccess=end, onError=end))
    while not ended and not given_up():
        base._run_transport(TURN, txonly=True)


def _sockets(transport: Any) -> list[socket.socket]:
    """List every socket of a Thespian transport, whose own ``close`` closes none of them."""
    tables = (transport._openSockets, transport._incomingSockets, transport._transmitIntents)
    holders = [holder for table in tables for holder in table.values()]
    found = [transport.socket, *(getattr(holder, "socket", None) for holder in holders)]
    return [sock for sock in found if sock is not None]


def _capabilities(admin_port: int) -> dict[str, Any]:
    # Fork is named because newer Pythons change the default; actors start in a tenth of spawn's time.
    return {"Admin Port": admin_port, "Process Startup Method": "fork"}


def _check_port_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise StartupError(f"port {port} of {LOOPBACK} can't be used: {os.strerror(error.errno or 0)}") from None


def _mend_thespian() -> None:
    """Keep Thespian on the loopback interface, and mend what would cost a life or a lot of time."""
    os.environ["THESPIAN_BASE_IPADDR"] = LOOPBACK
    if getattr(IPActorAddress, "_nyx_on_loopback", False):
        return
    original = IPActorAddress.__init__

    def bound(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        self.bindname = (LOOPBACK, self.sockname[1])

    IPActorAddress.__init__ = bound
    IPActorAddress._nyx_on_loopback = True
    # The admin restarts a dead logger with an attribute that it never sets.
    MultiProcAdmin.logDefs = _SILENT
    # Where two actors write to each other at once, the one that has to wait does so for 34 ms and more.
    transport.MIN_BACKOFF_DELAY = timedelta(milliseconds=1)
    # Each message is written out for a log line that nobody reads: with a thousand frames, that is most of its cost.
    ReceiveEnvelope.identify = TransmitIntent.identify = lambda self: "a message"
