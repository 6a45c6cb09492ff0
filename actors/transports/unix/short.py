"""How messages are written down: as pickles, and frequent kinds of them by the plain values that they consist of.

A pickle names the class of each object in it, and whoever reads it looks each up again: for a small message that is
most of the work. Who uses this transport may :func:`register` kinds of messages that have a short form.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

# No pickle begins so: those of today's protocols begin with 0x80.
_MARK = b"\1"
_kinds: dict[type, tuple[int, Callable[[Any], Any]]] = {}
_makers: dict[int, Callable[[Any], Any]] = {}


def register(number: int, kind: type, pack: Callable[[Any], Any], unpack: Callable[[Any], Any]) -> None:
    """Write messages of exactly this class as what ``pack`` makes of them; all processes of a system have to."""
    _kinds[kind] = number, pack
    _makers[number] = unpack


def dumps(message: Any) -> bytes:
    """Write a message down. Raises what pickle raises."""
    short = _kinds.get(type(message))
    if short is None:
        return pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    number, pack = short
    return _MARK + pickle.dumps((number, pack(message)), pickle.HIGHEST_PROTOCOL)


def loads(content: bytes | bytearray) -> Any:
    """Read what :func:`dumps` has written. Raises anything for what nobody has."""
    if not content.startswith(_MARK):
        return pickle.loads(content)
    number, values = pickle.loads(memoryview(content)[1:])
    return _makers[number](values)
