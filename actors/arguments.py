"""The arguments of the public methods, checked where they come in: a mistake is its maker's, not an actor's."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import cbor2

from ..config.errors import ConfigError, Fault
from ..config.settings import MAX_PLUGIN_ID, PluginSettings
from ..plugins.permissions import ALL_PERMISSIONS
from .events import ALL_STREAMS
from .messages import LoadSpec

# No wait is longer than this, in seconds (a year): beyond it, the operating system's clocks give up.
FOR_EVER_S = 365 * 86_400.0
MAX_QUEUE = 1_000_000
MAX_CONFIG_BYTES = 1 << 20


def checked_id(plugin_id: object) -> int:
    """Return a plugin id; raises :class:`TypeError`, or :class:`ValueError` outside of 0 to 2**32 - 1."""
    if not isinstance(plugin_id, int) or isinstance(plugin_id, bool):
        raise TypeError(f"a plugin id must be an int, not {type(plugin_id).__name__}")
    if not 0 <= plugin_id <= MAX_PLUGIN_ID:
        raise ValueError(f"a plugin id must be 0 to {MAX_PLUGIN_ID:,}, not {plugin_id:,}")
    return plugin_id


def checked_seconds(timeout: object, default: float) -> float:
    """Return a waiting time from 0 to a year: ``None`` is the default, infinity a year.

    Raises :class:`TypeError`, or :class:`ValueError` for what is negative or no number.
    """
    if timeout is None:
        return default
    if not isinstance(timeout, (int, float)) or isinstance(timeout, bool):
        raise TypeError(f"a timeout must be seconds or None, not {type(timeout).__name__}")
    if not timeout >= 0:
        raise ValueError(f"a timeout must be 0 s or more, not {timeout}")
    return float(min(timeout, FOR_EVER_S))


def checked_capacity(capacity: object, default: int) -> int:
    """Return the size of a queue, ``None`` being the default; raises TypeError, or ValueError."""
    if capacity is None:
        return default
    if not isinstance(capacity, int) or isinstance(capacity, bool):
        raise TypeError(f"a capacity must be an int, not {type(capacity).__name__}")
    if not 1 <= capacity <= MAX_QUEUE:
        raise ValueError(f"a capacity must be 1 to {MAX_QUEUE:,}, not {capacity:,}")
    return capacity


def checked_permission(permission: object) -> str:
    """Return the name of a permission; raises :class:`ValueError` for one that does not exist."""
    if not isinstance(permission, str) or permission not in ALL_PERMISSIONS:
        raise ValueError(f"unknown permission {permission!r}: expected one of {', '.join(sorted(ALL_PERMISSIONS))}")
    return permission


def checked_permissions(permissions: Iterable[str] | None) -> tuple[str, ...] | None:
    """Return names of permissions; raises :class:`TypeError` for a text, which would be taken letter by letter."""
    if isinstance(permissions, str):
        raise TypeError(f"permissions must be a list of names, not the text {permissions!r}")
    return None if permissions is None else tuple(permissions)


def checked_streams(streams: Iterable[str]) -> tuple[str, ...]:
    """Return names of streams; raises :class:`TypeError` for a text, :class:`ValueError` for an unknown name."""
    if isinstance(streams, str):
        raise TypeError(f"streams must be a list of names, not the text {streams!r}")
    chosen = tuple(streams)
    for name in chosen:
        if name not in ALL_STREAMS:
            raise ValueError(f"unknown stream {name!r}: expected some of {', '.join(ALL_STREAMS)}")
    return chosen


def checked_bundle(bundle: object) -> str:
    """Return where a bundle is; raises :class:`TypeError`."""
    if not isinstance(bundle, (str, Path)):
        raise TypeError(f"a bundle must be a path or 'builtin:NAME', not {type(bundle).__name__}")
    return str(bundle)


def load_spec(plugin: PluginSettings, number: int) -> LoadSpec:
    """Translate what the settings say of one plugin; raises :class:`ConfigError` for what only is known here."""
    faults = list(_faults(plugin, f"plugins[{number}]"))
    if faults:
        raise ConfigError(f"of {plugin.bundle}", faults)
    bundle = plugin.bundle if plugin.bundle.startswith("builtin:") else str(Path(plugin.bundle).absolute())
    config = dict(plugin.config)
    return LoadSpec(bundle, plugin.id, plugin.capacity, plugin.capacity_bytes, plugin.permissions, config)


def _faults(plugin: PluginSettings, key: str) -> Iterable[Fault]:
    unknown = sorted(set(plugin.permissions or ()) - ALL_PERMISSIONS)
    if unknown:
        known = ", ".join(sorted(ALL_PERMISSIONS))
        yield Fault(f"{key}.permissions", f"unknown: {', '.join(unknown)}; expected some of {known}")
    size = len(cbor2.dumps(plugin.config))
    if size > MAX_CONFIG_BYTES:
        yield Fault(f"{key}.config", f"takes {size:,} bytes: the limit is {MAX_CONFIG_BYTES:,}")
