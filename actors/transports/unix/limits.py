"""What one transport takes and holds at most."""

from __future__ import annotations

import resource
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MESSAGE_CAPABILITY = "Unix Message Bytes"
QUEUE_CAPABILITY = "Unix Queue Bytes"
_MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """Bounds of one transport; those with a capability can be set for a whole system."""

    message_bytes: int = 128 * _MIB
    """The largest message, pickled; a larger one is refused where it is sent. At most 4 GiB - 1."""
    queue_bytes: int = 1 * _MIB
    """What may wait to be written to one peer before a sender has to wait. One message may exceed it."""
    incoming_bytes: int = 1 * _MIB
    """What may wait to be handed to the actor before nothing more is read. One reading may exceed it."""
    stall_s: float = 10.0
    """How long a sender waits for a peer that takes nothing at all, in seconds; then its message is a dead letter."""
    introduction_s: float = 2.0
    """How long a connection may take to introduce itself, in seconds."""
    strangers: int = 64
    """How many connections may be about to introduce themselves; then the oldest is refused."""

    @classmethod
    def of(cls, capabilities: Mapping[str, Any]) -> Limits:
        """Read them from a system's capabilities. Raises ValueError."""
        default = cls()
        message = capabilities.get(MESSAGE_CAPABILITY, default.message_bytes)
        queue = capabilities.get(QUEUE_CAPABILITY, default.queue_bytes)
        if not isinstance(message, int) or not 1024 <= message < 1 << 32:
            raise ValueError(f"{MESSAGE_CAPABILITY!r} must be a whole number of 1024 to 4294967295, not {message!r}")
        if not isinstance(queue, int) or queue < 1024:
            raise ValueError(f"{QUEUE_CAPABILITY!r} must be a whole number of at least 1024, not {queue!r}")
        return cls(message_bytes=message, queue_bytes=queue)


def raise_descriptor_limit() -> None:
    """Each peer takes a descriptor: allow as many as may be had without asking."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
