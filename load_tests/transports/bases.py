"""Starting an actor system on one of the bases that are compared."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

from thespian.actors import ActorSystem
from thespian.system.transport.IPBase import IPActorAddress

TCP = "multiprocTCPBase"
QUEUE = "multiprocQueueBase"
UNIX = "unix"
BASES = (TCP, QUEUE, UNIX)

LOOPBACK = "127.0.0.1"
_SILENT = {"version": 1, "disable_existing_loggers": False}


def start(base: str, directory: Path) -> Any:
    """Start an actor system, whose files go into ``directory``; raises what Thespian raises."""
    capabilities: dict[str, Any] = {"Process Startup Method": "fork"}
    if base == TCP:
        keep_on_loopback()
        capabilities["Admin Port"] = free_port()
    elif base == UNIX:
        # Only where it is measured: importing it adds to what happens at every fork.
        from nyx_plugins.actors.transports.unix import install

        base = install()
        capabilities["Unix Directory"] = str(directory / "unix")
    return ActorSystem(base, capabilities, logDefs=_SILENT, transientUnique=True)


def free_port() -> int:
    """Pick a port of the loopback interface that nobody uses now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def keep_on_loopback() -> None:
    """Bind Thespian's sockets to 127.0.0.1, not to all interfaces: it unpickles what arrives. Its speed is the same."""
    os.environ["THESPIAN_BASE_IPADDR"] = LOOPBACK
    original = IPActorAddress.__init__

    def bound(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        self.bindname = (LOOPBACK, self.sockname[1])

    IPActorAddress.__init__ = bound
