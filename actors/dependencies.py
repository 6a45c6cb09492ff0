"""Which plugin needs which: what a load waits for and what refuses it, and who depends on whom. Pure.

A dependency names a plugin and a range of versions; any loaded plugin of that name and a fitting version meets it.
Cycles are looked for among names, over what is required and what is optional alike, so that requests from plugin to
plugin can never go round.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Protocol

import attrs
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from ..plugins.errors import DependencyConflict, DependencyCycle, DependencyMissing
from .admission import ACCEPTING

STARTING = "starting"
"""State of a plugin that is being loaded."""


class Node(Protocol):
    """One plugin, as far as dependencies go: a route is one."""

    @property
    def plugin_id(self) -> int:
        """Tells it from others of its name."""

    @property
    def name(self) -> str:
        """What dependencies call it."""

    @property
    def version(self) -> str:
        """As PEP 440 has it."""

    @property
    def state(self) -> str:
        """That of its life, as users know it."""

    @property
    def requires(self) -> Mapping[str, str]:
        """Names, and the ranges of versions that have to be there."""

    @property
    def optional(self) -> Mapping[str, str]:
        """Likewise of what it uses if it is there."""


@attrs.frozen
class PluginNode:
    """One plugin of which there may be no route yet."""

    plugin_id: int
    name: str
    version: str
    state: str = "ready"
    requires: Mapping[str, str] = attrs.field(factory=dict)
    optional: Mapping[str, str] = attrs.field(factory=dict)


# Versions and ranges.


def fits(wanted: str, version: str) -> bool:
    """Whether a version is in a range. A loaded pre-release was somebody's choice, so it counts."""
    return _range(wanted).contains(version, prereleases=True)


def exclude_each_other(one: str, other: str) -> bool:
    """Whether there can be no version that is in both ranges, as far as the versions tell that the two name."""
    return version_within(f"{one},{other}".strip(",")) == ""


def version_within(wanted: str) -> str:
    """A version that is in a range, plain rather than odd; empty when there seems to be none."""
    wanted_range = _range(wanted)
    named = [Version(item.version.removesuffix(".*")) for item in wanted_range if item.operator != "==="]
    tries = ["1.0.0", *(item.version for item in wanted_range), "0", *(t for v in named for t in _around(v))]
    fitting = (text for text in tries if not text.endswith(".*") and wanted_range.contains(text, prereleases=True))
    return next(fitting, "")


def _around(version: Version) -> Iterator[str]:
    """The version itself, and those just above and just below it, in the order of their releases."""
    release = version.release + (0,) * 8
    yield str(version)
    yield _dotted((*release[:8], 1))
    yield f"{version}.post1" if version.post is None and version.dev is None else str(version)
    yield from (f"{version.base_version}{suffix}" for suffix in (".dev0", "a0", "rc9999"))
    for place in reversed(range(len(version.release))):
        if release[place]:
            yield _dotted((*release[:place], release[place] - 1, 999_999_999))
            return


def _dotted(numbers: Iterable[int]) -> str:
    return ".".join(map(str, numbers))


@lru_cache(maxsize=1024)
def _range(wanted: str) -> SpecifierSet:
    return SpecifierSet(wanted)


# Who meets what.


def best(nodes: Iterable[Node], name: str, wanted: str) -> Node | None:
    """The plugin that a dependency means: one that takes frames, of the highest version, with the lowest id."""
    return max(
        (node for node in nodes if node.name == name and fits(wanted, node.version)),
        key=lambda node: (node.state in ACCEPTING, Version(node.version), -node.plugin_id),
        default=None,
    )


def wants(node: Node) -> dict[str, str]:
    """Everything that a plugin may talk to: what it requires, and what is optional."""
    return {**node.optional, **node.requires}


def dependents(node: Node, others: Iterable[Node]) -> list[Node]:
    """Those that require this plugin, or another of its name in whose place it could be, in the order of their ids."""
    found = [other for other in others if _requires(other, node)]
    return sorted(found, key=lambda other: other.plugin_id)


def _requires(node: Node, provider: Node) -> bool:
    wanted = node.requires.get(provider.name)
    return wanted is not None and fits(wanted, provider.version)


def leaving_with(node: Node, others: Iterable[Node]) -> list[Node]:
    """Those that can't stay when this plugin goes, and those that can't when they go, in the order of their ids."""
    gone: list[Node] = [node]
    staying = list(others)
    while bereft := [other for other in staying if _is_bereft(other, gone, staying)]:
        gone += bereft
        staying = [other for other in staying if other not in bereft]
    return sorted(gone[1:], key=lambda other: other.plugin_id)


def _is_bereft(node: Node, gone: Iterable[Node], staying: Iterable[Node]) -> bool:
    """Whether nobody who stays meets a requirement that somebody met who is gone."""
    lost = {provider.name for provider in gone if _requires(node, provider)}
    return any(not _is_met(name, node.requires[name], staying) for name in lost)


def goes_before(node: Node, provider: Node) -> bool:
    """Whether ``node`` has to be gone before ``provider`` may go, if both do."""
    wanted = wants(node).get(provider.name)
    return wanted is not None and fits(wanted, provider.version)


def _is_met(name: str, wanted: str, nodes: Iterable[Node]) -> bool:
    provider = best(nodes, name, wanted)
    return provider is not None and provider.state in ACCEPTING


# Loading and swapping.


def may_start(
    node: Node, others: Sequence[Node], *, reading: bool = False, failed: Mapping[str, str] | None = None
) -> bool:
    """Whether all is there that a plugin has to have or could use; if not, that is still being loaded.

    ``reading`` says that there are bundles of the same load of which nobody knows yet what is in them, and ``failed``
    why plugins of the same load, by name, are not there. Raises :class:`DependencyCycle`,
    :class:`DependencyConflict` and :class:`DependencyMissing`.
    """
    _check_cycles(node, others)
    unmet = {name: wanted for name, wanted in wants(node).items() if not _is_met(name, wanted, others)}
    if any(reading or _is_coming(name, wanted, others) for name, wanted in unmet.items()):
        return False
    _check_met(node, {name: wanted for name, wanted in unmet.items() if name in node.requires}, others, failed or {})
    return True


def _is_coming(name: str, wanted: str, nodes: Iterable[Node]) -> bool:
    return any(node.state == STARTING and node.name == name and fits(wanted, node.version) for node in nodes)


def check_swap(old: Node, new: Node, others: Sequence[Node]) -> None:
    """Check what is to come in a plugin's place: what it requires is there, and it is what others require.

    Raises what :func:`may_start` raises.
    """
    _check_cycles(new, others)
    _check_met(new, {n: w for n, w in new.requires.items() if not _is_met(n, w, others)}, others, {})
    bereft = [other for other in others if _is_bereft(other, [old], [*others, new])]
    if bereft:
        shown = [f"{_called(other)} requires {old.name} {other.requires[old.name]}" for other in bereft]
        raise DependencyConflict(new.plugin_id, [f"{new.name} {new.version}, but {text}" for text in shown])


def _check_cycles(node: Node, others: Iterable[Node]) -> None:
    cycle = cycle_through(node, others)
    if cycle:
        raise DependencyCycle(node.plugin_id, cycle)


def cycle_through(node: Node, others: Iterable[Node]) -> tuple[str, ...]:
    """The shortest way from a plugin's name back to it, both ends included; empty when there is none."""
    edges: dict[str, set[str]] = {}
    for each in (node, *others):
        edges.setdefault(each.name, set()).update(wants(each))
    paths: deque[tuple[str, ...]] = deque([(node.name,)])
    seen: set[str] = set()
    while paths:
        path = paths.popleft()
        for name in sorted(edges.get(path[-1], ())):
            if name == node.name:
                return (*path, name)
            if name not in seen:
                seen.add(name)
                paths.append((*path, name))
    return ()


def _check_met(node: Node, unmet: Mapping[str, str], others: Sequence[Node], failed: Mapping[str, str]) -> None:
    missing = {name: f"{name} {wanted} ({_why(name, wanted, others, failed)})" for name, wanted in unmet.items()}
    conflicts = [
        f"{missing[name]}, and {_called(other)} requires {name} {other.requires[name]}"
        for name, wanted in unmet.items()
        for other in sorted(others, key=lambda other: other.plugin_id)
        if name in other.requires and exclude_each_other(wanted, other.requires[name])
    ]
    if conflicts:
        raise DependencyConflict(node.plugin_id, conflicts)
    if missing:
        raise DependencyMissing(node.plugin_id, missing.values())


def _why(name: str, wanted: str, nodes: Iterable[Node], failed: Mapping[str, str]) -> str:
    """Say what is there instead of a plugin that is missing."""
    if name in failed:
        return f"not loaded: {failed[name]}"
    there = [node for node in nodes if node.name == name]
    fitting = best(there, name, wanted)
    if fitting is not None:
        return f"loaded: {fitting.version}, but {fitting.state}"
    return f"loaded: {', '.join(sorted({node.version for node in there}))}" if there else "not loaded"


def _called(node: Node) -> str:
    return f"{node.name} ({node.plugin_id})"
