"""Telling systemd how a service is doing: the datagrams of ``sd_notify(3)``, without its library."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import MutableMapping

_PER_SECOND = 1_000_000


class Notifier:
    """Sends states to the socket that systemd has named; without one it does nothing.

    The variables are taken out of the environment: no process started from here shall speak for the service.
    """

    def __init__(self, environ: MutableMapping[str, str] = os.environ) -> None:
        self._path = environ.pop("NOTIFY_SOCKET", "")
        self.watchdog_s = _watchdog_s(environ)
        """How often to call :meth:`alive`, in seconds: half of what systemd waits for; ``None`` if it does not."""

    def ready(self, status: str) -> None:
        """Everything is up, or up again after :meth:`reloading`."""
        self._send(f"READY=1\nSTATUS={status}")

    def reloading(self) -> None:
        """The configuration is being read again."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send(f"RELOADING=1\nMONOTONIC_USEC={now}")

    def stopping(self) -> None:
        """The end has begun."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """The service is well."""
        self._send("WATCHDOG=1")

    def _send(self, state: str) -> None:
        if not self._path:
            return
        # A name that begins with "@" is one in the abstract namespace (unix(7)).
        address = "\0" + self._path[1:] if self._path.startswith("@") else self._path
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as out:
            try:
                out.sendto(state.encode(), address)
            except OSError:
                # Who does not listen does not want to know.
                return


def _watchdog_s(environ: MutableMapping[str, str]) -> float | None:
    """Half the interval of ``WATCHDOG_USEC``, if it is meant for this process."""
    usec, pid = environ.pop("WATCHDOG_USEC", ""), environ.pop("WATCHDOG_PID", "")
    if not usec.isdecimal() or int(usec) == 0 or (pid and pid != str(os.getpid())):
        return None
    return int(usec) / _PER_SECOND / 2
