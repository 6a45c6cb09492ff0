"""All sockets of one process: who may connect, what is read, what is written, and when to try again.

One epoll descriptor, which lives as long as this does, watches everything. Whoever has the lock may post; only
:meth:`Links.poll` waits, without the lock.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Iterable
from typing import Any

from thespian.system.transport import SendStatus, TransmitIntent

from . import directory
from .address import address
from .bell import Bell
from .births import Births
from .connection import Connection
from .connections import Connections
from .dialer import GONE, Dialer
from .door import SHORT_OF_FILES, Door, listen
from .fates import Fates
from .framing import FramingError
from .limits import Limits
from .note import Note
from .peer import Parcel, Peer
from .peers import Peers
from .retries import Retries
from .room import Room
from .tally import Tally
from .watches import Watches

_READING_BYTES = 1 << 18
# What a message that has come takes besides its bytes, here and at its sender, who keeps it until it is taken.
_HOLD_BYTES = 1024
# Readings from a connection that can't be written to any more.
_LAST_READINGS = 64


class Links:
    """The connections of one process to all others of its user that it talks with."""

    def __init__(self, path: str, limits: Limits, listener: socket.socket | None = None) -> None:
        self.path = path
        self.limits = limits
        self.counts: dict[str, int] = {}
        self.lock = threading.RLock()
        self.incoming: deque[tuple[Connection | None, Any]] = deque()
        """What has come, in order: a payload with its connection, or what this process has for itself, with none."""
        self.fates = Fates()
        self.ready_watches: list[int] = []
        self._scratch = memoryview(bytearray(_READING_BYTES))
        self._peers = Peers()
        self.is_orphaned = False
        """Whether the lifeline has ended."""
        self._lifeline = -1
        self._retries = Retries()
        self._incoming_bytes = 0
        self._closed = False
        if listener is None:
            listener = listen(path)
        self._epoll = select.epoll()
        self._connections = Connections(self._epoll)
        self._dialer = Dialer(path, limits, self.count)
        self.room = Room(limits, lambda: self.lock, self._peers.by_path, self._connections, self.poll, self._has_room)
        self._bell = Bell(self._epoll)
        self._watches = Watches(self._epoll, self._is_ours)
        self.births = Births(self._epoll)
        self.born: list[int] = []
        """The numbers of the children that have come up, and whose parent does not know yet."""
        self._door = Door(
            path, listener, self._epoll, limits, self.count, self._admitted, self._close_an_idle_connection
        )

    def count(self, what: str) -> None:
        """Note that something was refused or dropped."""
        self.counts[what] = self.counts.get(what, 0) + 1

    # Sending.

    def post(self, target: Any, intent: TransmitIntent | Note, payload: bytes) -> bool:
        """Send, now or as soon as the peer takes it; returns whether it was written: then no fate tells of it."""
        with self.lock:
            if self._closed:
                self.fates.failed.append((intent, SendStatus.DeadTarget))
                return False
            peer = self._peers.of(target)
            return self._hand_over(peer, Parcel(intent, payload))

    def has_unsent(self) -> bool:
        """Whether anything waits to be written."""
        return self._peers.has_unsent()

    def unsent(self) -> list[tuple[Any, Any]]:
        """List addresses and messages that wait to be written."""
        with self.lock:
            return self._peers.unsent()

    def wake(self) -> None:
        """End a wait of :meth:`poll`, also from a signal handler or another thread."""
        if not self._closed:
            self._bell.ring()

    def _hand_over(self, peer: Peer, parcel: Parcel) -> bool:
        """Write a message at once if that can be done, as it nearly always can."""
        connection = peer.connection
        if connection is None or connection.waits_for_room or connection.is_broken or len(peer):
            peer.add(parcel)
        else:
            peer.trim()
            # What is wrong, writing it once more tells.
            with contextlib.suppress(OSError):
                if peer.write_first(parcel):
                    parcel.is_settled = True
                    self._peers.unconfirmed.add(peer)
                    return True
        self._push(peer)
        return False

    def _push(self, peer: Peer) -> None:
        connection = peer.connection
        if connection is None:
            if peer.retry_at is None:
                self._connect(peer)
            return
        if connection.waits_for_room or connection.is_broken:
            return
        peer.trim()
        try:
            self._note_written(peer, peer.write())
        except BlockingIOError:
            pass
        except OSError:
            connection.is_broken = True
            self._drain(connection)
            return
        if len(peer):
            connection.waits_for_room = True
            self._connections.watch(connection)

    def _note_written(self, peer: Peer, parcels: Iterable[Parcel]) -> None:
        for parcel in parcels:
            if not parcel.is_settled:
                parcel.is_settled = True
                self.fates.written.append(parcel.intent)
        if peer.untaken:
            self._peers.unconfirmed.add(peer)

    def _drain(self, connection: Connection) -> None:
        """The peer reads no more: take what it said before, then let the connection go."""
        for _ in range(_LAST_READINGS):
            if not self._connections.is_open(connection) or not self._read(connection):
                break
        if self._connections.is_open(connection):
            self._ended(connection)

    def _is_ours(self, fd: int) -> bool:
        return (
            fd in self._connections.by_fd
            or fd in self._door
            or fd in self.births
            or fd in (self._bell.fd, self._epoll.fileno())
        )

    # Connecting.

    def _connect(self, peer: Peer) -> None:
        peer.retry_at = None
        self._retries.discard(peer)
        try:
            connection = self._dialer.dial(peer.path, peer.address)
        except BlockingIOError:
            # Its queue of new connections is full: it is alive.
            self._retries.put_off(peer)
        except OSError as error:
            if error.errno in SHORT_OF_FILES and self._close_an_idle_connection():
                self._connect(peer)
            elif error.errno in SHORT_OF_FILES:
                self._retries.put_off(peer)
            elif error.errno in GONE:
                self._dead(peer)
            else:
                self._try_again(peer, False)
        else:
            peer.attach(connection)
            self._connections.adopt(connection)
            self._push(peer)

    def _dead(self, peer: Peer) -> None:
        """Nobody is there any more: the senders of all that was on its way are told."""
        self._peers.forget(peer)
        self._retries.discard(peer)
        self.fates.dead(peer)

    # Waiting.

    def poll(self, timeout: float | None) -> None:
        """Wait up to ``timeout`` seconds (``None``: for ever) for anything to happen, and do what it asks for."""
        if self._closed:
            return
        until = self._next_deadline()
        if until is not None:
            left = max(0.0, until - time.monotonic())
            timeout = left if timeout is None else min(timeout, left)
        try:
            events = self._epoll.poll(timeout)
        except ValueError:  # closed by another thread
            return
        with self.lock:
            for fd, event in events:
                if not self._closed:
                    self._happened(fd, event)
            if not self._closed:
                self._tick()

    def _happened(self, fd: int, event: int) -> None:
        connection = self._connections.by_fd.get(fd)
        if connection is not None:
            if event == select.EPOLLIN and not self._connections.is_paused:
                self._read(connection)
                return
            if event & select.EPOLLOUT:
                self._has_room(connection)
            if event & ~select.EPOLLOUT and self._connections.is_open(connection):
                if not self._connections.is_paused:
                    self._read(connection)
                elif event & (select.EPOLLHUP | select.EPOLLERR):
                    # It has ended: no more comes than what the kernel holds.
                    self._drain(connection)
        elif fd == self._bell.fd:
            self._bell.silence()
        elif fd in self.births:
            self.born += self.births.read()
        elif fd == self._lifeline:
            self._epoll.unregister(fd)
            self.is_orphaned = True
        elif fd in self._door:
            self._door.happened(fd)
        elif fd in self._watches and self._watches.happened(fd):
            self.ready_watches.append(fd)

    def _has_room(self, connection: Connection) -> None:
        connection.waits_for_room = False
        peer = self._peers.by_path.get(connection.address.addressDetails.path)
        if peer is not None and peer.connection is connection:
            self._push(peer)
        if not connection.waits_for_room and self._connections.is_open(connection):
            self._connections.watch(connection)

    def _next_deadline(self) -> float | None:
        """Return when something is to be done although nothing happens."""
        first = self._door.next_deadline()
        if self._peers.unconfirmed and (first is None or self._peers.next_trim < first):
            first = self._peers.next_trim
        if self._retries.peers:
            times = self._retries.times()
            first = min(times if first is None else (first, *times), default=None)
        return first

    def _tick(self) -> None:
        now = time.monotonic()
        self._door.expire(now)
        if now >= self._peers.next_trim:
            self._peers.trim(now)
        for peer in self._retries.due(now) if self._retries.peers else ():
            self._connect(peer)

    # Receiving.

    def next_item(self) -> tuple[Connection | None, Any] | None:
        """Take the oldest of what has come; a message counts as taken from now on."""
        while self.incoming:
            item = connection, payload = self.incoming.popleft()
            if connection is None:
                return item
            with self.lock:
                self._incoming_bytes -= len(payload) + _HOLD_BYTES
                if self._connections.is_paused and self._incoming_bytes < self.limits.incoming_bytes // 2:
                    self._connections.pause(False)
            if not connection.is_void:
                connection.take()
                return item
        return None

    def _read(self, connection: Connection) -> bool:
        """Read once; false if there was nothing to read now."""
        try:
            payloads = connection.read(self._scratch)
        except BlockingIOError:
            return False
        except (EOFError, OSError):
            self._ended(connection)
            return True
        except FramingError:
            self.count("refused: broken frame")
            connection.is_void = True
            self._ended(connection)
            return True
        for payload in payloads:
            self.incoming.append((connection, payload))
            self._incoming_bytes += len(payload) + _HOLD_BYTES
        if self._incoming_bytes > self.limits.incoming_bytes and not self._connections.is_paused:
            self._connections.pause(True)
        return True

    def _ended(self, connection: Connection) -> None:
        """The connection is over; what the peer has not taken of it goes over a new one, or nobody is there."""
        self._connections.release(connection)
        peer = self._peers.at(connection)
        if peer is None or peer.connection is not connection:
            return
        has_taken = connection.tally.taken_by_peer > 0
        peer.detach()
        self._peers.unconfirmed.discard(peer)
        if not len(peer):
            self._peers.forget(peer)
        elif connection.tally.refused:
            self.count("refused by a peer")
            # Where there is no file, as in a private system, the key stays: a refusal must not cost it.
            directory.refresh_key(os.path.dirname(peer.path))
            self._dead(peer)
        else:
            self._try_again(peer, has_taken)

    def _try_again(self, peer: Peer, has_taken: bool) -> None:
        if self._retries.is_over(peer, has_taken):
            self._dead(peer)
        elif peer.attempts == 0:
            peer.attempts = 1
            self._connect(peer)
        else:
            self._retries.put_off(peer)

    def _close_an_idle_connection(self) -> bool:
        """Make room for another descriptor; false if every connection is needed."""
        busy = {id(connection) for connection, _ in self.incoming}
        for connection in list(self._connections.by_fd.values()):
            if id(connection) in busy or self._peers.need(connection):
                continue
            self._ended(connection)
            self.count("closed for want of descriptors")
            return True
        return False

    # Members that connect.

    def _admitted(self, sock: socket.socket, path: str, tally: Tally) -> None:
        """A member has introduced itself; what it sends is read, and what waits for it goes over its connection."""
        connection = Connection(sock, address(path), tally, self.limits.message_bytes)
        self._connections.by_fd[connection.fd] = connection
        peer = self._peers.by_path.get(path)
        if peer is None:
            peer = self._peers.by_path[path] = Peer(connection.address)
        if peer.connection is None:
            self._retries.discard(peer)
            peer.attach(connection)
            self._push(peer)
        if self._connections.is_open(connection):
            self._connections.watch(connection)
            self._read(connection)

    def watch(self, fds: Iterable[int]) -> None:
        """Put each of these into :attr:`ready_watches` once, as soon as it can be read, and no others any more."""
        with self.lock:
            self._watches.set(fds)

    def watch_again(self) -> None:
        """Put the same into :attr:`ready_watches` again, as soon as they can be read."""
        with self.lock:
            self._watches.again()

    def hold_on_to(self, lifeline: int) -> None:
        """Note in :attr:`is_orphaned` when this can be read, as a pipe can that ends."""
        self._lifeline = lifeline
        self._epoll.register(lifeline, select.EPOLLIN)

    # The end.

    def descriptors(self) -> list[int]:
        """List the descriptors that must stay open."""
        own = [self._epoll.fileno(), self._bell.fd, *self._door.descriptors(), *self._connections.by_fd]
        return own if self._lifeline < 0 else [*own, self._lifeline]

    def close(self) -> None:
        """Close every socket and remove this one's path. Idempotent."""
        with self.lock:
            if self._closed:
                return
            with contextlib.suppress(OSError):
                os.unlink(self.path)
            for peer in self._peers.by_path.values():
                peer.detach()
            peers = list(self._peers.by_path.values())
            self._close_descriptors()
            for peer in peers:
                self._dead(peer)

    def abandon(self) -> None:
        """Close the descriptors only: what a forked process does with those of its parent, whose tallies it hasn't."""
        # Another thread may have held it as the process was forked.
        self.lock = threading.RLock()
        self._peers.clear()
        self._retries.clear()
        self.incoming.clear()
        self._close_descriptors()

    def _close_descriptors(self) -> None:
        self._closed = True
        self._door.close()
        self.births.close()
        self._epoll.close()
        self._bell.close()
        self._connections.close()
