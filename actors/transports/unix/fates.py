"""What became of messages, until their senders have been told."""

from __future__ import annotations

from collections import deque
from typing import Any

from thespian.system.transport import SendStatus, TransmitIntent

from .peer import Peer


class Fates:
    """Of all messages of one process. Whoever tells takes them from the left."""

    def __init__(self) -> None:
        self.written: deque[TransmitIntent] = deque()
        """Whose messages were written, and who has not been told so yet."""
        self.failed: deque[tuple[TransmitIntent, Any]] = deque()
        """Whose messages were not sent, and the status that says why."""
        self.lost: deque[tuple[Any, Any]] = deque()
        """Addresses and messages that were written, and never taken."""

    def dead(self, peer: Peer) -> None:
        """Nobody is there any more: every message on its way comes to nothing."""
        for parcel in peer.give_up():
            if parcel.is_settled:
                self.lost.append((peer.address, parcel.intent.message))
            else:
                self.failed.append((parcel.intent, SendStatus.DeadTarget))
