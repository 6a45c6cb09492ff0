"""A worker's way in: messages of the host, and its answers to what plugin code asks for, from whichever thread."""

from __future__ import annotations

import os
import sys
from _socket import CMSG_SPACE, MSG_CMSG_CLOEXEC, MSG_CTRUNC, socket
from _thread import allocate_lock

from . import protocol
from .protocol import GRANTED, REFUSED, REPLIED, UNDELIVERED, MessageReader, ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _thread import LockType
    from collections.abc import Callable

    from .protocol import Message

_CHUNK_BYTES = 65_536
_FD_BYTES = 4
_CONTROL_BYTES = CMSG_SPACE(_FD_BYTES)
# The plugin's configuration may be nested; everything else is flat.
_MAX_DEPTH = 100
NO_DESCRIPTOR = -1
_REPLIES = frozenset({GRANTED, REFUSED, REPLIED, UNDELIVERED})


class Inbox:
    """Reads the worker's socket for all threads that wait for something: one of them reads, the others sleep.

    When the host is gone, the process ends at once. When it breaks the protocol, whoever waits has the
    :class:`ProtocolError`: a plugin's thread might keep it for itself.
    """

    def __init__(self, fd: int) -> None:
        self._socket = socket(fileno=fd)
        self._reader = MessageReader(max_depth=_MAX_DEPTH)
        self._reading = allocate_lock()
        self._sleepers: list[LockType] = []
        self._messages: list[Message] = []
        self._descriptors: list[int] = []
        self._requests = 0
        self._numbering = allocate_lock()
        self._replies: dict[int, tuple[Message, int] | None] = {}
        self._forgotten: set[int] = set()
        self._fault: ProtocolError | None = None

    def next(self) -> Message:
        """Wait for the next message that is no reply; for the worker's own thread only."""
        while not self._messages:
            if self._reading.acquire(False):
                self._read_if(not self._messages)
            else:
                self._wait(lambda: bool(self._messages))
        return self._messages.pop(0)

    def expect(self) -> int:
        """Return the id for a new request; :meth:`reply` or :meth:`forget` has to follow."""
        with self._numbering:
            self._requests += 1
            self._replies[self._requests] = None
            return self._requests

    def reply(self, request_id: int) -> tuple[Message, int]:
        """Wait for the reply, and the descriptor that came with it.

        ``NO_DESCRIPTOR`` stands where there is none, or where this process may open no more.
        """
        self._wait(lambda: self._replies[request_id] is not None)
        reply = self._replies.pop(request_id)
        assert reply is not None
        return reply

    def forget(self, request_id: int) -> None:
        """Give up waiting: what comes as a reply is let go."""
        with self._numbering:
            if request_id not in self._replies:
                return
            reply = self._replies.pop(request_id)
            if reply is None:
                self._forgotten.add(request_id)
            else:
                _close(reply[1])

    def close(self) -> None:
        """Close the socket. A worker never does: it ends."""
        self._socket.close()

    def _wait(self, is_there: Callable[[], bool]) -> None:
        """Read until it is there, or sleep while another thread reads.

        Who stops reading wakes everybody, so that somebody reads as long as anybody waits.
        """
        woken = allocate_lock()
        woken.acquire()
        self._sleepers.append(woken)
        try:
            while not is_there():
                if self._reading.acquire(False):
                    self._read_if(not is_there())
                else:
                    woken.acquire()
        finally:
            self._sleepers.remove(woken)
            self._wake_all()

    def _read_if(self, is_needed: bool) -> None:
        """Read once, as the one thread that reads, and then let another do it."""
        try:
            if is_needed:
                self._read()
        finally:
            self._reading.release()
            if self._sleepers:
                self._wake_all()

    def _wake_all(self) -> None:
        for sleeper in tuple(self._sleepers):
            try:
                sleeper.release()
            except RuntimeError:
                # Awake already.
                continue

    def _read(self) -> None:
        if self._fault is not None:
            raise ProtocolError(self._fault.what)
        try:
            self._take(*self._received())
        except ProtocolError as error:
            self._fault = error
            raise

    def _received(self) -> tuple[bytes, list[tuple[int, int, bytes]], int]:
        try:
            data, control, flags, _ = self._socket.recvmsg(_CHUNK_BYTES, _CONTROL_BYTES, MSG_CMSG_CLOEXEC)
        except OSError:
            data = b""
        if not data:
            os._exit(0)
        return data, control, flags

    def _take(self, data: bytes, control: list[tuple[int, int, bytes]], flags: int) -> None:
        for _, _, content in control:
            self._descriptors.append(int.from_bytes(content[:_FD_BYTES], sys.byteorder))
        if flags & MSG_CTRUNC:
            self._descriptors.append(NO_DESCRIPTOR)
        for message in self._reader.feed(data):
            # A kind that is no number is for the worker's own thread to refuse.
            if message[0].__class__ is int and message[0] in _REPLIES:
                self._take_reply(message)
            else:
                self._messages.append(message)

    def _take_reply(self, message: Message) -> None:
        fd, request_id = NO_DESCRIPTOR, _answered(message)
        if message[0] == GRANTED:
            if not self._descriptors:
                raise ProtocolError(f"request {request_id} is granted without a descriptor")
            fd = self._descriptors.pop(0)
        with self._numbering:
            if request_id in self._forgotten:
                self._forgotten.discard(request_id)
                _close(fd)
            elif self._replies.get(request_id, fd) is None:
                self._replies[request_id] = (message, fd)
            else:
                _close(fd)
                raise ProtocolError(f"reply to request {request_id}, which was not made or is answered")


def _answered(message: Message) -> int:
    """Return the id of the request that a reply answers."""
    match message:
        case [protocol.GRANTED, int(request_id)] | [protocol.REFUSED, int(request_id), int(), int(), str()]:
            return request_id
        case [protocol.REPLIED, int(request_id), bytes() | None]:
            return request_id
        case [protocol.UNDELIVERED, int(request_id), str(), str(), dict()]:
            return request_id
    raise ProtocolError(f"reply of {len(message)} items has not the fields that it should have")


def _close(fd: int) -> None:
    if fd != NO_DESCRIPTOR:
        os.close(fd)
