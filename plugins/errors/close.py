"""The CLOSE that a peer is owed when a plugin can't serve it."""

from __future__ import annotations

CLOSE_UNSUPPORTED_CAPABILITY = 0x07


def unsupported(plugin_id: int) -> bytes:
    """Return its payload: the code (u16) and ``plugin_id`` (u32), big-endian."""
    return CLOSE_UNSUPPORTED_CAPABILITY.to_bytes(2, "big") + plugin_id.to_bytes(4, "big")
