"""Policies: what a plugin may touch, decided from what its bundle asks for, its entry and the ceiling."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import attrs
from attrs import field

from ..config.checks import each
from ..config.network import NetworkRule, network_rule, parse_rule
from ..config.sandbox import Ceiling, SandboxOverride, SandboxRequest

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
    policy = Policy(
        **{name: item.value for name, item in values.items()},
        origins={name: item.origin for name, item in values.items()},
    )
    # Once more, now that the paths are resolved for good: a link may have been changed since they were looked at.
    return tuple(_moved(policy, ceiling)) or policy


def _moved(policy: Policy, ceiling: Ceiling) -> Iterator[str]:
    for name in ("read_paths", "write_paths"):
        for reason in _paths_outside(getattr(policy, name), getattr(ceiling, name)):
            yield f"{name}: {reason}"


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
        for reason in _refused(name, item.value, ceiling):
            yield f"{label}: {reason}"


def _refused(name: str, asked: Any, ceiling: Ceiling) -> Iterator[str]:
    """What is asked for and denied as a whole; what is denied in part is granted without that part."""
    match name:
        case "read_paths" | "write_paths":
            denied = getattr(ceiling, f"deny_{name}")
            culprits = [path for path in asked if is_within(os.path.realpath(path), _resolved(denied))]
        case "network":
            denied = ceiling.deny_network
            culprits = [text for text in asked if any(rule.denies(parse_rule(text)) for rule in rules(denied))]
        case _:
            return
    for culprit in culprits:
        yield f"{culprit!r} is denied by the ceiling's deny_{name} ({listed(denied)})"


def _paths_outside(asked: Iterable[str], allowed: tuple[str, ...]) -> Iterator[str]:
    roots = _resolved(allowed)
    for path in asked:
        if not is_within(os.path.realpath(path), roots):
            yield f"{path!r} is not within the ceiling's ({listed(allowed)})"


def _rules_outside(asked: tuple[str, ...], allowed: tuple[str, ...]) -> Iterator[str]:
    for text in asked:
        if not any(rule.covers(parse_rule(text)) for rule in rules(allowed)):
            yield f"{text!r} is not covered by the ceiling's ({listed(allowed)})"


def _names_outside(asked: Iterable[str], allowed: tuple[str, ...]) -> Iterator[str]:
    for name in asked:
        if name not in allowed:
            yield f"{name!r} is not in the ceiling's ({listed(allowed)})"


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
def rules(network: tuple[str, ...]) -> tuple[NetworkRule, ...]:
    """The rules that a network list spells."""
    return tuple(parse_rule(text) for text in network)


def listed(items: tuple[str, ...]) -> str:
    """A list as reasons show it: the first few items."""
    rest = len(items) - _SHOWN_ITEMS
    return (", ".join(items[:_SHOWN_ITEMS]) or "none") + (f" and {rest} more" if rest > 0 else "")
