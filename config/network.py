"""Network rules (host, ``*.domain``, address, range or ``*``, with or without a port), and addresses to listen on."""

from __future__ import annotations

import re

import attrs

from .checks import check, shown
from .hosts import is_special, is_within, parse_host, parse_range, range_of

ANY = "*"
_WILDCARD = "*."
_FORMS = "host, *.host, v4, v4/8, [v6], [v6/8] or *, maybe :port"
_RULE = re.compile(r"(?P<host>\[[^\[\]%]{2,49}\]|[^\[\]:]{1,253})(?::(?P<port>[0-9]{1,6}))?", re.ASCII)
_ADDRESS = re.compile(r"(?P<host>\[[^\[\]%]{2,45}\]|[^\[\]:]{1,253}):(?P<port>0|[1-9][0-9]{0,4})", re.ASCII)


@attrs.frozen
class NetworkRule:
    """A host and a port, or any port.

    The host is a name in lower case and ASCII, ``*.domain`` for all below it, an address or a range in its shortest
    form without brackets, or ``*`` for any.
    """

    host: str
    port: int | None = None

    def covers(self, other: NetworkRule) -> bool:
        """Whether everything that ``other`` allows is allowed by this rule.

        Private addresses are allowed by rules that name them only: not by ``*``, and not by a range that holds others.
        """
        return self.denies(other) and (is_special(self.host) or not is_special(other.host))

    def denies(self, other: NetworkRule) -> bool:
        """Whether everything that ``other`` says is denied when this rule stands in a list of what is denied."""
        return self.port in (None, other.port) and self._includes(other.host)

    @property
    def is_target(self) -> bool:
        """Whether it names one host and one port, so that it can be connected to."""
        return self.port is not None and "*" not in self.host and "/" not in self.host

    def _includes(self, host: str) -> bool:
        if self.host in (ANY, host):
            return True
        if self.host.startswith(_WILDCARD):
            return range_of(host) is None and host.endswith(self.host[1:])
        outer, inner = range_of(self.host), range_of(host)
        return outer is not None and inner is not None and is_within(inner, outer)


def parse_rule(text: str) -> NetworkRule:
    """The rule that ``text`` spells. Raises ValueError with the reason when it spells none."""
    found = _RULE.fullmatch(text)
    if found is None:
        raise ValueError(f"must be {_FORMS}, not {shown(text)}")
    return NetworkRule(_rule_host(found["host"]), None if found["port"] is None else _port(found["port"]))


def parse_address(text: str) -> tuple[str, int]:
    """Host (without brackets) and port of ``host:port`` or ``[v6]:port``. Raises ValueError with the reason."""
    found = _ADDRESS.fullmatch(text)
    if found is None or int(found["port"]) > 0xFFFF:
        raise ValueError(
            f"must be host:port or [v6]:port (ports 0 to 65,535; 0 is any that is free), not {shown(text)}"
        )
    return str(parse_host(found["host"])), int(found["port"])


def _port(text: str) -> int:
    if text.startswith("0") or int(text) > 0xFFFF:
        raise ValueError(f"must have a port from 1 to 65,535, not {text}")
    return int(text)


def _rule_host(text: str) -> str:
    if text == ANY:
        return ANY
    if text.startswith(_WILDCARD):
        domain = str(parse_host(text.removeprefix(_WILDCARD)))
        if range_of(domain) is not None:
            raise ValueError(f"must have a domain after '*.', not {shown(domain)}")
        return f"{_WILDCARD}{domain}"
    if "/" in text:
        found = parse_range(text.removeprefix("[").removesuffix("]"))
        return str(found if found.num_addresses > 1 else found.network_address)
    return str(parse_host(text))


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
