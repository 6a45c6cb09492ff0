"""Writes numbers of its choice where the worker marks the frame in hand, then dies or spins.

Its data frame is ``exit INDEX COUNT``, or ``spin``, which changes the mark all the time; any other frame is echoed.
"""

from __future__ import annotations

import itertools
import os
import sys

from nyx_plugins.plugins import Frame, Plugin


class Fault(Plugin):
    """Lies about which frame it has started."""

    def on_data(self, frame: Frame) -> bytes:
        """Echo, or scribble."""
        verb, *numbers = frame.data.split()
        if verb == b"exit":
            _page()[0], _page()[1] = map(int, numbers)
            os._exit(13)
        if verb == b"spin":
            page = _page()
            for index in itertools.cycle(range(1 << 20)):
                page[0] = index
        return frame.data


def _page() -> memoryview:
    """Find the page where the worker's loop keeps it."""
    frame = sys._getframe()
    while "page" not in frame.f_locals:
        frame = frame.f_back
    return frame.f_locals["page"]
