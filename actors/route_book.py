"""The routes of a dispatcher, with the permissions that the registry says are in force. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from ..plugins.policy import Policy
from . import messages as m
from .admission import AT_REST


class RouteBook:
    """Routes by plugin id. What the registry has said of permissions stands, whatever a route says that comes later."""

    def __init__(self) -> None:
        self.routes: dict[int, m.Route] = {}
        self._granted: dict[int, frozenset[str]] = {}

    def put(self, route: m.Route) -> m.Route:
        """Open or change a route; returns it with the permissions that are in force."""
        granted = self._granted.get(route.plugin_id, route.permissions)
        route = self.routes[route.plugin_id] = attrs.evolve(route, permissions=granted)
        return route

    def drop(self, plugin_id: int) -> None:
        """The plugin is gone. Idempotent."""
        self.routes.pop(plugin_id, None)
        self._granted.pop(plugin_id, None)

    def grant(self, plugin_id: int, permissions: frozenset[str]) -> m.Route | None:
        """These are in force now; returns the route that has changed, if there is one already."""
        self._granted[plugin_id] = permissions
        route = self.routes.get(plugin_id)
        return None if route is None or route.state == AT_REST else self.put(route)

    def know(self, rows: Iterable[m.Registration]) -> tuple[tuple[m.Route, ...], dict[int, bool]]:
        """Take over all rows of the registry; returns the routes that are others now, and the ids that are gone."""
        rows, before = tuple(rows), dict(self.routes)
        for row in rows:
            if row.state == AT_REST:
                self.routes[row.plugin_id] = _at_rest(row)
            else:
                self.grant(row.plugin_id, row.granted)
        resting = {row.plugin_id for row in rows if row.state == AT_REST}
        gone = {id: True for id, route in before.items() if route.state == AT_REST and id not in resting}
        for plugin_id in gone:
            self.routes.pop(plugin_id, None)
        changed = tuple(route for id, route in self.routes.items() if before.get(id) != route)
        return changed, gone

    def forget_resting(self, plugin_id: int) -> bool:
        """A plugin at rest is registered no more; returns whether there was one."""
        route = self.routes.get(plugin_id)
        if route is None or route.state != AT_REST:
            return False
        del self.routes[plugin_id]
        return True


def _at_rest(row: m.Registration) -> m.Route:
    """Know of a plugin without an actor, so that its frames are refused with the right reason."""
    return m.Route(row.plugin_id, row.name, row.version, AT_REST, row.granted, Policy(), 0, 0, 0)
