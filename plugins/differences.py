"""What one version of a plugin may do and another may not, and what senders notice of the change. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import attrs

from ..config.network import NetworkRule, parse_rule
from .negotiation import HandshakeOffer
from .policy import Policy, is_within, rules


@attrs.frozen
class Difference:
    """One thing that a plugin's new version may do and its old one may not (``grows``), or the other way round."""

    key: str
    """``permissions``, or the name of the policy's or the manifest's value."""
    what: str
    """In words, such as ``'/data' is new`` or ``8 becomes 16``."""
    grows: bool | None
    """``None``: it may do neither more nor less; the handshake that senders owe it is another, or something stays."""

    def __str__(self) -> str:
        return f"{self.key}: {self.what}"


def differences(
    old_permissions: Iterable[str], old: Policy, new_permissions: Iterable[str], new: Policy
) -> tuple[Difference, ...]:
    """Return everything in which the new version may do more or less than the old one, in the order of the policy.

    What only is said in other words, such as a folder within another that is allowed, is no difference.
    """
    before, after = frozenset(old_permissions), frozenset(new_permissions)
    found = list(_of_items("permissions", sorted(before), sorted(after), before.__contains__, after.__contains__))
    for field in attrs.fields(Policy):
        compare = _COMPARISONS.get(field.name)
        if compare is not None:
            found += compare(field.name, old, new)
    return tuple(found)


def growing(found: Iterable[Difference]) -> tuple[Difference, ...]:
    """Return those by which the new version may do more."""
    return tuple(difference for difference in found if difference.grows)


def of_handshakes(old: HandshakeOffer | None, new: HandshakeOffer | None) -> tuple[Difference, ...]:
    """Return how that changes with which senders have to come to terms first (``None``: with nothing)."""
    values: dict[str, tuple[Any, Any]] = {"require_handshake": (old is not None, new is not None)}
    if old is not None and new is not None:
        values["handshake.versions"] = old.versions, new.versions
        values["handshake.capabilities"] = old.capabilities, new.capabilities
    shown = [(key, _shown(before), _shown(after)) for key, (before, after) in values.items()]
    return tuple(Difference(key, f"{before} becomes {after}", None) for key, before, after in shown if before != after)


def of_kept(key: str, asked: Any, kept: Any) -> Difference:
    """Say of a value of the manifest that a swap does not take it over."""
    return Difference(key, f"stays {kept}; only a load brings {asked}", None)


def _of_items(
    key: str,
    old: Iterable[str],
    new: Iterable[str],
    old_allows: Callable[[str], bool],
    new_allows: Callable[[str], bool],
) -> Iterator[Difference]:
    for item in new:
        if not old_allows(item):
            yield Difference(key, f"{item!r} is new", grows=True)
    for item in old:
        if not new_allows(item):
            yield Difference(key, f"{item!r} is gone", grows=False)


def _paths(key: str, old: Policy, new: Policy) -> Iterator[Difference]:
    def allows(policy: Policy) -> Callable[[str], bool]:
        roots = policy.write_paths if key == "write_paths" else policy.read_paths + policy.write_paths
        return lambda path: is_within(path, roots)

    return _of_items(key, getattr(old, key), getattr(new, key), allows(old), allows(new))


def _network(key: str, old: Policy, new: Policy) -> Iterator[Difference]:
    def allows(policy: Policy) -> Callable[[str], bool]:
        return lambda text: any(rule.covers(parse_rule(text)) for rule in rules(policy.network))

    return _of_items(key, old.network, new.network, allows(old), allows(new))


def _names(key: str, old: Policy, new: Policy) -> Iterator[Difference]:
    before, after = getattr(old, key), getattr(new, key)
    return _of_items(key, before, after, before.__contains__, after.__contains__)


def _limit(key: str, old: Policy, new: Policy) -> Iterator[Difference]:
    before, after = getattr(old, key), getattr(new, key)
    if before != after:
        grows = after is None or (before is not None and after > before)
        yield Difference(key, f"{_shown(before)} becomes {_shown(after)}", grows)


def _denied_paths(key: str, old: Policy, new: Policy) -> Iterator[Difference]:
    return _of_denials(key, old, new, lambda path, denials: is_within(path, denials))


def _denied_network(key: str, old: Policy, new: Policy) -> Iterator[Difference]:
    def denies(text: str, denials: tuple[str, ...]) -> bool:
        asked: NetworkRule = parse_rule(text)
        return any(rule.denies(asked) for rule in rules(denials))

    return _of_denials(key, old, new, denies)


def _of_denials(
    key: str, old: Policy, new: Policy, denies: Callable[[str, tuple[str, ...]], bool]
) -> Iterator[Difference]:
    before, after = getattr(old, key), getattr(new, key)
    for item in before:
        if not denies(item, after):
            yield Difference(key, f"{item!r} is denied no more", grows=True)
    for item in after:
        if not denies(item, before):
            yield Difference(key, f"{item!r} is denied now", grows=False)


def _shown(value: Any) -> str:
    match value:
        case None:
            return "no limit"
        case bool():
            return str(value).lower()
        case tuple():
            return ", ".join(map(str, sorted(set(value)))) or "none"
    return f"{value:,}"


_COMPARISONS: dict[str, Callable[[str, Policy, Policy], Iterator[Difference]]] = {
    "read_paths": _paths,
    "write_paths": _paths,
    "network": _network,
    "memory_bytes": _limit,
    "cpu_seconds": _limit,
    "wall_time_s": _limit,
    "open_files": _limit,
    "environment": _names,
    "subprocesses": _limit,
    "threads": _limit,
    "scratch_bytes": _limit,
    "packages": _names,
    "deny_read_paths": _denied_paths,
    "deny_write_paths": _denied_paths,
    "deny_network": _denied_network,
}
