"""Addresses: the path of the socket at which a process listens, and the ways to write one down."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from thespian.actors import ActorAddress, InvalidActorAddress

from . import directory

CONVENTION_CAPABILITY = "Convention Address.IPv4"
ADMIN = "admin"
LOGGER = "logger"


class UnixAddress:
    """Where an actor listens: the absolute path of a socket, at most :data:`directory.MAX_PATH` bytes long.

    A path is never used twice, except for an admin's and its logger's, which are the same for each life of a system.
    """

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UnixAddress) and self.path == other.path

    def __hash__(self) -> int:
        return hash(self.path)

    def __str__(self) -> str:
        # The form that Thespian's bases have, with which some programs take addresses apart: (T|host:port).
        folder, name = os.path.split(self.path)
        return f"(U|{name}:{folder})"

    def __repr__(self) -> str:
        return f"UnixAddress({self.path!r})"


def address(path: str) -> ActorAddress:
    """Wrap a path as Thespian wants it."""
    return ActorAddress(UnixAddress(path))


def admin_address(capabilities: Mapping[str, Any]) -> ActorAddress:
    """Return the address of the admin that these capabilities mean."""
    return address(os.path.join(directory.of(capabilities), ADMIN))


def parse(text: str | tuple[Any, ...]) -> ActorAddress:
    """Read an address: a path, or as Thespian's network bases have it ``host:port``, of which the host is ignored.

    Raises :class:`thespian.actors.InvalidActorAddress`.
    """
    if not isinstance(text, (str, tuple)):
        raise InvalidActorAddress(text, "is neither the path of a socket nor HOST:PORT")
    if isinstance(text, str) and "/" in text:
        return address(os.path.abspath(text))
    parts = text if isinstance(text, tuple) else text.split(":")
    try:
        port = int(parts[1]) if len(parts) > 1 else directory.DEFAULT_PORT
    except (TypeError, ValueError):
        raise InvalidActorAddress(text, "is neither the path of a socket nor HOST:PORT") from None
    return admin_address({directory.PORT_CAPABILITY: port})


def convention_addresses(capabilities: Mapping[str, Any]) -> list[ActorAddress] | None:
    """Return the addresses of the systems that may lead a convention, or ``None`` where no convention is meant."""
    wanted = capabilities.get(CONVENTION_CAPABILITY)
    if not wanted:
        return None
    return [parse(each) for each in (wanted if isinstance(wanted, list) else [wanted])]
