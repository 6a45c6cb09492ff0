"""Ends its side of its socket on the data frame ``crash``, and lives on; any other frame is echoed."""

from __future__ import annotations

import socket
import threading

from nyx_plugins.plugins import Frame, Plugin


class Fault(Plugin):
    """Hangs up."""

    def on_data(self, frame: Frame) -> bytes:
        """Echo, or hang up and stay."""
        if frame.data == b"crash":
            self._sockets = list(_hang_up())
            threading.Event().wait()
        return frame.data


def _hang_up() -> list[socket.socket]:
    """Shut every socket down for writing; closing alone would not show as long as another thread watches it."""
    found = []
    for fd in range(3, 256):
        try:
            found.append(socket.socket(fileno=fd))
        except OSError:
            continue
        found[-1].shutdown(socket.SHUT_WR)
    return found
