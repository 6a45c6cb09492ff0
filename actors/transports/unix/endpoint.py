"""What a new process is told about its place in a system, by the process that starts it."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from typing import Any

from thespian.system.transport import TransportInit__Base

from .limits import Limits


@dataclass
class UnixEndpoint(TransportInit__Base):
    """Picklable, for the start method 'spawn'. The first field has the name that Thespian asks for."""

    addrInst: int | None
    name: str
    """The name of the socket, in the directory; empty for one that nobody has used before."""
    parent: Any
    admin: Any
    directory: str
    key: bytes
    is_published: bool
    """Whether other programs of the same user may read the key from a file."""
    limits: Limits
    listener: socket.socket | None = None
    """The socket itself, where the new process is forked."""
    birth: int = -1
    """Then also the descriptor with which it tells its parent that it is up."""
    lifeline: int = -1
    """What can be read once the system is over. The admin's is its starter's; that of all others is a pipe that ends
    when the admin does, however that comes about."""

    @property
    def is_admin(self) -> bool:
        """Whether the new process is the system's admin."""
        return self.addrInst is None

    def leave_to_child(self) -> None:
        """Close what a process that was just forked has inherited."""
        if self.listener is not None:
            self.listener.close()
            os.close(self.birth)


@dataclass(frozen=True)
class ContextInit(TransportInit__Base):
    """For one more context of an external program."""

    admin: Any
    directory: str
    limits: Limits
