"""The arguments of the public methods, checked where they come in: a mistake is its maker's, not an actor's."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import cbor2

from ..config.checks import shown
from ..config.errors import ConfigError, Fault
from ..config.settings import MAX_PLUGIN_ID, PluginSettings
from ..plugins.errors import BundleError
from ..plugins.permissions import ALL_PERMISSIONS
from .events import ALL_STREAMS
from .messages import LoadSpec

# No wait is longer than this, in seconds (a year): beyond it, the operating system's clocks give up.
FOR_EVER_S = 365 * 86_400.0
MAX_QUEUE = 1_000_000
MAX_INSTANCES = 64
# No more dead letters of one plugin are kept, whatever the settings.
MAX_LETTERS = 100_000
MAX_CONFIG_BYTES = 1 << 20
NO_FOLDER = "the current folder is not there any more: change to another, or name an absolute path"
"""Why a relative path is refused."""


def checked_id(plugin_id: object) -> int:
    """Return a plugin id; raises :class:`TypeError`, or :class:`ValueError` outside of 0 to 2**32 - 1."""
    if not isinstance(plugin_id, int) or isinstance(plugin_id, bool):
        raise TypeError(f"a plugin id must be an int, not {type(plugin_id).__name__}")
    if not 0 <= plugin_id <= MAX_PLUGIN_ID:
        raise ValueError(f"a plugin id must be 0 to {MAX_PLUGIN_ID:,}, not {plugin_id:,}")
    return plugin_id


def checked_kind(name: str, value: object, kind: type) -> None:
    """Raise :class:`TypeError` for what is no ``kind``."""
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be {kind.__name__}, not {type(value).__name__}")


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


def checked_wait(timeout: object) -> float | None:
    """Likewise, where ``None`` is for ever."""
    return None if timeout is None else checked_seconds(timeout, FOR_EVER_S)


def checked_instances(instances: object) -> int:
    """Return a number of workers; raises :class:`TypeError` and :class:`ValueError`."""
    if not isinstance(instances, int) or isinstance(instances, bool):
        raise TypeError(f"instances must be an int, not {type(instances).__name__}")
    if not 1 <= instances <= MAX_INSTANCES:
        raise ValueError(f"instances must be 1 to {MAX_INSTANCES}, not {instances:,}")
    return instances


def checked_capacity(capacity: object, default: int) -> int:
    """Return the size of a queue, ``None`` being the default; raises TypeError, or ValueError."""
    if capacity is None:
        return default
    if not isinstance(capacity, int) or isinstance(capacity, bool):
        raise TypeError(f"a capacity must be an int, not {type(capacity).__name__}")
    if not 1 <= capacity <= MAX_QUEUE:
        raise ValueError(f"a capacity must be 1 to {MAX_QUEUE:,}, not {capacity:,}")
    return capacity


def checked_count(what: str, number: object, least: int) -> int:
    """Return a number that is at least ``least``; raises :class:`TypeError` or :class:`ValueError`, naming ``what``."""
    if not isinstance(number, int) or isinstance(number, bool):
        raise TypeError(f"{what} must be an int, not {type(number).__name__}")
    if number < least:
        raise ValueError(f"{what} must be {least} or more, not {number:,}")
    return number


def checked_letters(ids: object) -> tuple[int, ...] | None:
    """Return numbers of dead letters, each once; ``None`` stays. Raises :class:`TypeError` and :class:`ValueError`."""
    if ids is None:
        return None
    if not isinstance(ids, Iterable) or isinstance(ids, (str, bytes)):
        raise TypeError(f"ids must be numbers of dead letters or None, not {type(ids).__name__}")
    numbers = tuple(islice(ids, MAX_LETTERS + 1))
    if len(numbers) > MAX_LETTERS:
        raise ValueError(f"ids must be {MAX_LETTERS:,} numbers of dead letters at most, not more: None stands for all")
    return tuple(dict.fromkeys(checked_count("a dead letter's number", number, 0) for number in numbers))


def checked_permission(permission: object, known: Collection[str] = ALL_PERMISSIONS) -> str:
    """Return the name of a permission; raises :class:`ValueError` for one that does not exist."""
    if not isinstance(permission, str) or permission not in known:
        raise ValueError(f"unknown permission {permission!r}: expected one of {', '.join(sorted(known))}")
    return permission


def checked_permissions(permissions: Iterable[str] | None) -> tuple[str, ...] | None:
    """Return names of permissions; raises :class:`TypeError` for what is no list of names."""
    return None if permissions is None else _names(permissions, "permissions")


def checked_streams(streams: Iterable[str]) -> tuple[str, ...]:
    """Return names of streams; raises :class:`TypeError` for no list of names, :class:`ValueError` for unknown ones."""
    chosen = _names(streams, "streams")
    for name in chosen:
        if name not in ALL_STREAMS:
            raise ValueError(f"unknown stream {name!r}: expected some of {', '.join(ALL_STREAMS)}")
    return chosen


def checked_bundle(bundle: object) -> str:
    """Return where a bundle is; raises :class:`TypeError`."""
    if not isinstance(bundle, (str, Path)):
        raise TypeError(f"a bundle must be a path or 'builtin:NAME', not {type(bundle).__name__}")
    return str(bundle)


def located_bundle(bundle: str) -> str:
    """Return where a bundle is, wherever the reader of that may be; raises :class:`BundleError` for what is nowhere."""
    if not bundle:
        raise BundleError("''", "must not be empty")
    try:
        return bundle if bundle.startswith("builtin:") else str(Path(bundle).absolute())
    except OSError:
        raise BundleError(bundle, f"is relative, and {NO_FOLDER}") from None


def checked_config(config: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a plugin's configuration; raises :class:`TypeError` for what is no mapping."""
    if config is None:
        return {}
    if not isinstance(config, Mapping):
        raise TypeError(f"a plugin's config must be a mapping or None, not {type(config).__name__}")
    return dict(config)


def load_specs(
    plugins: Iterable[PluginSettings], permissions: Collection[str] = ALL_PERMISSIONS
) -> tuple[LoadSpec, ...]:
    """Translate what the settings say of plugins; raises :class:`TypeError`, and what :func:`load_spec` raises."""
    if not isinstance(plugins, Iterable):
        raise TypeError(f"plugins must be a list of PluginSettings, not {type(plugins).__name__}")
    return tuple(load_spec(plugin, number, permissions) for number, plugin in enumerate(plugins))


def load_spec(plugin: PluginSettings, number: int, permissions: Collection[str] = ALL_PERMISSIONS) -> LoadSpec:
    """Translate what the settings say of one plugin; raises :class:`ConfigError` for what only is known here."""
    if not isinstance(plugin, PluginSettings):
        raise TypeError(f"plugins[{number}] must be PluginSettings, not {type(plugin).__name__}")
    faults = list(_faults(plugin, f"plugins[{number}]", permissions))
    if faults:
        raise ConfigError(f"of {plugin.bundle}", faults)
    bundle = located_bundle(plugin.bundle)
    return LoadSpec(
        bundle,
        plugin.id,
        plugin.capacity,
        plugin.capacity_bytes,
        plugin.permissions,
        dict(plugin.config),
        plugin.sandbox,
        require_handshake=plugin.require_handshake,
        instances=plugin.instances,
        durability=plugin.durability,
    )


def _names(names: Iterable[str], what: str) -> tuple[str, ...]:
    """Return names. A text would be taken letter by letter."""
    if isinstance(names, str | bytes) or not isinstance(names, Iterable):
        raise TypeError(f"{what} must be a list of names, not {shown(names)}")
    chosen = tuple(names)
    for name in chosen:
        if not isinstance(name, str):
            raise TypeError(f"{what} must be names, not {shown(name)}")
    return chosen


def _faults(plugin: PluginSettings, key: str, permissions: Collection[str]) -> Iterable[Fault]:
    unknown = sorted(set(plugin.permissions or ()).difference(permissions))
    if unknown:
        known = ", ".join(sorted(permissions))
        yield Fault(f"{key}.permissions", f"unknown: {', '.join(unknown)}; expected some of {known}")
    size = len(cbor2.dumps(plugin.config))
    if size > MAX_CONFIG_BYTES:
        yield Fault(f"{key}.config", f"takes {size:,} bytes: the limit is {MAX_CONFIG_BYTES:,}")
