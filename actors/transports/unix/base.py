"""The system base: Thespian's multiprocess system on this transport."""

from __future__ import annotations

import sys
from typing import Any

from thespian.actors import ActorAddress, InvalidActorAddress
from thespian.system import multiprocCommon
from thespian.system.messages.multiproc import EndpointConnected
from thespian.system.transport import ReceiveEnvelope

from . import directory
from .forked import start_process
from .members import UnixAdmin
from .transport import UnixTransport

NAME = "multiprocUnixBase"


class ActorSystemBase(multiprocCommon.multiprocessCommon):
    """The system base, as ``thespian.actors.ActorSystem`` wants it."""

    transportType = UnixTransport

    def __init__(self, system: Any, logDefs: Any = None) -> None:
        system.capabilities["Thespian ActorSystem Name"] = NAME
        system.capabilities["Thespian ActorSystem Version"] = 1
        system.capabilities["Thespian Watch Supported"] = True
        # Named because Python 3.14 changes the default; spawned actors take ten times as long to start.
        system.capabilities.setdefault("Process Startup Method", "fork")
        try:
            super().__init__(system, logDefs)
        except BaseException:
            if hasattr(self, "transport"):
                self.transport.close()
            raise

    def _startAdmin(self, admin: ActorAddress, starter: ActorAddress, capabilities: Any, logDefs: Any) -> None:
        endpoint = self.transport.prepEndpoint(admin, capabilities)
        arguments = (UnixAdmin, starter, endpoint, UnixTransport, admin, capabilities, logDefs, self.mpcontext)
        process = start_process(self.mpcontext, multiprocCommon.startAdmin, arguments, "ThespianAdmin")
        # It ends at once: the admin is its child.
        process.join()
        response = self.transport.run(None, multiprocCommon.MAX_ADMIN_STARTUP_DELAY)
        if not isinstance(response, ReceiveEnvelope) or not isinstance(response.message, EndpointConnected):
            if self.transport.probeAdmin(admin):
                # Another program was faster: its system it is.
                directory.forget_key(self.transport.directory)
                directory.refresh_key(self.transport.directory)
                return
            raise InvalidActorAddress(admin, "not a valid ActorSystem admin")


def install(name: str = NAME) -> str:
    """Make ``ActorSystem(name)`` work in this process, as with the bases that come with Thespian; returns the name."""
    sys.modules[f"thespian.system.{name}"] = sys.modules[__name__]
    return name
