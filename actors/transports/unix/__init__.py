"""A system base for Thespian over Unix-domain sockets: one machine, one user, nobody else.

Usable without the rest of this project; docs/transport.md tells how it works and how to use it alone::

    from thespian.actors import ActorSystem
    from nyx_plugins.actors.transports import unix

    system = ActorSystem(unix.install(), transientUnique=True)
"""

from .address import UnixAddress, address
from .base import NAME, ActorSystemBase, install
from .directory import DIRECTORY_CAPABILITY, PORT_CAPABILITY, DirectoryError
from .envelope import MessageTooLarge
from .limits import MESSAGE_CAPABILITY, QUEUE_CAPABILITY, Limits
from .transport import LIFELINE_CAPABILITY, PRIVATE_CAPABILITY, UnixTransport

__all__ = [
    "DIRECTORY_CAPABILITY",
    "LIFELINE_CAPABILITY",
    "MESSAGE_CAPABILITY",
    "NAME",
    "PORT_CAPABILITY",
    "PRIVATE_CAPABILITY",
    "QUEUE_CAPABILITY",
    "ActorSystemBase",
    "DirectoryError",
    "Limits",
    "MessageTooLarge",
    "UnixAddress",
    "UnixTransport",
    "address",
    "install",
]
