"""A message that has come, and one that can't go."""

from __future__ import annotations

from typing import Any

from thespian.actors import ActorSystemFailure
from thespian.system.transport import ReceiveEnvelope


class MessageTooLarge(ActorSystemFailure):
    """A message is larger, pickled, than the system allows; it was not sent."""

    def __init__(self, target: Any, size: int, limit: int) -> None:
        self.target, self.size, self.limit = target, size, limit
        super().__init__(
            f"a message of {size:,} bytes for {target} is above the limit of {limit:,}"
            " (capability 'Unix Message Bytes'): send it in parts"
        )

    def __reduce__(self) -> tuple[type[MessageTooLarge], tuple[Any, int, int]]:
        return MessageTooLarge, (self.target, self.size, self.limit)


class LifelineEnded:
    """What an admin tells itself when the lifeline of its system has ended."""


class Envelope(ReceiveEnvelope):
    """A received message. Thespian asks each to describe itself for a log line that is hardly ever written."""

    def identify(self) -> str:
        """Name the kind of message: what is in it, and even its sender's address, takes long to write out."""
        return f"ReceiveEnvelope({type(self._message).__name__})"
