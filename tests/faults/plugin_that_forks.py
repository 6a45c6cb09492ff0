"""Starts processes: ``fork`` keeps a child that holds all descriptors, ``escape`` one that left its session.

The reply is the child's process id. ``crash`` exits; any other frame is echoed.
"""

from __future__ import annotations

import os
import signal
import sys

from nyx_plugins.plugins import Frame, Plugin


class Fault(Plugin):
    """Multiplies."""

    def on_data(self, frame: Frame) -> bytes:
        """Echo, start a process, or exit."""
        match frame.data:
            case b"fork":
                return b"%d" % (os.fork() or _stay())
            case b"escape":
                return b"%d" % _escape()
            case b"crash":
                os._exit(13)
        return frame.data


def _stay() -> int:
    while True:
        signal.pause()


def _escape() -> int:
    """Start a process with another session, another parent, no environment and no descriptors; return its id."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        if os.fork() == 0:
            os.write(writing, b"%d" % os.getpid())
            os.closerange(0, 256)
            code = "import signal\nwhile True: signal.pause()"
            os.execve(sys.executable, [sys.executable, "-I", "-S", "-c", code], {})
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    with open(reading) as pipe:
        return int(pipe.read())
