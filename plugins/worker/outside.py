"""What a plugin reaches outside its worker: connections and files, which its plugin actor opens and hands over.

Loaded when a plugin asks for the first time.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import IO, Any, NamedTuple

from ..errors import SandboxViolation
from .inbox import NO_DESCRIPTOR
from .protocol import (
    BY_POLICY,
    BY_RESOLVER,
    BY_SYSTEM,
    CONNECT,
    GRANTED,
    MAX_HOST_CHARS,
    MAX_PATH_BYTES,
    MAX_TIMEOUT_MS,
    OPEN,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .http import Http
    from .protocol import Message

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Refusal(NamedTuple):
    """Why there is no descriptor: ``cause`` is one of the protocol's ``BY_...``, ``errno`` may be 0."""

    cause: int
    errno: int
    text: str


NO_ROOM = Refusal(BY_SYSTEM, errno.EMFILE, "Too many open files: close some, or ask for more in the manifest")
"""The worker may hold no more descriptors."""
TOO_MANY = Refusal(BY_SYSTEM, errno.ETOOMANYREFS, os.strerror(errno.ETOOMANYREFS))
"""The kernel lets no more descriptors of this user travel."""


def descriptor_of(answer: tuple[Message, int]) -> int | Refusal:
    """Return the descriptor that an answer grants, or why it grants none."""
    message, fd = answer
    if message[0] == GRANTED:
        return NO_ROOM if fd == NO_DESCRIPTOR else fd
    return Refusal(*message[2:])


class Outside:
    """Turns what ``ask`` grants into sockets and files, and what it refuses into exceptions."""

    def __init__(self, plugin_id: int, ask: Callable[..., int | Refusal]) -> None:
        self._plugin_id = plugin_id
        self._ask = ask
        self._http: Http | None = None

    @property
    def http(self) -> Http:
        """Requests over connections that are made here."""
        if self._http is None:
            from .http import Http

            self._http = Http(self.connect)
        return self._http

    def connect(self, host: str, port: int, timeout: float) -> socket.socket:
        """Connect; see :meth:`nyx_plugins.plugins.Context.connect`."""
        timeout_ms = _checked(host, port, timeout)
        answer = self._ask(CONNECT, host, port, timeout_ms)
        if isinstance(answer, Refusal):
            raise self._error(answer, f"connect to {host}:{port}")
        try:
            connection = socket.socket(fileno=answer)
        except BaseException:
            os.close(answer)
            raise
        connection.settimeout(timeout)
        return connection

    def open(self, path: str | os.PathLike[str], mode: str, encoding: str | None) -> IO[Any]:
        """Open; see :meth:`nyx_plugins.plugins.Context.open`."""
        return open(os.fspath(path), mode, encoding=encoding, opener=self._opened)

    def _opened(self, path: str, flags: int) -> int:
        name = os.fsencode(path)
        if len(name) > MAX_PATH_BYTES:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), path)
        answer = self._ask(OPEN, name, flags & ~os.O_CLOEXEC)
        if isinstance(answer, Refusal):
            verb = "write to" if flags & _WRITES else "read of"
            raise self._error(answer, f"{verb} {path!r}", path)
        return answer

    def _error(self, refusal: Refusal, request: str, path: str | None = None) -> OSError:
        if refusal.cause == BY_POLICY:
            return SandboxViolation(self._plugin_id, request, refusal.text)
        if refusal.cause == BY_RESOLVER:
            return socket.gaierror(refusal.errno, refusal.text)
        return OSError(refusal.errno, refusal.text, path)


def _checked(host: object, port: object, timeout: object) -> int:
    """Refuse what has the wrong type or can't be sent; returns the milliseconds of ``timeout``."""
    if not isinstance(host, str) or type(port) is not int or not isinstance(timeout, (int, float)):
        kinds = ", ".join(type(value).__name__ for value in (host, port, timeout))
        raise TypeError(f"connect() takes a host (str), a port (int) and a timeout (a number), not {kinds}")
    if not host or len(host) > MAX_HOST_CHARS:
        raise ValueError(f"host of {len(host):,} characters: must have 1 to {MAX_HOST_CHARS}")
    host.encode()
    if not 1 <= port <= 0xFFFF:
        raise ValueError(f"port {port} is not in 1 to 65,535")
    if not 0.001 <= timeout <= MAX_TIMEOUT_MS / 1000:
        raise ValueError(f"timeout {timeout} s is not in 0.001 to {MAX_TIMEOUT_MS // 1000:,}")
    return round(timeout * 1000)
