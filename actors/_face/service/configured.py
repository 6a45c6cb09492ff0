"""The plugins that a service's configuration names: loading them, and following changes of the configuration."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from ..actors.system import PluginInfo, PluginSystem
from ..config.errors import NyxPluginError
from ..config.settings import PluginSettings
from ..plugins.errors import DependentsLoaded, PluginNotLoaded, PluginNotRegistered
from .reload import compare_plugins

_log = logging.getLogger("nyx_plugins.service")


class ConfiguredPlugins:
    """What the configuration names, and which plugin came of each entry. What fails is logged, and the rest goes on.

    Only one thread may use it at a time.
    """

    def __init__(self, system: PluginSystem) -> None:
        self._system = system
        self._ids: dict[tuple[str, int | None], int] = {}
        self._entries: tuple[PluginSettings, ...] = ()

    def load(self, entries: Sequence[PluginSettings]) -> None:
        """Load these, all at the same time."""
        results = self._system.load_many(entries)
        for entry, result in zip(entries, results, strict=True):
            if isinstance(result, PluginInfo):
                self._ids[entry.bundle, entry.id] = result.plugin_id
                self._entries = (*self._entries, entry)
                _log.info("plugin %d (%s %s) is ready", result.plugin_id, result.name, result.version)
            else:
                _log.error("%s can't be loaded: %s", entry.bundle, result)

    def follow(self, entries: Sequence[PluginSettings]) -> None:
        """Make the plugins those of a changed configuration; one that could not be loaded before is tried again."""
        changes = compare_plugins(self._entries, entries)
        self._forget_all(changes.unload)
        for entry in changes.permit:
            self._permit(entry)
        if changes.load:
            self.load(changes.load)
        if changes.after_reload:
            _log.warning("until the plugin is unloaded and loaded again: %s", ", ".join(changes.after_reload))

    def _forget_all(self, entries: Sequence[PluginSettings]) -> None:
        """Unload these, those that others of them require after them; who is required besides stays."""
        refused: dict[int, DependentsLoaded] = {}
        left = list(entries)
        while left:
            refused = {place: error for place, entry in enumerate(left) if (error := self._forget(entry)) is not None}
            if len(refused) == len(left):
                break
            left = [left[place] for place in refused]
        for error in refused.values():
            _log.error("it stays until the configuration is read again: %s", error)

    def _forget(self, entry: PluginSettings) -> DependentsLoaded | None:
        """Unload one, unless others require it."""
        plugin_id = self._ids[entry.bundle, entry.id]
        try:
            self._system.unload(plugin_id)
            _log.info("plugin %d (%s) is unloaded", plugin_id, entry.bundle)
        except (PluginNotRegistered, PluginNotLoaded):
            # Somebody has unloaded it by hand.
            _log.info("plugin %d (%s) was not loaded any more", plugin_id, entry.bundle)
        except DependentsLoaded as error:
            return error
        except NyxPluginError as error:
            _log.error("plugin %d (%s) can't be unloaded: %s", plugin_id, entry.bundle, error)
        del self._ids[entry.bundle, entry.id]
        self._entries = tuple(other for other in self._entries if other is not entry)
        return None

    def _permit(self, entry: PluginSettings) -> None:
        plugin_id = self._ids[entry.bundle, entry.id]
        try:
            self._set_permissions(plugin_id, entry)
        except NyxPluginError as error:
            _log.error("the permissions of plugin %d can't be changed: %s", plugin_id, error)
            return
        known = [other for other in self._entries if (other.bundle, other.id) != (entry.bundle, entry.id)]
        self._entries = (*known, entry)

    def _set_permissions(self, plugin_id: int, entry: PluginSettings) -> None:
        info = self._system.plugin_info(plugin_id)
        wanted = info.requested if entry.permissions is None else frozenset(entry.permissions)
        for permission in sorted(wanted - info.permissions):
            self._system.grant(plugin_id, permission)
        for permission in sorted(info.permissions - wanted):
            self._system.revoke(plugin_id, permission)
        _log.info("plugin %d has the permissions %s", plugin_id, ", ".join(sorted(wanted)) or "none at all")
