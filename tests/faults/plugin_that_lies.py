"""Answers frames that it was not given: its data frame says the offset of the index, and how many results it claims."""

from __future__ import annotations

import os
import stat
import sys

import cbor2

from nyx_plugins.plugins import Frame, Plugin

_DONE = 13


class Fault(Plugin):
    """Forges results; the frame is ``offset count`` (decimal), any other is echoed."""

    def on_data(self, frame: Frame) -> bytes:
        """Echo, or lie."""
        offset, _, count = frame.data.partition(b" ")
        if count:
            first = _index_in_hand() + int(offset)
            lie = cbor2.dumps([_DONE, first, [b"forged"] * int(count), 0])
            os.write(_socket(), len(lie).to_bytes(4, "big") + lie)
        return frame.data


def _index_in_hand() -> int:
    """Look the index up where the worker's loop keeps it."""
    frame = sys._getframe()
    while "first_index" not in frame.f_locals or "page" not in frame.f_locals:
        frame = frame.f_back
    return frame.f_locals["page"][0]


def _socket() -> int:
    return next(fd for fd in range(3, 256) if _is_socket(fd))


def _is_socket(fd: int) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(fd).st_mode)
    except OSError:
        return False
