"""Transport ``unix``: every actor in a process of its own, joined by Unix-domain sockets that only we can open.

The system base is in :mod:`.unix`, which knows nothing of this project; here it is put to use. The key of a system is
made in its host process and goes to the application over a pipe: it is written down nowhere.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from thespian.actors import ActorSystem, ActorSystemException
from thespian.system.transport import TransmitIntent, TransmitOnly

from ...config.errors import StartupError
from .._thespian import Address, keep_no_log_file
from ..messages.short_forms import SHORT_FORMS
from ..output import LOG_FORMAT
from ..runtime_dir import SOCKETS
from . import unix
from .unix import directory, short
from .unix.address import admin_address
from .unix.endpoint import ContextInit

_log = logging.getLogger("nyx_plugins.session")
# What loggers of actors are told is printed by Thespian's logger, as everything else is that actors print.
_LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": LOG_FORMAT}},
    "handlers": {"output": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"level": "WARNING", "handlers": ["output"]},
}
# Credit bounds what is under way between actors: nobody shall have to wait for room besides.
_LIMITS = unix.Limits(message_bytes=1 << 30, queue_bytes=1 << 28)
# How often it is looked whether to go on waiting for a peer.
for _number, _form in enumerate(SHORT_FORMS):
    short.register(_number, *_form)
_TURN = timedelta(seconds=0.2)
# How often a program that sends lets go of actors that have ended, in seconds.
_LOOK_S = 0.1


def boot(runtime_dir: Path) -> ActorSystem:
    """Start an actor system whose sockets lie in a new folder of the runtime directory.

    Call it in a process that holds nothing of the application: all actors are forked from it, and end with it.
    Raises :class:`StartupError`.
    """
    capabilities = {
        unix.DIRECTORY_CAPABILITY: str(runtime_dir / SOCKETS),
        unix.PRIVATE_CAPABILITY: True,
        # From here, and not by number: no moment is too early for this process to end.
        unix.LIFELINE_CAPABILITY: os.pidfd_open(os.getpid()),
        unix.MESSAGE_CAPABILITY: _LIMITS.message_bytes,
        unix.QUEUE_CAPABILITY: _LIMITS.queue_bytes,
    }
    try:
        return ActorSystem(unix.install(), capabilities, logDefs=_LOGGING, transientUnique=True)
    except ActorSystemException as error:
        raise StartupError(f"no actor system could be started: {error}") from None


def credentials(runtime_dir: Path) -> str:
    """Return what a program has to know to be let in, as text."""
    key = directory.key(str(runtime_dir / SOCKETS))
    assert key is not None
    return key.hex()


def address_text(address: Address) -> str:
    """Write an actor's address down."""
    return str(address.addressDetails.path)


def remove_sockets_of(runtime_dir: Path, pid: int) -> None:
    """Remove what a program that was killed has left of its sockets."""
    for path in (runtime_dir / SOCKETS).glob(f"{pid}-*"):
        directory.remove_socket(str(path))


class Endpoint:
    """A program's end of a running actor system: one thread receives, the caller's thread sends.

    Sending and receiving use a transport each, so that neither waits for the other.
    """

    synchronous = False

    def __init__(self, runtime_dir: Path, key: str, supervisor: str) -> None:
        keep_no_log_file()
        sockets = str(runtime_dir / SOCKETS)
        directory.remember_key(sockets, bytes.fromhex(key))
        init = ContextInit(admin_address({unix.DIRECTORY_CAPABILITY: sockets}), sockets, _LIMITS)
        self._sending = unix.UnixTransport(init)
        self._receiving = unix.UnixTransport(init)
        self.address: Address = self._receiving.myAddress
        self.supervisor: Address = unix.address(supervisor)
        self._thread: threading.Thread | None = None
        self._closed = False
        self._next_look = 0.0

    def start(self, on_message: Callable[[Any], None], on_failure: Callable[[str], None]) -> None:
        """Call ``on_message`` with everything that arrives, from a thread of this endpoint's own.

        ``on_failure(reason)`` is called there if that thread ends before :meth:`close`.
        """
        self._thread = threading.Thread(
            target=self._run, args=(on_message, on_failure), name="nyx-plugins-receive", daemon=True
        )
        self._thread.start()

    def send(self, target: Address, message: Any) -> None:
        """Send one message; returns when it was written, or there is no such peer. Not thread-safe."""
        self._let_go_of_ended()
        note = self._sending.send(target, message, None)
        while note is not None and note.result is None and not self._closed:
            self._sending.run(TransmitOnly, _TURN)

    def _let_go_of_ended(self) -> None:
        """No loop runs there: without this, connections to actors that have ended would stay open."""
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + _LOOK_S
            self._sending.let_go_of_ended()

    def close(self) -> None:
        """Stop receiving and close every socket of this endpoint. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._receiving.scheduleTransmit(None, TransmitIntent(self.address, _Quit()))
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(5.0)
        self._sending.close()
        self._receiving.close()

    def _run(self, on_message: Callable[[Any], None], on_failure: Callable[[str], None]) -> None:
        try:
            self._receive(on_message)
        except Exception as error:
            _log.exception("the thread that receives from the system has failed")
            on_failure(f"internal error: {error!r}")

    def _receive(self, on_message: Callable[[Any], None]) -> None:
        def receive(envelope: Any) -> bool:
            if isinstance(envelope.message, _Quit):
                return False
            on_message(envelope.message)
            return True

        self._receiving.run(receive)


class _Quit:
    """Sent by an endpoint to itself, to end its receiving thread."""
