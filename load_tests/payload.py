"""What frames hold: one CBOR map of any length, the same for us and for whom we are compared with."""

from __future__ import annotations

import cbor2

from nyx_plugins import PluginHeader

SMALLEST_BYTES = 8
_READING = {"seq": 1_000_000, "kind": "reading", "value": 21.5}


def cbor_map(size: int) -> bytes:
    """Return a CBOR map of exactly ``size`` bytes, at least 8; a larger one is like a reading with its raw data."""
    for rest in (_READING, {}, {"a": 1}, {"ab": 1}):
        for length in range(size, max(-1, size - 64), -1):
            encoded = cbor2.dumps({**rest, "d": bytes(length)})
            if len(encoded) == size:
                return encoded
    raise ValueError(f"a map of {size} bytes: it must have at least {SMALLEST_BYTES}")


def around(plugin_id: int, data_bytes: int) -> int:
    """Return how many bytes a frame's payload has besides so much data: what ``max_header_bytes`` limits is both."""
    return len(PluginHeader(plugin_id, 0, b"").encode()) - len(cbor2.dumps(b"")) + len(cbor2.dumps(data_bytes))
