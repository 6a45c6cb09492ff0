"""What a changed configuration means for a running service: what comes into force, and what a restart is needed for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from ..config.origins import all_settings
from ..config.settings import PluginSettings, Settings

_AT_ONCE = ("logging.", "limits.dispatch_timeout_s", "limits.drain_timeout_s")
_FOR_NEW_PLUGINS = (
    "ceiling.",
    "limits.log_lines_per_s",
    "limits.mailbox_bytes",
    "limits.mailbox_capacity",
    "limits.max_reply_bytes",
    "limits.snapshot_bytes",
    "limits.wall_time_s",
    "supervision.",
)
_PERMISSIONS = "permissions"


@attrs.frozen
class SettingChanges:
    """The dotted keys that have changed, by when they come into force."""

    at_once: tuple[str, ...] = ()
    for_new_plugins: tuple[str, ...] = ()
    after_restart: tuple[str, ...] = ()


@attrs.frozen
class PluginChanges:
    """What to do with the plugins that the configuration names."""

    unload: tuple[PluginSettings, ...] = ()
    load: tuple[PluginSettings, ...] = ()
    permit: tuple[PluginSettings, ...] = ()
    """Those that are to have other permissions."""
    after_reload: tuple[str, ...] = ()
    """What a plugin has to be unloaded and loaded again for, as ``builtin:echo: capacity``."""


def compare_settings(old: Settings, new: Settings) -> SettingChanges:
    """Sort the keys whose values differ; plugins are compared by :func:`compare_plugins`."""
    before, now = _values(old), _values(new)
    changed = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    at_once = tuple(key for key in changed if key.startswith(_AT_ONCE))
    for_new = tuple(key for key in changed if key.startswith(_FOR_NEW_PLUGINS))
    return SettingChanges(at_once, for_new, tuple(key for key in changed if key not in at_once + for_new))


def in_force(old: Settings, new: Settings) -> Settings:
    """The new settings, with what a restart is needed for as it was: so it is named again the next time."""
    kept = compare_settings(old, new).after_restart
    for key in kept:
        section, name = key.split(".", 1)
        # Frame types have names of their own, and are kept all together.
        was, now = getattr(old, section), getattr(new, section)
        part: Any = was if isinstance(was, dict) else attrs.evolve(now, **{name: getattr(was, name)})
        new = attrs.evolve(new, **{section: part})
    return new


def compare_plugins(old: Sequence[PluginSettings], new: Sequence[PluginSettings]) -> PluginChanges:
    """Find what was added, removed or changed. An entry is known by its bundle and its id."""
    before = {_identity(plugin): plugin for plugin in old}
    now = {_identity(plugin): plugin for plugin in new}
    both = [(before[key], plugin) for key, plugin in now.items() if key in before]
    return PluginChanges(
        unload=tuple(plugin for key, plugin in before.items() if key not in now),
        load=tuple(plugin for key, plugin in now.items() if key not in before),
        permit=tuple(plugin for was, plugin in both if was.permissions != plugin.permissions),
        after_reload=tuple(text for was, plugin in both for text in _stubborn(was, plugin)),
    )


def _values(settings: Settings) -> dict[str, object]:
    return {found.key: found.value for found in all_settings(attrs.evolve(settings, plugins=()), {})}


def _identity(plugin: PluginSettings) -> tuple[str, int | None]:
    return plugin.bundle, plugin.id


def _stubborn(was: PluginSettings, plugin: PluginSettings) -> list[str]:
    names = [field.name for field in attrs.fields(PluginSettings) if field.name != _PERMISSIONS]
    return [f"{plugin.bundle}: {name}" for name in names if getattr(was, name) != getattr(plugin, name)]
