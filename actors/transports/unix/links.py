"""All sockets of one process: who may connect, what is read, what is written, and when to try again.

One epoll descriptor, which lives as long as this does, watches everything. Whoever has the lock may post; only
:meth:`Links.poll` waits, without the lock.
"""

from __future__ import annotations

import contextlib
import errno
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
from .births import Births
from .connection import Connection, peer_user
from .door import SHORT_OF_FILES, Door, listen
from .framing import FramingError, introduce
from .limits import Limits
from .peer import Parcel, Peer
from .tally import CONNECTED, Tally, create
from .watches import Watches

_READING_BYTES = 1 << 18
# What a message that has come takes besides its bytes, here and at its sender, who keeps it until it is taken.
_HOLD_BYTES = 1024
# What connecting ends with where there is nobody, or somebody who is none of us. All else may pass.
_GONE = frozenset(
    # No number: Python itself refuses a path that is too long.
    {None, errno.ENOENT, errno.ECONNREFUSED, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.EPROTOTYPE}
)
_FIRST_RETRY_S, _LAST_RETRY_S = 0.001, 0.1
# How long to go on with a process that listens, but ends each connection before it has taken anything, in seconds.
_GIVE_UP_S = 10.0
# So many times what may wait to be written may have been written and not be taken yet. One that takes its messages
# never has as many, since it stops reading before; one that only reads them must not make its peers grow.
_UNTAKEN = 8
# Readings from a connection that can't be written to any more.
_LAST_READINGS = 64
# How often a sender that waits looks again, in seconds.
_LOOK_S = 0.1
# How often it is looked up what peers have taken, where nothing else gives an occasion to, in seconds.
_TRIM_S = 1.0


class Links:
    """The connections of one process to all others of its user that it talks with."""

    def __init__(self, path: str, limits: Limits, listener: socket.socket | None = None) -> None:
        self.path = path
        self.limits = limits
        self.counts: dict[str, int] = {}
        self.lock = threading.RLock()
        self.incoming: deque[tuple[Connection | None, Any]] = deque()
        """What has come, in order: a payload with its connection, or what this process has for itself, with none."""
        self.written: deque[TransmitIntent] = deque()
        """Whose messages were written, and who has not been told so yet."""
        self.failed: deque[tuple[TransmitIntent, Any]] = deque()
        self.lost: deque[tuple[Any, Any]] = deque()
        """Addresses and messages that were written, and never taken."""
        self.ready_watches: list[int] = []
        self._user = os.getuid()
        self._scratch = memoryview(bytearray(_READING_BYTES))
        self._peers: dict[str, Peer] = {}
        self._connections: dict[int, Connection] = {}
        self.is_orphaned = False
        """Whether the lifeline has ended."""
        self._lifeline = -1
        self._unconfirmed: set[Peer] = set()
        self._retrying: set[Peer] = set()
        self._next_trim = 0.0
        self._incoming_bytes = 0
        self._is_paused = False
        self._closed = False
        if listener is None:
            listener = listen(path)
        self._epoll = select.epoll()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._epoll.register(self._wake, select.EPOLLIN)
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

    def post(self, target: Any, intent: TransmitIntent, payload: bytes) -> None:
        """Send, now or as soon as the peer takes it."""
        with self.lock:
            if self._closed:
                self.failed.append((intent, SendStatus.DeadTarget))
                return
            peer = self._peer(target)
            peer.add(Parcel(intent, payload))
            self._push(peer)

    def is_full(self, path: str, most: int) -> bool:
        """Whether more than ``most`` bytes wait to be written to ``path``, or many times that to be taken."""
        peer = self._peers.get(path)
        return peer is not None and (
            peer.queued_bytes > most or peer.untaken_bytes > _UNTAKEN * self.limits.queue_bytes
        )

    def await_room(self, path: str, is_loop: bool = True) -> bool:
        """Wait until at most half of what may wait does; false if the peer takes nothing for the time allowed.

        The thread of the loop, or a program's only one, reads meanwhile; any other must leave that to the loop.
        """
        peer = self._peers.get(path)
        deadline = time.monotonic() + self.limits.stall_s
        while peer is not None and self._lacks_room(peer) and not peer.is_stalled:
            left, before = deadline - time.monotonic(), peer.written_bytes
            if left <= 0:
                peer.is_stalled = True
                break
            if is_loop:
                self.poll(min(left, _LOOK_S))
            else:
                self._await_writable(peer, min(left, _LOOK_S))
            if peer.written_bytes > before:
                deadline = time.monotonic() + self.limits.stall_s
            peer = self._peers.get(path)
        return peer is None or not peer.is_stalled

    def _lacks_room(self, peer: Peer) -> bool:
        with self.lock:
            peer.trim()
        limit = self.limits.queue_bytes
        return peer.queued_bytes > limit // 2 or peer.untaken_bytes > _UNTAKEN * limit

    def _await_writable(self, peer: Peer, timeout: float) -> None:
        connection = peer.connection
        if connection is None or not self._is_open(connection) or not len(peer):
            time.sleep(min(timeout, _LAST_RETRY_S))
            return
        waiting = select.poll()
        waiting.register(connection.fd, select.POLLOUT)
        waiting.poll(timeout * 1000)
        with self.lock:
            if self._is_open(connection):
                self._has_room(connection)

    def has_unsent(self) -> bool:
        """Whether anything waits to be written."""
        return any(len(peer) for peer in list(self._peers.values()))

    def unsent(self) -> list[tuple[Any, Any]]:
        """List addresses and messages that wait to be written."""
        with self.lock:
            return [(peer.address, message) for peer in self._peers.values() for message in peer.messages()]

    def wake(self) -> None:
        """End a wait of :meth:`poll`, also from a signal handler or another thread."""
        if self._closed:
            return
        with contextlib.suppress(BlockingIOError, OSError):
            os.eventfd_write(self._wake, 1)

    def _peer(self, target: Any) -> Peer:
        path = target.addressDetails.path
        peer = self._peers.get(path)
        if peer is None:
            peer = self._peers[path] = Peer(target)
        return peer

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
            self._watch_connection(connection)

    def _note_written(self, peer: Peer, parcels: Iterable[Parcel]) -> None:
        for parcel in parcels:
            if not parcel.is_settled:
                parcel.is_settled = True
                self.written.append(parcel.intent)
        if peer.untaken:
            self._unconfirmed.add(peer)

    def _drain(self, connection: Connection) -> None:
        """The peer reads no more: take what it said before, then let the connection go."""
        for _ in range(_LAST_READINGS):
            if not self._is_open(connection) or not self._read(connection):
                break
        if self._is_open(connection):
            self._ended(connection)

    def _is_ours(self, fd: int) -> bool:
        return (
            fd in self._connections or fd in self._door or fd in self.births or fd in (self._wake, self._epoll.fileno())
        )

    def _is_open(self, connection: Connection) -> bool:
        """Whether it is still this one: a new connection may have got the same descriptor."""
        return self._connections.get(connection.fd) is connection

    # Connecting.

    def _connect(self, peer: Peer) -> None:
        peer.retry_at = None
        self._retrying.discard(peer)
        try:
            connection = self._dial(peer)
        except BlockingIOError:
            # Its queue of new connections is full: it is alive.
            self._retry(peer)
        except OSError as error:
            if error.errno in SHORT_OF_FILES and self._close_an_idle_connection():
                self._connect(peer)
            elif error.errno in SHORT_OF_FILES:
                self._retry(peer)
            elif error.errno in _GONE:
                self._dead(peer)
            else:
                self._try_again(peer, False)
        else:
            peer.attach(connection)
            self._adopt(connection)
            self._push(peer)

    def _dial(self, peer: Peer) -> Connection:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            sock.connect(peer.path)
            if peer_user(sock) != self._user:
                self.count("refused: another user listens")
                raise PermissionError(errno.EACCES, "another user listens there")
            key = directory.key(os.path.dirname(peer.path))
            if key is None:
                raise PermissionError(errno.EACCES, "the key of that system is not known")
            page = create()
            try:
                tally = Tally(page, CONNECTED)
                socket.send_fds(sock, [introduce(key, self.path)], [page])
            finally:
                os.close(page)
        except BaseException:
            sock.close()
            raise
        return Connection(sock, peer.address, tally, self.limits.message_bytes)

    def _retry(self, peer: Peer) -> None:
        delay = min(_LAST_RETRY_S, _FIRST_RETRY_S * 2 ** min(peer.attempts, 10))
        peer.attempts += 1
        peer.retry_at = time.monotonic() + delay
        self._retrying.add(peer)

    def _forget(self, peer: Peer) -> None:
        self._peers.pop(peer.path, None)
        self._retrying.discard(peer)
        self._unconfirmed.discard(peer)

    def _dead(self, peer: Peer) -> None:
        """Nobody is there any more: every message on its way comes to nothing, and its sender is told."""
        self._forget(peer)
        for parcel in peer.give_up():
            if parcel.is_settled:
                self.lost.append((peer.address, parcel.intent.message))
            else:
                self.failed.append((parcel.intent, SendStatus.DeadTarget))

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
        connection = self._connections.get(fd)
        if connection is not None:
            if event & select.EPOLLOUT:
                self._has_room(connection)
            if event & ~select.EPOLLOUT and self._is_open(connection):
                if not self._is_paused:
                    self._read(connection)
                elif event & (select.EPOLLHUP | select.EPOLLERR):
                    # It has ended: no more comes than what the kernel holds.
                    self._drain(connection)
        elif fd == self._wake:
            with contextlib.suppress(BlockingIOError):
                os.eventfd_read(fd)
        elif fd in self.births:
            self.born += self.births.read()
        elif fd == self._lifeline:
            self._epoll.unregister(fd)
            self.is_orphaned = True
        elif fd in self._door:
            self._door.happened(fd)
        elif fd in self._watches:
            self.ready_watches.append(fd)

    def _has_room(self, connection: Connection) -> None:
        connection.waits_for_room = False
        peer = self._peers.get(connection.address.addressDetails.path)
        if peer is not None and peer.connection is connection:
            self._push(peer)
        if not connection.waits_for_room and self._is_open(connection):
            self._watch_connection(connection)

    def _next_deadline(self) -> float | None:
        """Return when something is to be done although nothing happens."""
        strangers = self._door.next_deadline()
        times = [] if strangers is None else [strangers]
        if self._unconfirmed:
            times.append(self._next_trim)
        if self._retrying:
            times += [peer.retry_at for peer in list(self._retrying) if peer.retry_at is not None]
        return min(times) if times else None

    def _tick(self) -> None:
        now = time.monotonic()
        self._door.expire(now)
        if now >= self._next_trim:
            self._next_trim = now + _TRIM_S
            for peer in list(self._unconfirmed):
                peer.trim()
                if not peer.untaken:
                    self._unconfirmed.discard(peer)
        for peer in [peer for peer in self._retrying if peer.retry_at is not None and peer.retry_at <= now]:
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
                if self._is_paused and self._incoming_bytes < self.limits.incoming_bytes // 2:
                    self._pause(False)
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
        if self._incoming_bytes > self.limits.incoming_bytes and not self._is_paused:
            self._pause(True)
        return True

    def _pause(self, pause: bool) -> None:
        """Read nothing more, or go on: what has come must be handed out first."""
        self._is_paused = pause
        for connection in self._connections.values():
            self._watch_connection(connection)

    def _watch_connection(self, connection: Connection) -> None:
        # While nothing is read, an end is to be reported once and not again and again.
        events = select.EPOLLET if self._is_paused else select.EPOLLIN
        if connection.waits_for_room:
            events |= select.EPOLLOUT
        self._epoll.modify(connection.fd, events)

    def _adopt(self, connection: Connection) -> None:
        self._connections[connection.fd] = connection
        self._epoll.register(connection.fd, select.EPOLLET if self._is_paused else select.EPOLLIN)

    def _release(self, connection: Connection) -> None:
        if self._is_open(connection):
            del self._connections[connection.fd]
            # Not left to close(): a process that is just being forked may have a copy of the descriptor.
            with contextlib.suppress(OSError):
                self._epoll.unregister(connection.fd)
            connection.close()

    def _ended(self, connection: Connection) -> None:
        """The connection is over; what the peer has not taken of it goes over a new one, or nobody is there."""
        self._release(connection)
        peer = self._peers.get(connection.address.addressDetails.path)
        if peer is None or peer.connection is not connection:
            return
        has_taken = connection.tally.taken_by_peer > 0
        peer.detach()
        self._unconfirmed.discard(peer)
        if not len(peer):
            del self._peers[peer.path]
        elif connection.tally.refused:
            self.count("refused by a peer")
            # Where there is no file, as in a private system, the key stays: a refusal must not cost it.
            directory.refresh_key(os.path.dirname(peer.path))
            self._dead(peer)
        else:
            self._try_again(peer, has_taken)

    def _try_again(self, peer: Peer, has_taken: bool) -> None:
        now = time.monotonic()
        if has_taken or not peer.gives_up_at:
            peer.gives_up_at = now + _GIVE_UP_S
            peer.attempts = 0
        if now > peer.gives_up_at:
            self._dead(peer)
        elif peer.attempts == 0:
            peer.attempts = 1
            self._connect(peer)
        else:
            self._retry(peer)

    def _close_an_idle_connection(self) -> bool:
        """Make room for another descriptor; false if every connection is needed."""
        busy = {id(connection) for connection, _ in self.incoming}
        for connection in list(self._connections.values()):
            peer = self._peers.get(connection.address.addressDetails.path)
            mine = peer is not None and peer.connection is connection
            if mine and peer is not None:
                peer.trim()
            if id(connection) in busy or (mine and peer is not None and (len(peer) or peer.untaken)):
                continue
            self._ended(connection)
            self.count("closed for want of descriptors")
            return True
        return False

    # Members that connect.

    def _admitted(self, sock: socket.socket, path: str, tally: Tally) -> None:
        """A member has introduced itself; what it sends is read, and what waits for it goes over its connection."""
        connection = Connection(sock, address(path), tally, self.limits.message_bytes)
        self._connections[connection.fd] = connection
        peer = self._peers.get(path)
        if peer is None:
            peer = self._peers[path] = Peer(connection.address)
        if peer.connection is None:
            self._retrying.discard(peer)
            peer.attach(connection)
            self._push(peer)
        if self._is_open(connection):
            self._watch_connection(connection)
            self._read(connection)

    def watch(self, fds: Iterable[int]) -> None:
        """Put each of these into :attr:`ready_watches` once, as soon as it can be read, and no others any more."""
        with self.lock:
            self._watches.set(fds)

    def hold_on_to(self, lifeline: int) -> None:
        """Note in :attr:`is_orphaned` when this pipe ends."""
        self._lifeline = lifeline
        self._epoll.register(lifeline, select.EPOLLIN)

    # The end.

    def descriptors(self) -> list[int]:
        """List the descriptors that must stay open."""
        own = [self._epoll.fileno(), self._wake, *self._door.descriptors(), *self._connections]
        return own if self._lifeline < 0 else [*own, self._lifeline]

    def close(self) -> None:
        """Close every socket and remove this one's path. Idempotent."""
        with self.lock:
            if self._closed:
                return
            with contextlib.suppress(OSError):
                os.unlink(self.path)
            for peer in self._peers.values():
                peer.detach()
            peers = list(self._peers.values())
            self._close_descriptors()
            for peer in peers:
                self._dead(peer)

    def abandon(self) -> None:
        """Close the descriptors only: what a forked process does with those of its parent, whose tallies it hasn't."""
        # Another thread may have held it as the process was forked.
        self.lock = threading.RLock()
        self._peers.clear()
        self._unconfirmed.clear()
        self._retrying.clear()
        self.incoming.clear()
        self._close_descriptors()

    def _close_descriptors(self) -> None:
        self._closed = True
        self._door.close()
        self.births.close()
        self._epoll.close()
        os.close(self._wake)
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()
