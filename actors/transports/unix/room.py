"""How a sender waits until its peer has taken enough of what is on its way."""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Callable, Mapping

from .connection import Connection
from .connections import Connections
from .limits import Limits
from .peer import Peer
from .retries import LAST_RETRY_S

# So many times what may wait to be written may have been written and not be taken yet. One that takes its messages
# never has as many, since it stops reading before; one that only reads them must not make its peers grow.
_UNTAKEN = 8
# How often a sender that waits looks again, in seconds.
_LOOK_S = 0.1


class Room:
    """For the messages of one process. The lock is held only to look, and never while it waits."""

    def __init__(
        self,
        limits: Limits,
        lock: Callable[[], threading.RLock],
        peers: Mapping[str, Peer],
        connections: Connections,
        poll: Callable[[float], None],
        go_on: Callable[[Connection], None],
    ) -> None:
        self._limits = limits
        self._lock = lock
        self._peers = peers
        self._connections = connections
        self._poll = poll
        self._go_on = go_on

    def is_missing(self, path: str, most: int) -> bool:
        """Whether more than ``most`` bytes wait to be written to ``path``, or many times that to be taken."""
        peer = self._peers.get(path)
        return peer is not None and (
            peer.queued_bytes > most or peer.untaken_bytes > _UNTAKEN * self._limits.queue_bytes
        )

    def wait(self, path: str, is_loop: bool = True) -> bool:
        """Wait until at most half of what may wait does; false if the peer takes nothing for the time allowed.

        The thread of the loop, or a program's only one, reads meanwhile; any other must leave that to the loop.
        """
        peer = self._peers.get(path)
        deadline = time.monotonic() + self._limits.stall_s
        while peer is not None and self._is_lacking(peer) and not peer.is_stalled:
            left, before = deadline - time.monotonic(), peer.written_bytes
            if left <= 0:
                peer.is_stalled = True
                break
            if is_loop:
                self._poll(min(left, _LOOK_S))
            else:
                self._await_writable(peer, min(left, _LOOK_S))
            if peer.written_bytes > before:
                deadline = time.monotonic() + self._limits.stall_s
            peer = self._peers.get(path)
        return peer is None or not peer.is_stalled

    def _is_lacking(self, peer: Peer) -> bool:
        with self._lock():
            peer.trim()
        limit = self._limits.queue_bytes
        return peer.queued_bytes > limit // 2 or peer.untaken_bytes > _UNTAKEN * limit

    def _await_writable(self, peer: Peer, timeout: float) -> None:
        connection = peer.connection
        if connection is None or not self._connections.is_open(connection) or not len(peer):
            time.sleep(min(timeout, LAST_RETRY_S))
            return
        waiting = select.poll()
        waiting.register(connection.fd, select.POLLOUT)
        waiting.poll(timeout * 1000)
        with self._lock():
            if self._connections.is_open(connection):
                self._go_on(connection)
