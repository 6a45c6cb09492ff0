"""Transport ``inline``: Thespian's simpleSystemBase, every actor and plugin in this process, for tests and debugging.

It promises delivery and errors. It does not promise containment, deadlines or backoff: a handler that hangs hangs the
caller, one that kills the process kills the application.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from thespian.actors import ActorExitRequest, ActorSystem

from .._thespian import RUN_ALL, Address, keep_no_log_file


class Endpoint:
    """The only session's end of an actor system that runs whenever a message is sent, on the sender's thread."""

    synchronous = True

    def __init__(self, supervisor: type) -> None:
        keep_no_log_file()
        logging.getLogger("Thespian").setLevel(logging.CRITICAL)
        self._system = ActorSystem("simpleSystemBase", logDefs=False, transientUnique=True)
        self._turn = threading.RLock()
        self._outgoing: deque[tuple[Address, Any]] = deque()
        self._running = False
        self._on_message: Callable[[Any], None] = lambda _: None
        setattr(self._system._systemBase, RUN_ALL, self._run_all)
        self.address: Address = self._system._systemBase.actorRegistry["System:ExternalRequester"].address
        self.supervisor: Address = self._system.createActor(supervisor)

    def start(self, on_message: Callable[[Any], None], on_failure: Callable[[str], None]) -> None:
        """Call ``on_message`` with all that arrives, before the ``send`` that caused it returns or fails."""
        self._on_message = on_message

    def send(self, target: Address, message: Any) -> None:
        """Send one message and run all actors until none has anything to do. Thread-safe."""
        with self._turn:
            self._outgoing.append((target, message))
            if self._running:
                # Sent from within on_message, or by a handler: the loop that is running below takes it.
                return
            self._running = True
            try:
                while self._outgoing:
                    self._system.tell(*self._outgoing.popleft())
                    self._receive()
            finally:
                self._running = False

    def _run_all(self) -> None:
        """Let actors and session go on while one of the actors waits, below on the stack."""
        with self._turn:
            self._system._systemBase._runSends()
            self._receive()
            while self._outgoing:
                self._system.tell(*self._outgoing.popleft())
                self._receive()

    def close(self) -> None:
        """End the actors, so that they let go of what they hold, and forget them. Idempotent."""
        with self._turn:
            if self._system._systemBase is not None:
                self._system.tell(self.supervisor, ActorExitRequest(recursive=True))
                self._system.shutdown()

    def _receive(self) -> None:
        while (message := self._system.listen(0)) is not None:
            self._on_message(message)
