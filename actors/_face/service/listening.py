"""Addresses that a service listens at, and which ``Host`` a browser may name to reach them."""

from __future__ import annotations

import ipaddress
import re
import socket

import attrs

from ..config.errors import StartupError
from ..config.network import parse_address

STALLED_MS = 30_000
"""How long the other end of a connection may take nothing of what it is sent before the kernel gives it up."""
_HOST = re.compile(r"(?P<host>\[[0-9a-f:.]{2,45}\]|[a-z0-9._-]{1,253})(:[0-9]{1,5})?", re.ASCII | re.IGNORECASE)


def listen(address: str, what: str) -> socket.socket:
    """A socket that listens at ``host:port`` (port 0: any that is free) for ``what``. Raises :class:`StartupError`."""
    try:
        host, port = parse_address(address)
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except (ValueError, OSError) as error:
        raise StartupError(f"{what} can't be served at {address}: {_reason(error)}") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Those that are accepted inherit it.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STALLED_MS)
        listener.bind(place)
        listener.listen(64)
    except OSError as error:
        listener.close()
        raise StartupError(f"{what} can't be served at {address}: {_reason(error)}; give another address") from None
    return listener


def _reason(error: ValueError | OSError) -> str:
    return (isinstance(error, OSError) and error.strerror) or f"the address {error}"


@attrs.frozen
class Place:
    """Where something listens: the ``name`` that was asked for, and what came of it."""

    name: str
    ip: str
    port: int

    @property
    def url(self) -> str:
        """Where a browser finds it."""
        return f"http://{f'[{self.ip}]' if ':' in self.ip else self.ip}:{self.port}"

    def allows(self, host: str | None) -> bool:
        """Whether a request with this ``Host`` is meant for us.

        A page of somebody else's can make its own name lead to us (DNS rebinding), but it can't make it an address,
        ``localhost`` or this machine's name. What listens on loopback is reached by loopback's names alone.
        """
        found = _HOST.fullmatch(host or "")
        if found is None:
            return False
        name = found["host"].lower().strip("[]").removesuffix(".")
        if (address := _ip(name)) is not None:
            return address.is_loopback or not self._is_loopback
        return name in {"localhost", self.name} or (not self._is_loopback and name == socket.gethostname().lower())

    @property
    def _is_loopback(self) -> bool:
        return ipaddress.ip_address(self.ip).is_loopback


def place_of(listener: socket.socket, address: str) -> Place:
    """Where ``listener`` is, which was made for ``address``."""
    ip, port, *_ = listener.getsockname()
    return Place(parse_address(address)[0], ip.partition("%")[0], port)


def _ip(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None
