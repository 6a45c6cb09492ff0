"""Writes each data frame that begins with ``!`` to its socket, without the ``!``; any other frame is echoed."""

from __future__ import annotations

import os
import stat

from nyx_plugins.plugins import Frame, Plugin


class Fault(Plugin):
    """Speaks to its host behind the SDK's back."""

    def on_data(self, frame: Frame) -> bytes:
        """Echo, or scribble."""
        if frame.data.startswith(b"!"):
            os.write(_socket(), frame.data[1:])
        return frame.data


def _socket() -> int:
    return next(fd for fd in range(3, 256) if _is_socket(fd))


def _is_socket(fd: int) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(fd).st_mode)
    except OSError:
        return False
