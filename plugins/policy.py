"""Policies: what a plugin may touch. Decided from request and ceiling; control frames are checked against them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TypeVar

import attrs
from attrs import field

from ..config.checks import absolute_path, each, shown
from ..config.network import NetworkRule, network_rule, parse_rule
from ..config.settings import Ceiling, SandboxRequest

CONTROL_PREFIX = b"SBX:"
_CONNECT = "SBX:CONNECT "
_OPEN = "SBX:OPEN "
_SHOWN_ITEMS = 8

N = TypeVar("N", int, float)


def _resolved(paths: Iterable[str]) -> tuple[str, ...]:
    return tuple(os.path.realpath(path) for path in paths)


@attrs.frozen
class Policy:
    """What one plugin may touch. ``None`` is no limit; an empty list allows nothing.

    Paths are resolved once, here: were they resolved again at each check, a plugin that can write
    could turn one of its own folders into a link to elsewhere.
    """

    read_paths: tuple[str, ...] = field(default=(), converter=_resolved)
    write_paths: tuple[str, ...] = field(default=(), converter=_resolved)
    network: tuple[str, ...] = field(default=(), validator=each(network_rule))
    memory_bytes: int | None = None
    cpu_seconds: int | None = None
    wall_time_s: float = 60.0
    open_files: int = 256
    environment: tuple[str, ...] = ()
    subprocesses: bool = False


def decide(
    request: SandboxRequest, ceiling: Ceiling, *, default_wall_time_s: float | None = None
) -> Policy | tuple[str, ...]:
    """The policy for ``request``, never wider than ``ceiling``; or every reason why it is refused.

    Numbers that the request leaves open take the ceiling's value, but the wall time takes ``default_wall_time_s``
    where that is given and smaller. Lists that it leaves empty stay empty.
    """
    reasons = tuple(_reasons(request, ceiling))
    if reasons:
        return reasons
    wall_time_s = min(ceiling.wall_time_s, default_wall_time_s or ceiling.wall_time_s)
    return Policy(
        read_paths=request.read_paths,
        write_paths=request.write_paths,
        network=request.network,
        memory_bytes=_granted(request.memory_bytes, ceiling.memory_bytes),
        cpu_seconds=_granted(request.cpu_seconds, ceiling.cpu_seconds),
        wall_time_s=wall_time_s if request.wall_time_s is None else request.wall_time_s,
        open_files=ceiling.open_files if request.open_files is None else request.open_files,
        environment=request.environment,
        subprocesses=request.subprocesses,
    )


def _granted(asked: N | None, limit: N | None) -> N | None:
    return limit if asked is None else asked


def _reasons(request: SandboxRequest, ceiling: Ceiling) -> Iterator[str]:
    yield from _paths_outside("read_paths", request.read_paths, ceiling.read_paths)
    yield from _paths_outside("write_paths", request.write_paths, ceiling.write_paths)
    yield from _rules_outside(request.network, ceiling.network)
    yield from _above("memory_bytes", request.memory_bytes, ceiling.memory_bytes)
    yield from _above("cpu_seconds", request.cpu_seconds, ceiling.cpu_seconds)
    yield from _above("wall_time_s", request.wall_time_s, ceiling.wall_time_s)
    yield from _above("open_files", request.open_files, ceiling.open_files)
    for name in request.environment:
        if name not in ceiling.environment:
            yield f"environment: {name!r} is not in the ceiling's ({_listed(ceiling.environment)})"
    if request.subprocesses and not ceiling.subprocesses:
        yield "subprocesses: true is asked for, and the ceiling says false"


def _paths_outside(key: str, asked: Iterable[str], allowed: tuple[str, ...]) -> Iterator[str]:
    roots = _resolved(allowed)
    for path in asked:
        if not is_within(os.path.realpath(path), roots):
            yield f"{key}: {path!r} is not within the ceiling's ({_listed(allowed)})"


def _rules_outside(asked: tuple[str, ...], allowed: tuple[str, ...]) -> Iterator[str]:
    for text in asked:
        if not any(rule.covers(parse_rule(text)) for rule in _rules(allowed)):
            yield f"network: {text!r} is not covered by the ceiling's ({_listed(allowed)})"


def _above(key: str, asked: float | None, limit: float | None) -> Iterator[str]:
    if asked is not None and limit is not None and asked > limit:
        yield f"{key}: {asked:,} is above the ceiling's {limit:,}"


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
