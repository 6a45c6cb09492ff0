"""What a sender may say of a frame besides its header: a key, and for how long it is worth anything. Pure."""

from __future__ import annotations

import time
from zlib import crc32

import attrs

from .arguments import FOR_EVER_S
from .messages import Extra

MAX_KEY_BYTES = 255

Key = str | bytes | int
"""What frames have in common that are to be handled one after the other."""


def extra(key: Key | None, ttl: float | None) -> Extra | None:
    """What to send along for a frame that is worth anything for ``ttl`` seconds from now on; ``None`` for nothing.

    Raises :class:`TypeError`, and :class:`ValueError` for a time that is not above 0 or a key that is too long.
    """
    if key is None and ttl is None:
        return None
    return Extra(None if key is None else checked_key(key), 0 if ttl is None else _end_of(ttl))


def with_key(extra: Extra | None, key: Key) -> Extra:
    """The same with a key of its own."""
    return attrs.evolve(extra or Extra(), key=checked_key(key))


def checked_key(key: object) -> int:
    """The check sum that stands for a key. Numbers, texts and bytes are different keys, however they are written."""
    if isinstance(key, bool) or not isinstance(key, (str, bytes, int)):
        raise TypeError(f"a key must be text, bytes or an int, not {type(key).__name__}")
    if isinstance(key, int):
        # By its size first: writing out a huge number takes long.
        found = b"i%d" % key if key.bit_length() <= 8 * MAX_KEY_BYTES else bytes(MAX_KEY_BYTES + 1)
    else:
        found = b"b" + key if isinstance(key, bytes) else b"t" + key.encode("utf-8", "surrogatepass")
    if len(found) - 1 > MAX_KEY_BYTES:
        raise ValueError(f"a key must have at most {MAX_KEY_BYTES} bytes, not {len(found) - 1:,}")
    return crc32(found)


def _end_of(ttl: float) -> int:
    if not isinstance(ttl, (int, float)) or isinstance(ttl, bool):
        raise TypeError(f"a ttl must be seconds or None, not {type(ttl).__name__}")
    if not ttl > 0:
        raise ValueError(f"a ttl must be more than 0 s, not {ttl}")
    # Rounded up: nothing expires before its time.
    return int((time.time() + min(ttl, FOR_EVER_S)) * 1000) + 1
