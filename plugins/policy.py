"""Policies: what a plugin may touch. Decided from request and ceiling; control frames are checked against them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import attrs
from attrs import field

from ..config.checks import absolute_path, each, shown
from ..config.network import NetworkRule, network_rule, parse_rule
from ..config.sandbox import Ceiling, SandboxOverride, SandboxRequest

CONTROL_PREFIX = b"SBX:"
_CONNECT = "SBX:CONNECT "
_OPEN = "SBX:OPEN "
_SHOWN_ITEMS = 8
_DENIALS = ("deny_read_paths", "deny_write_paths", "deny_network")

MANIFEST = "manifest"
PLUGIN_ENTRY = "plugin entry"
CEILING = "ceiling"
DEFAULT = "default"
"""The origins of a policy's values."""


def _resolved(paths: Iterable[str]) -> tuple[str, ...]:
    return tuple(os.path.realpath(path) for path in paths)


@attrs.frozen
class Policy:
    """What one plugin may touch. ``None`` is no limit; an empty list allows nothing. Deny wins over allow.

    Paths are resolved once, here: were they resolved again at each check, a plugin that can write
    could turn one of its own folders into a link to elsewhere.
    """

    read_paths: tuple[str, ...] = field(default=(), converter=_resolved)
    write_paths: tuple[str, ...] = field(default=(), converter=_resolved)
    """These may be read as well."""
    network: tuple[str, ...] = field(default=(), validator=each(network_rule))
    memory_bytes: int | None = None
    cpu_seconds: int | None = None
    wall_time_s: float = 60.0
    """For each frame."""
    open_files: int = 256
    environment: tuple[str, ...] = ()
    """Names of the environment variables that the worker sees."""
    subprocesses: bool = False
    threads: int | None = None
    scratch_bytes: int = 0
    """The size of the worker's private folder for temporary files; 0 is none."""
    packages: tuple[str, ...] = ()
    """Installed top-level packages that may be imported besides the standard library and cbor2."""
    deny_read_paths: tuple[str, ...] = field(default=(), converter=_resolved)
    deny_write_paths: tuple[str, ...] = field(default=(), converter=_resolved)
    deny_network: tuple[str, ...] = field(default=(), validator=each(network_rule))
    origins: Mapping[str, str] = field(factory=dict, eq=False)
    """Where each value came from: ``manifest``, ``plugin entry``, ``ceiling``, ``default``, or several with commas."""

    def explain(self) -> tuple[PolicyLine, ...]:
        """Every value with where it came from."""
        names = [field.name for field in attrs.fields(Policy) if field.name != "origins"]
        return tuple(PolicyLine(name, getattr(self, name), self.origins.get(name, DEFAULT)) for name in names)


@attrs.frozen
class PolicyLine:
    """One value of a policy, and where it came from."""

    key: str
    value: Any
    origin: str


def decide(
    request: SandboxRequest,
    ceiling: Ceiling,
    *,
    override: SandboxOverride | None = None,
    default_wall_time_s: float | None = None,
) -> Policy | tuple[str, ...]:
    """The policy for ``request``, never wider than ``ceiling``; or every reason why it is refused.

    What ``override`` says replaces what is requested. Numbers that both leave open take the ceiling's value, but the
    wall time takes ``default_wall_time_s`` where that is given and smaller. Lists that they leave empty stay empty.
    Whatever one of the three denies is denied.
    """
    asked = _asked(request, override or SandboxOverride())
    if reasons := tuple(_reasons(asked, ceiling)):
        return reasons
    values = {name: _granted(item, getattr(ceiling, name)) for name, item in asked.items()}
    if asked["wall_time_s"].value is None and (default_wall_time_s or ceiling.wall_time_s) < ceiling.wall_time_s:
        values["wall_time_s"] = _Sourced(default_wall_time_s, DEFAULT)
    values |= {name: _denied(name, request, override, ceiling) for name in _DENIALS}
    return Policy(
        **{name: item.value for name, item in values.items()},
        origins={name: item.origin for name, item in values.items()},
    )


@attrs.frozen
class _Sourced:
    """A value, and where it came from."""

    value: Any
    origin: str


def _asked(request: SandboxRequest, override: SandboxOverride) -> dict[str, _Sourced]:
    """What is asked for, without what is denied."""
    asked = {}
    for item in attrs.fields(SandboxRequest):
        value, replaced = getattr(request, item.name), getattr(override, item.name)
        if replaced is not None:
            asked[item.name] = _Sourced(replaced, PLUGIN_ENTRY)
        else:
            asked[item.name] = _Sourced(value, MANIFEST if value != item.default else DEFAULT)
    return {name: item for name, item in asked.items() if name not in _DENIALS}


def _granted(asked: _Sourced, limit: object) -> _Sourced:
    return _Sourced(limit, CEILING) if asked.value is None else asked


def _denied(name: str, request: SandboxRequest, override: SandboxOverride | None, ceiling: Ceiling) -> _Sourced:
    found = {
        origin: getattr(source, name) or ()
        for origin, source in ((CEILING, ceiling), (PLUGIN_ENTRY, override), (MANIFEST, request))
        if source is not None and getattr(source, name)
    }
    items = dict.fromkeys(item for denied in found.values() for item in denied)
    return _Sourced(tuple(items), ", ".join(found) or DEFAULT)


def _reasons(asked: Mapping[str, _Sourced], ceiling: Ceiling) -> Iterator[str]:
    for name, item in asked.items():
        label = f"{name} ({PLUGIN_ENTRY})" if item.origin == PLUGIN_ENTRY else name
        for reason in _CHECKS[name](item.value, getattr(ceiling, name)):
            yield f"{label}: {reason}"


def _paths_outside(asked: Iterable[str], allowed: tuple[str, ...]) -> Iterator[str]:
    roots = _resolved(allowed)
    for path in asked:
        if not is_within(os.path.realpath(path), roots):
            yield f"{path!r} is not within the ceiling's ({_listed(allowed)})"


def _rules_outside(asked: tuple[str, ...], allowed: tuple[str, ...]) -> Iterator[str]:
    for text in asked:
        if not any(rule.covers(parse_rule(text)) for rule in _rules(allowed)):
            yield f"{text!r} is not covered by the ceiling's ({_listed(allowed)})"


def _names_outside(asked: Iterable[str], allowed: tuple[str, ...]) -> Iterator[str]:
    for name in asked:
        if name not in allowed:
            yield f"{name!r} is not in the ceiling's ({_listed(allowed)})"


def _above(asked: float | None, limit: float | None) -> Iterator[str]:
    if asked is not None and limit is not None and asked > limit:
        yield f"{asked:,} is above the ceiling's {limit:,}"


def _switched_on(asked: bool, allowed: bool) -> Iterator[str]:
    if asked and not allowed:
        yield "true is asked for, and the ceiling says false"


_CHECKS: dict[str, Callable[[Any, Any], Iterator[str]]] = {
    "read_paths": _paths_outside,
    "write_paths": _paths_outside,
    "network": _rules_outside,
    "memory_bytes": _above,
    "cpu_seconds": _above,
    "wall_time_s": _above,
    "open_files": _above,
    "environment": _names_outside,
    "subprocesses": _switched_on,
    "threads": _above,
    "scratch_bytes": _above,
    "packages": _names_outside,
}


def is_within(path: str, roots: Iterable[str]) -> bool:
    """Whether ``path`` is one of ``roots`` or lies below one, by component. All must be resolved already."""
    return any(path == root or path.startswith(root.rstrip(os.sep) + os.sep) for root in roots)


@lru_cache(maxsize=256)
def _rules(network: tuple[str, ...]) -> tuple[NetworkRule, ...]:
    return tuple(parse_rule(text) for text in network)


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
    if wanted.port is None:
        return f"the target must be host:port, not {shown(target)}"
    rules = _rules(policy.network)
    if any(rule.covers(wanted) for rule in rules):
        return None
    known_host = any(rule.host == wanted.host for rule in rules)
    culprit = f"port {wanted.port} of host {wanted.host!r}" if known_host else f"host {wanted.host!r}"
    return f"{culprit} is not in the network list ({_listed(policy.network)})"


def _check_open(policy: Policy, path: str) -> str | None:
    for fault in absolute_path.faults(path):
        return f"the path {fault.reason}"
    resolved = os.path.realpath(path)
    if is_within(resolved, policy.read_paths + policy.write_paths):
        return None
    whence = "" if resolved == path else f" (which is {resolved!r})"
    lists = f"read paths: {_listed(policy.read_paths)}; write paths: {_listed(policy.write_paths)}"
    return f"path {shown(path)}{whence} is not in the allowed paths ({lists})"


def _listed(items: tuple[str, ...]) -> str:
    rest = len(items) - _SHOWN_ITEMS
    return (", ".join(items[:_SHOWN_ITEMS]) or "none") + (f" and {rest} more" if rest > 0 else "")
