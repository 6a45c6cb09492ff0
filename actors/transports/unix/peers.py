"""All peers of one process for which something is on its way, or to which there is a connection."""

from __future__ import annotations

from typing import Any

from .connection import Connection
from .peer import Peer

# How often it is looked up what peers have taken, where nothing else gives an occasion to, in seconds.
_TRIM_S = 1.0


class Peers:
    """By path. Not thread-safe, but for :meth:`has_unsent`."""

    def __init__(self) -> None:
        self.by_path: dict[str, Peer] = {}
        self.unconfirmed: set[Peer] = set()
        """Those that have not taken yet what was written."""
        self.next_trim = 0.0
        """When to look what they have taken (monotonic), if there are any."""

    def of(self, target: Any) -> Peer:
        """Return the peer at this address, perhaps a new one."""
        path = target.addressDetails.path
        peer = self.by_path.get(path)
        if peer is None:
            peer = self.by_path[path] = Peer(target)
        return peer

    def at(self, connection: Connection) -> Peer | None:
        """Return the peer that this connection leads to, whether its messages go over it or over another."""
        return self.by_path.get(connection.address.addressDetails.path)

    def need(self, connection: Connection) -> bool:
        """Whether anything is on its way over this connection."""
        peer = self.at(connection)
        if peer is None or peer.connection is not connection:
            return False
        peer.trim()
        return bool(len(peer) or peer.untaken)

    def forget(self, peer: Peer) -> None:
        """Nothing is on its way there any more."""
        self.by_path.pop(peer.path, None)
        self.unconfirmed.discard(peer)

    def clear(self) -> None:
        """Forget all."""
        self.by_path.clear()
        self.unconfirmed.clear()

    def trim(self, now: float) -> None:
        """Look what they have taken, and when to look again."""
        self.next_trim = now + _TRIM_S
        for peer in list(self.unconfirmed):
            peer.trim()
            if not peer.untaken:
                self.unconfirmed.discard(peer)

    def has_unsent(self) -> bool:
        """Whether anything waits to be written."""
        return any(len(peer) for peer in list(self.by_path.values()))

    def unsent(self) -> list[tuple[Any, Any]]:
        """List addresses and messages that wait to be written."""
        return [(peer.address, message) for peer in self.by_path.values() for message in peer.messages()]
