"""Histograms that come from a file: whatever they are, they can be read or they can't."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from .extra import needed

if TYPE_CHECKING:
    from hdrh.histogram import HdrHistogram


def decoded(text: str) -> HdrHistogram | None:
    """Return the histogram, or ``None`` where there is none that can be read.

    Raises :class:`MissingExtra` where the extra ``load`` is not installed.
    """
    with needed():
        # Not above: results without histograms are read without the extra.
        from hdrh.codec import HdrCookieException, HdrHistogramSettingsException, HdrLengthException
        from hdrh.histogram import HdrHistogram
    try:
        return HdrHistogram.decode(text) if text else None
    except (
        *(HdrCookieException, HdrHistogramSettingsException, HdrLengthException),
        *(ValueError, RuntimeError, ArithmeticError, MemoryError, LookupError, zlib.error),
    ):
        return None
