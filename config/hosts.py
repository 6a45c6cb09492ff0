"""Hosts in their one canonical spelling: names as the resolver sees them, addresses, and which of them are special."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TypeAlias

from .checks import shown

Address: TypeAlias = IPv4Address | IPv6Address
Range: TypeAlias = IPv4Network | IPv6Network

MAX_NAME_CHARS = 253
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
# What inet_aton() takes for a number; a name that ends with one is an address to some resolvers and a name to others.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_LOCAL_NAME = "localhost"

# Everything that is not a public address of one machine (IANA's special-purpose registries). Our own list, since that
# of the module ipaddress differs between the releases of Python. Of IPv6, only 2000::/3 is in public use; 6to4 and
# Teredo, which lie within it, lead to IPv4 addresses.
_SPECIAL: tuple[Range, ...] = tuple(
    ipaddress.ip_network(text)
    for text in [
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/3",
        "2001::/23",
        "2001:db8::/32",
        "2002::/16",
        "3fff::/20",
        "4000::/2",
        "8000::/1",
    ]
)
_NAT64 = IPv6Network("64:ff9b::/96")
_COMPATIBLE = IPv6Network("::/96")


def parse_host(text: str) -> str | Address:
    """The name in lower case and ASCII without a final dot, or the address; IPv6 may stand in brackets.

    Raises ValueError with the reason for what is neither, and for odd spellings of addresses (``0x7f.1``, ``127.1``).
    """
    if text.startswith("[") and text.endswith("]"):
        return _ipv6(text[1:-1])
    if ":" in text:
        return _ipv6(text)
    name = _ascii(text)
    if _NUMBER.fullmatch(name.rpartition(".")[2]):
        return _ipv4(name, text)
    if len(name) <= MAX_NAME_CHARS and all(_LABEL.fullmatch(label) for label in name.split(".")):
        return name
    raise ValueError(f"must have a host name or an address, not {shown(text)}")


def parse_range(text: str) -> Range:
    """The range that ``10.0.0.0/8`` or ``fd00::/8`` spells. Raises ValueError with the reason."""
    try:
        found = ipaddress.ip_network(text)
    except ValueError:
        try:
            hint = f"; did you mean {ipaddress.ip_network(text, strict=False)}?"
        except ValueError:
            hint = ""
        raise ValueError(f"must have a range such as 10.0.0.0/8 or [fd00::/8], not {shown(text)}{hint}") from None
    if isinstance(found, IPv6Network) and found.prefixlen >= 96 and found.network_address.ipv4_mapped is not None:
        return IPv4Network((found.network_address.ipv4_mapped, found.prefixlen - 96))
    return found


@lru_cache(maxsize=1024)
def range_of(host: str) -> Range | None:
    """The range (of one, for an address) that a canonical host is; ``None`` for a name."""
    try:
        return ipaddress.ip_network(host)
    except ValueError:
        return None


def is_local_name(host: str) -> bool:
    """Whether a canonical host is ``localhost`` or a name below it, which may lead to this machine and nowhere else."""
    return host == _LOCAL_NAME or host.endswith(f".{_LOCAL_NAME}")


def is_special(host: str) -> bool:
    """Whether a canonical host is private or otherwise of special use: a range as a whole, or a local name."""
    found = range_of(host)
    return is_local_name(host) if found is None else any(is_within(found, block) for block in _SPECIAL)


def is_within(inner: Range, outer: Range) -> bool:
    """Whether all of ``inner`` is in ``outer``."""
    if isinstance(inner, IPv4Network):
        return isinstance(outer, IPv4Network) and inner.subnet_of(outer)
    return isinstance(outer, IPv6Network) and inner.subnet_of(outer)


def faces(address: Address) -> tuple[Address, ...]:
    """An address, and the IPv4 address that it leads to by way of 6to4, Teredo, NAT64 or an old notation."""
    if isinstance(address, IPv4Address):
        return (address,)
    inner = address.sixtofour or (address.teredo and address.teredo[1])
    # "::" and "::1" are none of the old notation (RFC 4291, 2.5.5.1), whatever their bits look like.
    if address in _NAT64 or (address in _COMPATIBLE and int(address) > 1):
        inner = IPv4Address(int(address) & 0xFFFF_FFFF)
    return (address, inner) if inner else (address,)


def _ascii(text: str) -> str:
    """Spell a name in lower case, internationalised labels as the resolver asks for them."""
    if not text.isascii() and len(text) <= MAX_NAME_CHARS:
        try:
            text = text.encode("idna").decode()
        except UnicodeError:
            raise ValueError(f"must have a host name, not {shown(text)}") from None
    return text.lower().removesuffix(".")


def _ipv4(name: str, text: str) -> IPv4Address:
    try:
        return IPv4Address(name)
    except ValueError:
        raise ValueError(f"must have an IPv4 address of four decimal numbers, not {shown(text)}") from None


def _ipv6(text: str) -> Address:
    try:
        found = IPv6Address(text)
    except ValueError:
        found = None
    if found is None or found.scope_id is not None:
        raise ValueError(f"must have an IPv6 address in brackets, not {shown(text)}")
    return found.ipv4_mapped or found
