"""What became of a frame, and how a mailbox stores it: a kind, and bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import attrs

NONE, REPLY, FAILED, DEAD_LETTER, REPLY_LOST = range(1, 6)


@attrs.frozen
class Failed:
    """Outcome ``failed``: the handler raised ``type`` with ``text`` (both empty once their bytes are overwritten)."""

    type: str
    text: str


@attrs.frozen
class DeadLetter:
    """Outcome ``dead_lettered``, because of ``reason`` (empty once its bytes are overwritten)."""

    reason: str


@attrs.frozen
class ReplyLost:
    """Outcome ``processed``, with a reply that is not there any more."""


Result: TypeAlias = bytes | Failed | DeadLetter | ReplyLost | None
"""``None`` (processed, no reply), ``bytes`` (processed, the reply) or one of the classes above."""

KINDS: dict[type, int] = {
    type(None): NONE,
    bytes: REPLY,
    Failed: FAILED,
    DeadLetter: DEAD_LETTER,
    ReplyLost: REPLY_LOST,
}


def kinds_of(results: Sequence[Result]) -> bytes:
    """The kind of each result; TypeError if one is no `Result`."""
    try:
        return bytes([KINDS[type(result)] for result in results])
    except KeyError as unknown:
        raise TypeError(f"{unknown.args[0].__name__} is no result of a frame") from None


def encode_results(kinds: bytes, results: Sequence[Result]) -> list[bytes]:
    """What is to be stored of results of these kinds."""
    if kinds.strip(_PLAIN):
        return list(map(encode_result, results))
    return [result or b"" for result in results]  # type: ignore[misc]  # what is not None is bytes, as the kinds say


# Kinds of results that are bytes, or nothing.
_PLAIN = bytes((NONE, REPLY))


def encode_result(result: Result) -> bytes:
    """What is to be stored of ``result`` besides its kind."""
    if isinstance(result, bytes):
        return result
    if isinstance(result, Failed):
        name = _encode(result.type)
        return len(name).to_bytes(4, "little") + name + _encode(result.text)
    return _encode(result.reason) if isinstance(result, DeadLetter) else b""


def decode_result(kind: int, data: bytes | None) -> Result:
    """The result of this ``kind``, of which ``data`` was stored; ``None`` for data that is overwritten."""
    if kind == REPLY:
        return ReplyLost() if data is None else data
    if kind == FAILED:
        text = 4 + int.from_bytes((data or b"")[:4], "little")
        return Failed(_decode(data, 4, text), _decode(data, text, None))
    if kind == DEAD_LETTER:
        return DeadLetter(_decode(data, 0, None))
    return ReplyLost() if kind == REPLY_LOST else None


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _decode(data: bytes | None, start: int, stop: int | None) -> str:
    return (data or b"")[start:stop].decode("utf-8", "surrogatepass")
