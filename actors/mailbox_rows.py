"""The rows of a mailbox's file, made of what is put into it: one for each frame, one for each result. Pure."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence

from .frames import Frames
from .mailbox_file import FRAME_WORDS, KEYED, RESULT_WORDS, TYPE_MASK
from .messages.values import Extra

PLAIN = Extra()


def key_word(extra: Extra) -> int:
    """Return what stands for a frame's key: 0 if it has none."""
    return 0 if extra.key is None else KEYED | extra.key


def frame_rows(session: int, columns: Frames, ends: array[int], extras: Mapping[int, Extra]) -> array[int]:
    """Return the rows of as many frames as there are ``ends`` of headers."""
    count = len(ends)
    rows = array("Q", bytes(8 * FRAME_WORDS * count))
    rows[0::FRAME_WORDS] = array("Q", (session,)) * count
    rows[1::FRAME_WORDS] = array("Q", columns.seqs[:count])
    rows[2::FRAME_WORDS] = ends
    rows[3::FRAME_WORDS] = array("Q", tuple(columns.types[:count]))
    rows[4::FRAME_WORDS] = columns.data_sizes[:count]
    if extras:
        found = [extras.get(seq, PLAIN) for seq in columns.seqs[:count]]
        rows[5::FRAME_WORDS] = array("Q", [extra.expires_at_ms for extra in found])
        rows[6::FRAME_WORDS] = array("Q", [key_word(extra) for extra in found])
    return rows


def result_rows(kinds: bytes, edges: array[int]) -> array[int]:
    """Return the rows of results that lie one after the other between ``edges``."""
    rows = array("Q", bytes(8 * RESULT_WORDS * len(kinds)))
    rows[0::RESULT_WORDS] = array("Q", tuple(kinds))
    rows[1::RESULT_WORDS] = edges[:-1]
    rows[2::RESULT_WORDS] = edges[1:]
    return rows


def ordinary(types: Sequence[int], times: Sequence[int], now_ms: int) -> int:
    """Return how many frames from the first on can be handed out together."""
    for place, (word, expires_at) in enumerate(zip(types, times, strict=True)):
        if 0 < expires_at <= now_ms:
            return place
        if word > TYPE_MASK:
            return place or 1
    return len(types)
