"""What is known of a plugin besides its counters."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from ..plugins.policy import Policy
from .admission import ACCEPTING
from .dependencies import dependents
from .messages import Registration, Route


@attrs.frozen
class PluginInfo:
    """What the registry and the guard know of one plugin."""

    plugin_id: int
    name: str
    version: str
    digest: str
    state: str
    requested: frozenset[str]
    permissions: frozenset[str]
    policy: Policy | None
    capacity: int | None
    signed_by: str = ""
    """The public key that has signed its bundle; empty when that is not signed, or nobody has checked it."""
    requires: Mapping[str, str] = attrs.field(factory=dict)
    """The plugins that it requires, by name, with ranges of versions; nothing of one that is not loaded."""
    optional: Mapping[str, str] = attrs.field(factory=dict)
    """Likewise those that it uses if they are there."""
    dependents: tuple[int, ...] = ()
    """The ids of the loaded plugins that require it, or another of its name and a fitting version."""


def info_of(row: Registration, routes: Mapping[int, Route]) -> PluginInfo:
    """Put together what registry and dispatcher say of one plugin."""
    route = routes.get(row.plugin_id)
    # The route says whether frames are taken; how it is with a plugin that takes them, the registry knows better.
    serving = route is not None and route.state in ACCEPTING and row.state in ACCEPTING
    return PluginInfo(
        row.plugin_id,
        row.name,
        row.version,
        row.digest,
        row.state if route is None or serving else route.state,
        row.requested,
        row.granted,
        None if route is None else route.policy,
        None if route is None else route.capacity,
        row.signed_by,
        {} if route is None else route.requires,
        {} if route is None else route.optional,
        () if route is None else tuple(other.plugin_id for other in dependents(route, routes.values())),
    )


def accepting(routes: Mapping[int, Route]) -> list[int]:
    """Return the ids of the plugins that take frames, in ascending order."""
    return sorted(route.plugin_id for route in routes.values() if route.state in ACCEPTING)
