"""What became of a frame, and how a mailbox stores it: a kind, and bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeAlias, overload

import attrs

NONE, REPLY, FAILED, DEAD_LETTER, REPLY_LOST = range(1, 6)
UNKEPT = bytes.maketrans(bytes((REPLY,)), bytes((REPLY_LOST,)))
"""For each kind, that of a result whose bytes are not stored."""


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


class Recalled(NamedTuple):
    """What a mailbox still knows of one session, oldest first."""

    finished: list[tuple[int, Result]]
    """Sequence number and result of each finished frame."""
    unfinished: list[int]
    """Sequence numbers of the frames that have no outcome yet."""


KINDS: dict[type, int] = {
    type(None): NONE,
    bytes: REPLY,
    Failed: FAILED,
    DeadLetter: DEAD_LETTER,
    ReplyLost: REPLY_LOST,
}


class NoReplies(Sequence[tuple[int, None]]):
    """Outcomes of frames with sequence numbers in a row, all processed and without a reply: as pairs of both."""

    __slots__ = ("seqs",)

    def __init__(self, first: int, stop: int) -> None:
        self.seqs = range(first, stop)

    def __reduce__(self) -> tuple[type[NoReplies], tuple[int, int]]:
        return NoReplies, (self.seqs.start, self.seqs.stop)

    def __repr__(self) -> str:
        return f"NoReplies({self.seqs.start}, {self.seqs.stop})"

    def __len__(self) -> int:
        return len(self.seqs)

    def __iter__(self) -> Iterator[tuple[int, None]]:
        return ((seq, None) for seq in self.seqs)

    @overload
    def __getitem__(self, place: int) -> tuple[int, None]: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[tuple[int, None]]: ...
    def __getitem__(self, place: int | slice) -> tuple[int, None] | Sequence[tuple[int, None]]:
        return list(self)[place] if isinstance(place, slice) else (self.seqs[place], None)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, (NoReplies, tuple, list)):
            return NotImplemented
        return list(self) == list(other)

    def __hash__(self) -> int:
        return hash(self.seqs)


Outcomes: TypeAlias = Sequence[tuple[int, Result]]
"""The outcomes of frames of one session, each with its sequence number."""


def outcomes_of(seqs: Sequence[int], results: Sequence[Result]) -> Outcomes:
    """Put sequence numbers, which ascend, and results together."""
    if results and results.count(None) == len(results) and seqs[-1] - seqs[0] == len(seqs) - 1:
        return NoReplies(seqs[0], seqs[-1] + 1)
    return list(zip(seqs, results, strict=True))


def parts_of(outcomes: Outcomes) -> Iterator[tuple[int, Sequence[Result], bool]]:
    """Cut outcomes where their numbers have gaps: each first number, the results, and whether any is not ``None``."""
    if isinstance(outcomes, NoReplies):
        yield outcomes.seqs.start, [None] * len(outcomes), False
        return
    start, results = 0, list[Result]()
    for seq, result in outcomes:
        if results and seq != start + len(results):
            yield start, results, True
            results = []
        if not results:
            start = seq
        results.append(result)
    if results:
        yield start, results, True


def kinds_of(results: Sequence[Result]) -> bytes:
    """The kind of each result; TypeError if one is no `Result`."""
    if results.count(None) == len(results):
        return bytes((NONE,)) * len(results)
    try:
        return bytes([KINDS[type(result)] for result in results])
    except KeyError as unknown:
        raise TypeError(f"{unknown.args[0].__name__} is no result of a frame") from None


def encode_results(kinds: bytes, results: Sequence[Result]) -> list[bytes]:
    """What is to be stored of results of these kinds."""
    if not kinds.strip(_NOTHING):
        return [b""] * len(results)
    if kinds.strip(_PLAIN):
        return list(map(encode_result, results))
    return [result or b"" for result in results]  # type: ignore[misc]  # what is not None is bytes, as the kinds say


# Kinds of results that are bytes, or nothing.
_PLAIN, _NOTHING = bytes((NONE, REPLY)), bytes((NONE,))


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
