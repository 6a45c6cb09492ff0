"""What a policy allows: connections, paths, control frames. Each function gives the reason against it, or ``None``."""

from __future__ import annotations

import os

from ..config.checks import absolute_path, shown
from ..config.hosts import Address, faces, is_local_name, is_special, parse_host
from ..config.network import NetworkRule, parse_rule
from .policy import Policy, is_within, listed, rules

CONTROL_PREFIX = b"SBX:"
_CONNECT = "SBX:CONNECT "
_OPEN = "SBX:OPEN "


def network_allows(policy: Policy, host: str, port: int, address: str | None = None) -> str | None:
    """Why ``policy`` denies a connection to ``host``; ``None`` when it is allowed.

    To be asked before the name is resolved, and again with each ``address`` that it resolves to, which may be private
    only where the policy names it. Connect to the address that was checked, and to nothing that is resolved later.
    """
    try:
        target = parse_host(host)
        found = None if address is None else _address(address)
    except ValueError as error:
        return f"the host {error}"
    if not 1 <= port <= 0xFFFF:
        return f"the port must be 1 to 65,535, not {shown(port)}"
    if isinstance(target, str):
        reason = _name_reason(policy, NetworkRule(target, port))
        return reason or (None if found is None else _resolved_reason(policy, target, port, found))
    if found not in (None, target):
        return f"host {str(target)!r} is an address, and leads nowhere else, such as to {found}"
    return _address_reason(policy, port, target)


def path_allows(policy: Policy, path: str, *, write: bool = False) -> str | None:
    """Why ``policy`` denies to read ``path``, or to ``write`` it; ``None`` when it is allowed.

    Links are followed, now: open what :func:`os.path.realpath` gives, without following any more.
    """
    for fault in absolute_path.faults(path):
        return f"the path {fault.reason}"
    resolved = os.path.realpath(path)
    # What may not be read may not be written either: it could be moved to where it may be read.
    denied = policy.deny_read_paths + (policy.deny_write_paths if write else ())
    allowed = policy.write_paths if write else policy.read_paths + policy.write_paths
    whence = "" if resolved == path else f" (which is {resolved!r})"
    if is_within(resolved, denied):
        return f"path {shown(path)}{whence} is in the denied paths ({listed(denied)})"
    if is_within(resolved, allowed):
        return None
    lists = f"read paths: {listed(policy.read_paths)}; write paths: {listed(policy.write_paths)}"
    return f"path {shown(path)}{whence} is not in the allowed paths ({lists})"


def check_control(policy: Policy, data: bytes) -> str | None:
    """Why ``policy`` denies the control data; ``None`` when it allows them, or when they don't begin with ``SBX:``."""
    if not data.startswith(CONTROL_PREFIX):
        return None
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        return f"the request must be UTF-8, which byte 0x{data[error.start]:02x} at offset {error.start} is not"
    if text.startswith(_CONNECT):
        return _check_connect(policy, text.removeprefix(_CONNECT))
    if text.startswith(_OPEN):
        return _check_open(policy, text.removeprefix(_OPEN))
    return f"the request must be 'SBX:CONNECT host:port' or 'SBX:OPEN path', not {shown(text)}"


def _check_connect(policy: Policy, target: str) -> str | None:
    try:
        wanted = parse_rule(target)
    except ValueError as error:
        return f"the target {error}"
    if not wanted.is_target or wanted.port is None:
        return f"the target must be host:port, not {shown(target)}"
    return network_allows(policy, wanted.host, wanted.port)


def _check_open(policy: Policy, path: str) -> str | None:
    """Allow what may be read or written: the request does not say which."""
    reason = path_allows(policy, path)
    return reason and path_allows(policy, path, write=True) and reason


def _address(text: str) -> Address:
    """Read what a resolver gave: IPv6 addresses may name an interface behind a ``%``, which changes nothing here."""
    found = parse_host(text.partition("%")[0])
    if isinstance(found, str):
        raise ValueError(f"must lead to an address, not {shown(text)}")
    return found


def _name_reason(policy: Policy, wanted: NetworkRule) -> str | None:
    for rule in rules(policy.deny_network):
        if rule.denies(wanted):
            return f"{_shown(wanted)} is denied ({listed(policy.deny_network)})"
    if any(rule.covers(wanted) for rule in rules(policy.network)):
        return None
    known_host = any(rule.host == wanted.host for rule in rules(policy.network))
    culprit = _shown(wanted) if known_host else f"host {wanted.host!r}"
    return f"{culprit} is not in the network list ({listed(policy.network)})"


def _address_reason(policy: Policy, port: int, address: Address) -> str | None:
    wanted = NetworkRule(str(address), port)
    return _denied(policy, port, address) or _name_reason(policy, wanted)


def _resolved_reason(policy: Policy, name: str, port: int, address: Address) -> str | None:
    """Judge where an allowed name leads: its own rule will do for public addresses, for others another has to."""
    text = str(address)
    if reason := _denied(policy, port, address):
        return f"host {name!r} leads to {text}, and {reason}"
    if not is_special(text) and not is_local_name(name):
        return None
    if is_local_name(name) and address.is_loopback:
        return None
    if any(rule.covers(NetworkRule(text, port)) and is_special(rule.host) for rule in rules(policy.network)):
        return None
    why = f"not public and not named in the network list ({listed(policy.network)})"
    return f"host {name!r} leads to {text}, which is {why}"


def _denied(policy: Policy, port: int, address: Address) -> str | None:
    for rule in rules(policy.deny_network):
        is_here = rule.port in (None, port) and is_local_name(rule.host) and address.is_loopback
        if is_here or any(rule.denies(NetworkRule(str(face), port)) for face in faces(address)):
            return f"address {str(address)!r} is denied ({listed(policy.deny_network)})"
    return None


def _shown(wanted: NetworkRule) -> str:
    return f"port {wanted.port} of host {wanted.host!r}"
