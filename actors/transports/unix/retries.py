"""Peers that could not be connected to, and when each of them is tried again."""

from __future__ import annotations

import time

from .peer import Peer

FIRST_RETRY_S, LAST_RETRY_S = 0.001, 0.1
# How long to go on with a process that listens, but ends each connection before it has taken anything, in seconds.
GIVE_UP_S = 10.0


class Retries:
    """Each waits twice as long as the time before, up to ``LAST_RETRY_S``. Not thread-safe."""

    def __init__(self) -> None:
        self.peers: set[Peer] = set()

    def put_off(self, peer: Peer) -> None:
        """Try it again a little later."""
        delay = min(LAST_RETRY_S, FIRST_RETRY_S * 2 ** min(peer.attempts, 10))
        peer.attempts += 1
        peer.retry_at = time.monotonic() + delay
        self.peers.add(peer)

    def is_over(self, peer: Peer, has_taken: bool) -> bool:
        """Whether it has failed for too long since it last took something, as it has on this connection or not."""
        now = time.monotonic()
        if has_taken or not peer.gives_up_at:
            peer.gives_up_at = now + GIVE_UP_S
            peer.attempts = 0
        return now > peer.gives_up_at

    def discard(self, peer: Peer) -> None:
        """It is being tried, or not needed."""
        self.peers.discard(peer)

    def clear(self) -> None:
        """Try nobody any more."""
        self.peers.clear()

    def due(self, now: float) -> list[Peer]:
        """Those whose time has come."""
        return [peer for peer in self.peers if peer.retry_at is not None and peer.retry_at <= now]

    def times(self) -> list[float]:
        """When they are to be tried."""
        return [peer.retry_at for peer in list(self.peers) if peer.retry_at is not None]
