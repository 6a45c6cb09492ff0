"""``Held``: what the other mailboxes of a plugin hold."""

from __future__ import annotations

from typing import NamedTuple


class Held(NamedTuple):
    """What the other mailboxes of a plugin hold, whose capacity is that of all of them together."""

    frames: int = 0
    bytes: int = 0


NOTHING_HELD = Held()
