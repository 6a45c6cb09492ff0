"""Counts words: data frames hold UTF-8 text, the control frame ``top N`` asks for the N most frequent words."""

from __future__ import annotations

import re
from collections import Counter

import cbor2

from nyx_plugins.plugins import Context, Frame, Plugin

_WORD = re.compile("[a-z]+")
_TOP = re.compile(r"top ([0-9]{1,6})")


class WordCount(Plugin):
    """Counts words, runs of the letters a to z whatever their case; they are kept for as long as the worker lives."""

    def on_load(self, ctx: Context) -> None:
        """Start with no words."""
        self._counts: Counter[str] = Counter()

    def on_data(self, frame: Frame) -> None:
        """Count the words of ``data``, UTF-8 text; raises :class:`ValueError` for anything else."""
        self._counts.update(_WORD.findall(_text(frame).lower()))

    def on_control(self, frame: Frame) -> bytes:
        """Reply to ``top N`` with a CBOR array of at most N ``[word, count]``, the most frequent first.

        Equals are in alphabetical order. Raises :class:`ValueError` for any other data.
        """
        asked = _TOP.fullmatch(_text(frame))
        if asked is None:
            raise ValueError(f"control data is {frame.data[:40]!r}: expected 'top N'")
        ranking = sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))
        return cbor2.dumps([list(item) for item in ranking[: int(asked[1])]])


def _text(frame: Frame) -> str:
    try:
        return frame.data.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"data is not UTF-8 text: byte {error.start} is 0x{frame.data[error.start]:02x}") from None
