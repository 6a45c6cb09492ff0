"""Which load of a plugin it is, as a number: what is written down outlives its mailboxes, and speaks of these."""

from __future__ import annotations

from hashlib import blake2b

from .messages import StartPlugin


def incarnation_of(plan: StartPlugin) -> int:
    """A number for the mailboxes of one load, above 0: no two loads have the same directory."""
    return int.from_bytes(blake2b(plan.directory.encode(), digest_size=8).digest(), "little") or 1
