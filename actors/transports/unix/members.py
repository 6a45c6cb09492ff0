"""The processes of a system: its admin and its actors, and what is mended in Thespian on the way.

* Thespian holds an actor back that sends more than some 3,000 messages a second, to spare a network of 100 Mbit/s.
  There is no network here.
* It restarts a logger that died with an attribute that it never set, and under another address, which nobody is told.
* It writes each message out for a log line that is hardly ever written, and asks of each at length whether it is for
  somebody else than the actor.
* It looks at so many objects before a child runs, each in a page that has to be copied, that a hundred children take
  twice as long as they need.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import logging
import os
import signal
import time
import traceback
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

from thespian.actors import (
    ActorAddress,
    ActorExitRequest,
    ActorSystemFailure,
    ActorSystemMessage,
    NoCompatibleSystemForActor,
    PoisonMessage,
    ThespianWatch,
    WakeupMessage,
    WatchMessage,
)
from thespian.system import multiprocCommon
from thespian.system.addressManager import CannotPickleAddress
from thespian.system.logdirector import ThespianLogForwarder
from thespian.system.messages.admin import PendingActorResponse
from thespian.system.messages.multiproc import EndpointConnected
from thespian.system.sourceLoader import loadModuleFromHashSource
from thespian.system.systemCommon import actorStartupFailed
from thespian.system.transport import ReceiveEnvelope, SendStatus, TransmitIntent
from thespian.system.utilis import actualActorClass, checkActorCapabilities

from .actor_class import init_arguments, qualified
from .births import announce
from .endpoint import UnixEndpoint
from .envelope import Envelope, LifelineEnded
from .forked import ForkedProcess, start_process
from .signals import catch_signals
from .transport import UnixTransport
from .waiting import Waiting

CATCHES_ALL = "catches_all"
"""Attribute of an actor that raises nothing, and returns the same watch again as long as it watches the same."""
# How long an admin waits for its logger to end, in seconds.
_LOGGER_S = 3.0
# How long actors may take to end by themselves once the system's lifeline has, in seconds; then they are killed.
_NOTICE_S = 2.5
_setproctitle: Callable[[str], None] | None = None
with contextlib.suppress(ImportError):
    # An optional package. Looked for here, once, and not by each process that is forked.
    _setproctitle = importlib.import_module("setproctitle").setproctitle


class _Member:
    """What an admin and an actor have in common here. The names are Thespian's."""

    transport: UnixTransport
    asLogger: ActorAddress | None
    capabilities: dict[str, Any]
    logdefs: Any
    _adminAddr: ActorAddress
    _addrManager: Any
    _child_procs: list[Any]
    _receiveQueue: list[ReceiveEnvelope]
    _handleOneMessage: Callable[[ReceiveEnvelope], bool]
    _retryPendingChildOperations: Callable[[int, ActorAddress | None], None]
    _registerChild: Callable[[ActorAddress], None]
    _sCBStats: Any
    _sourceHash: str | None

    def init_replicator(self, transport: UnixTransport, context: Any) -> None:
        """Thespian's: called as the object is made."""
        self.mpcontext = context
        self._ending: list[Any] = []
        self._awaitingAddressUpdate = Waiting()

    def _send_intent(self, intent: TransmitIntent, curtime: Any = None) -> None:
        self._send_intent_to_transport(intent)

    def _send_intent_to_transport(self, intent: TransmitIntent) -> None:
        try:
            self.transport.scheduleTransmit(self._addrManager, intent)
            self._sCBStats.inc("Actor.Message Send.Transmit Started")
        except CannotPickleAddress as error:
            self._sCBStats.inc("Actor.Message Send.Postponed for Address")
            self._awaitingAddressUpdate.add(error.address, intent)
        except Exception as error:
            self._unsendable(intent, error)

    def _unsendable(self, intent: TransmitIntent, error: Exception) -> None:
        self._sCBStats.inc("Actor.Message Send.Transmit Poison Rejection")
        if not isinstance(intent.message, logging.LogRecord):
            kind = type(intent.message).__name__
            logging.error("%s for %s can't be sent: %s: %s", kind, intent.targetAddr, type(error).__name__, error)
            if not isinstance(intent.message, PoisonMessage):
                poison = PoisonMessage(intent.message, traceback.format_exc())
                self._receiveQueue.append(Envelope(intent.targetAddr, poison))
        intent.tx_done(SendStatus.Failed)

    def _startChildActor(
        self,
        childAddr: ActorAddress,
        childClass: Any,
        globalName: str | None,
        parentAddr: ActorAddress,
        notifyAddr: ActorAddress,
        childRequirements: Any = None,
        sourceHash: str | None = None,
        sourceToLoad: Any = None,
    ) -> None:
        if self.asLogger is None:
            raise ActorSystemFailure("the system is not up yet")
        loader = partial(loadModuleFromHashSource, sourceHash, {sourceHash: sourceToLoad}) if sourceHash else None
        if not checkActorCapabilities(childClass, self.capabilities, childRequirements, loader):
            raise NoCompatibleSystemForActor(childClass, "no system has compatible capabilities")
        endpoint = self.transport.prepEndpoint(childAddr, self.capabilities)
        arguments = (
            qualified(childClass), globalName, sourceHash or self._sourceHash, sourceToLoad, parentAddr,
            self._adminAddr, notifyAddr, self.asLogger, childRequirements, self.capabilities, self.mpcontext,
            self.logdefs,
        )  # fmt: skip
        name = f"Actor_{getattr(childClass, '__name__', childClass)}"
        if not hasattr(self, "_child_procs"):
            self._child_procs = []
        if self.mpcontext is None or self.mpcontext.get_start_method() == "fork":
            init_arguments(childClass)
            self._fork(childAddr, childClass, endpoint, arguments, name)
        else:
            process = start_process(self.mpcontext, start_actor, (endpoint, *arguments), name)
            self._child_procs.append(multiprocCommon.ChildInfo(childAddr, childClass, process, endpoint.addrInst))

    def _fork(
        self, local: ActorAddress, actor: Any, endpoint: UnixEndpoint, arguments: tuple[Any, ...], name: str
    ) -> ActorAddress:
        """Fork the child; its socket, which its parent makes, goes with it. Returns its address."""
        known = self.transport.prepare_fork(endpoint)
        try:
            process = ForkedProcess(start_actor, (endpoint, *arguments), name)
        finally:
            endpoint.leave_to_child()
        self._child_procs.append(multiprocCommon.ChildInfo(local, actor, process, endpoint.addrInst))
        return known

    def childDied(self) -> bool:
        """Thespian's: some child has ended. It does not know what to say of one that had not come up."""
        for child in list(getattr(self, "_child_procs", ())):
            if not hasattr(child, "childRealAddr") and not child.childProc.is_alive():
                self._child_procs.remove(child)
                self.transport.never_up(child.childNum)
                self._never_up(child.childNum)
        self._ending = [child for child in self._ending if child.childProc.is_alive()]
        return bool(super().childDied())  # type: ignore[misc]  # the other base has it

    def _childExited(self, address: ActorAddress) -> None:
        """Thespian's: forget a child. It forgets all others that have ended too, of whose end nobody was told yet."""
        own = getattr(self, "_child_procs", [])
        gone = [child for child in own if getattr(child, "childRealAddr", None) == address]
        self._child_procs = [child for child in own if child not in gone]
        self._ending = [child for child in (*self._ending, *gone) if child.childProc.is_alive()]

    def _never_up(self, number: int) -> None:
        self._retryPendingChildOperations(number, None)

    def _leave(self) -> None:
        """Close the transport, the last thing; children that are not up yet, whom nobody has asked to end, are now."""
        for child in getattr(self, "_child_procs", ()):
            if not hasattr(child, "childRealAddr") and child.childProc.is_alive():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child.childProc.pid, signal.SIGTERM)
        self.transport.close()


class UnixAdmin(_Member, multiprocCommon.MultiProcAdmin):
    """Thespian's admin, which can also lose its logger, and ends with its lifeline."""

    def __init__(self, transport: Any, address: Any, capabilities: Any, logdefs: Any, context: Any) -> None:
        super().__init__(transport, address, capabilities, logdefs, context)
        self.logDefs = logdefs
        self._is_up = False

    def handleIncoming(self, envelope: ReceiveEnvelope) -> bool:
        """Thespian's: handle a message."""
        if isinstance(envelope.message, LifelineEnded):
            self._end_everybody()
        return bool(super().handleIncoming(envelope))

    def _end_everybody(self) -> None:
        """Kill all processes of the system, once actors have had time to notice what has happened, and to clean up."""
        deadline = time.monotonic() + _NOTICE_S
        for child in getattr(self, "_child_procs", ()):
            child.childProc.join(max(0.0, deadline - time.monotonic()))
        os.killpg(os.getpgrp(), signal.SIGKILL)

    def h_LoggerConnected(self, envelope: ReceiveEnvelope) -> bool:
        """Go on; with a logger that replaces one that died, nothing else changes."""
        if self._is_up:
            self.asLogger = envelope.sender
            self._activate_waiting()
            return True
        self._is_up = True
        return bool(super().h_LoggerConnected(envelope))

    def _activate_waiting(self) -> None:
        """Handle what came while there was no logger."""
        waiting = list(self._pre_init_msgs)
        self._pre_init_msgs.clear()
        for envelope in waiting:
            self.handleIncoming(envelope)

    def _never_up(self, number: int) -> None:
        # As the system shuts down, Thespian has answered them all, and keeps a list here.
        requests = self._pendingChildren.pop(number, ()) if isinstance(self._pendingChildren, dict) else ()
        for request in requests:
            self._sendPendingActorResponse(
                request, None, PendingActorResponse.ERROR_Invalid_ActorClass, "its process ended before it was up"
            )
        super()._never_up(number)

    def run(self) -> None:
        """Run until the system is shut down, and remove its sockets, once the logger listens no more."""
        try:
            super().run()
        finally:
            if getattr(self, "asLogProc", None) is not None:
                self.asLogProc.childProc.join(_LOGGER_S)
            self._leave()


class UnixManager(_Member, multiprocCommon.MultiProcManager):
    """Thespian's manager of one actor."""

    def init_replicator(self, transport: UnixTransport, context: Any) -> None:
        """Thespian's: called as the object is made."""
        super().init_replicator(transport, context)
        self._watch: ThespianWatch | None = None
        self._forked: set[int | None] = set()

    def handleMessages(self, envelope: ReceiveEnvelope) -> Any:
        """Thespian's: hand a message to the actor; it asks of each, at length, whether it is for somebody else."""
        message, actor = envelope.message, self.actorInst
        kind: Any = type(message)
        if not (_is_for_actor(kind) and getattr(actor, CATCHES_ALL, False)) or self._is_at_an_end():
            self._watch = None
            return super().handleMessages(envelope)
        sender = envelope.sender
        if self._addrManager._deadAddrs or not hasattr(sender, "eqOverride"):
            self._addrManager.importAddr(sender)
        watch = actor.receiveMessage(message, sender)
        if watch is not self._watch:
            self.transport.set_watch([] if watch is None else watch.filenos)
            self._watch = watch
        elif kind is WatchMessage:
            self.transport.watch_again()
        goes_on = True
        while goes_on and self._receiveQueue:
            goes_on = self._handleOneMessage(self._receiveQueue.pop(0))
        return goes_on

    def actor_send(self, target: ActorAddress, message: Any) -> None:
        """Thespian's: send what the actor wants to be sent; its own way is long, and nearly always the same."""
        kind: Any = type(message)
        if not (_is_for_actor(kind) and self.transport.is_other(target)) or self._is_dead(target):
            super().actor_send(target, message)
            return
        try:
            self.transport.send(target, message, self.actor_send_fail)
        except CannotPickleAddress:
            # It tells of an actor that is not up yet, and waits for that.
            super().actor_send(target, message)
        except Exception as error:
            self._unsendable(TransmitIntent(target, message, onError=self.actor_send_fail), error)

    def _is_dead(self, target: ActorAddress) -> bool:
        return bool(self._addrManager._deadAddrs) and self._addrManager.isDeadAddress(target)

    def _fork(
        self, local: ActorAddress, actor: Any, endpoint: UnixEndpoint, arguments: tuple[Any, ...], name: str
    ) -> ActorAddress:
        """Fork a child, which is known from then on: messages to it, or that tell of it, wait for nothing.

        One that waited until another child is up would be overtaken by what is sent after it, and lost if that child
        died before.
        """
        known = super()._fork(local, actor, endpoint, arguments, name)
        self._addrManager.associateUseableAddress(self.transport.myAddress, endpoint.addrInst, known)
        self._registerChild(known)
        self._forked.add(endpoint.addrInst)
        if getattr(self, "_exiting", False):
            self._send_intent(TransmitIntent(known, ActorExitRequest(recursive=True)))
        return known

    def _is_at_an_end(self) -> bool:
        """Whether it has just begun, or is about to end: then not everything reaches the actor."""
        return self.asLogger is None or getattr(self, "_exiting", False)

    def _createInstance(self) -> None:
        """Make the actor; Thespian's own takes long to find out which arguments its constructor has."""
        load = partial(loadModuleFromHashSource, self._sourceHash, self._sources) if self._sourceHash else None
        given = {"capabilities": self.capabilities, "requirements": self._childReqs}
        try:
            actor = actualActorClass(self._actorClass, load)
            wanted = init_arguments(actor)
            instance = actor(**{name: value for name, value in given.items() if name in wanted})
        except Exception:
            logging.getLogger(str(self._actorClass)).error(
                "Actor %s @ %s can't be made", self._actorClass, self.transport.myAddress, exc_info=True
            )
            self._sCBStats.inc("Actor.Instance Create Failed")
            self._sayGoodbye()
            return
        self._sCBStats.inc("Actor.Instance Created")
        self.actorInst = instance
        instance._myRef = self

    def _pendingActorReady(self, childInstance: int, actualAddress: ActorAddress, isMyChild: bool = True) -> None:
        """A child is up. One that was forked is known; another has not been told yet if this actor is about to end."""
        is_known = childInstance in self._forked
        self._forked.discard(childInstance)
        super()._pendingActorReady(childInstance, actualAddress, isMyChild and not is_known)
        if getattr(self, "_exiting", False) and not is_known:
            self._send_intent(TransmitIntent(actualAddress, ActorExitRequest(recursive=True)))

    def run(self) -> None:
        """Run until the actor ends, and remove its socket."""
        try:
            super().run()
        finally:
            self._leave()


@lru_cache
def _is_for_actor(kind: type) -> bool:
    """Whether messages of this class concern nobody but the actor."""
    return kind in (WakeupMessage, WatchMessage) or not issubclass(kind, (ActorSystemMessage, logging.LogRecord))


def start_actor(
    endpoint: UnixEndpoint,
    actor: Any,
    global_name: str | None,
    source_hash: str | None,
    source: Any,
    parent: ActorAddress,
    admin: ActorAddress,
    notify: ActorAddress,
    logger: ActorAddress,
    requirements: Any,
    capabilities: Any,
    context: Any,
    log_settings: Any,
) -> None:
    """Be an actor: the main function of its process."""
    # What was inherited is never garbage here: looking for some would only copy its pages.
    gc.freeze()
    transport = UnixTransport(endpoint)
    _log_to(logger, transport, log_settings)
    manager = UnixManager(
        actor, global_name, transport, source_hash, source, parent, admin,
        requirements, capabilities, context, log_settings,
    )  # fmt: skip
    manager.asLogger = logger
    if endpoint.addrInst is not None and endpoint.listener is not None:
        if not announce(endpoint.birth, endpoint.addrInst):
            transport.close()
            return
    else:
        connected = TransmitIntent(notify, EndpointConnected(endpoint.addrInst))
        transport.scheduleTransmit(None, connected.addCallback(onFailure=actorStartupFailed))
    name = getattr(actor, "__name__", str(actor)).rpartition(".")[-1]
    if _setproctitle is not None:
        _setproctitle(f"{name} {transport.myAddress}")
    catch_signals(manager)
    manager.run()


def _log_to(logger: ActorAddress, transport: UnixTransport, settings: Any) -> None:
    """Send all log records of this process to the logger; Thespian's way, which logging has no interface for."""
    level = multiprocCommon.get_min_log_level(settings)
    logging.root = ThespianLogForwarder(logger, transport, logLevel=level)
    logging.Logger.root = logging.root  # as Thespian does
    logging.Logger.manager = logging.Manager(logging.Logger.root)
