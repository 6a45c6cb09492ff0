"""Network rules (``host``, ``host:port``, ``[v6]``, ``[v6]:port``, and ``*`` for any), and addresses to listen on."""

from __future__ import annotations

import ipaddress
import re

import attrs

from .checks import check, shown

ANY = "*"
_FORMS = "host, host:port, [v6], [v6]:port or *"
_RULE = re.compile(r"(?P<host>\[[^\[\]%]{2,45}\]|[^\[\]:]{1,253})(?::(?P<port>[1-9][0-9]{0,4}))?", re.ASCII)
_ADDRESS = re.compile(r"(?P<host>\[[^\[\]%]{2,45}\]|[^\[\]:]{1,253}):(?P<port>0|[1-9][0-9]{0,4})", re.ASCII)
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)


@attrs.frozen
class NetworkRule:
    """A host in lower case (IPv6 in its shortest form, without brackets; ``*`` is any) and a port, or any port."""

    host: str
    port: int | None = None

    def covers(self, other: NetworkRule) -> bool:
        """Whether everything that ``other`` allows is allowed by this rule."""
        return self.host == ANY or (self.host == other.host and self.port in (None, other.port))


def parse_rule(text: str) -> NetworkRule:
    """The rule that ``text`` spells. Raises ValueError with the reason when it spells none."""
    if text == ANY:
        return NetworkRule(ANY)
    found = _RULE.fullmatch(text)
    if found is None:
        raise ValueError(f"must be {_FORMS} (ports 1 to 65,535), not {shown(text)}")
    port = found["port"]
    if port is not None and int(port) > 0xFFFF:
        raise ValueError(f"must have a port from 1 to 65,535, not {int(port):,}")
    return NetworkRule(_host(found["host"]), None if port is None else int(port))


def parse_address(text: str) -> tuple[str, int]:
    """Host (without brackets) and port of ``host:port`` or ``[v6]:port``. Raises ValueError with the reason."""
    found = _ADDRESS.fullmatch(text)
    if found is None or int(found["port"]) > 0xFFFF:
        raise ValueError(
            f"must be host:port or [v6]:port (ports 0 to 65,535; 0 is any that is free), not {shown(text)}"
        )
    return _host(found["host"]), int(found["port"])


def _host(text: str) -> str:
    if text.startswith("["):
        try:
            return ipaddress.IPv6Address(text[1:-1]).compressed
        except ValueError:
            raise ValueError(f"must have an IPv6 address in brackets, not {shown(text)}") from None
    name = text.lower().removesuffix(".")
    if all(_LABEL.fullmatch(label) for label in name.split(".")):
        return name
    raise ValueError(f"must have a host name in ASCII or an address, not {shown(text)}")


def _reason(value: object) -> str | None:
    if not isinstance(value, str):
        return f"must be {_FORMS}, not {shown(value)}"
    try:
        parse_rule(value)
    except ValueError as error:
        return str(error)
    return None


def _address_reason(value: object) -> str | None:
    if not isinstance(value, str):
        return f"must be host:port, not {shown(value)}"
    try:
        parse_address(value)
    except ValueError as error:
        return str(error)
    return None


network_rule = check(_reason)
listening_address = check(_address_reason)
