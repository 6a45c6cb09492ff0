"""What can be known of a configuration that has faults, so that its other faults are found in the same run."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from .documents import parse_toml, structure
from .environment import covered_key, read_overrides
from .errors import ConfigError, Fault
from .loading import lines_of_file, load_settings, merged_tables, read_file
from .settings import PluginSettings, Settings, shared_ids


@attrs.frozen
class PartialPlugin:
    """One plugin of a configuration: its ``number`` in there, and those of its keys that have no fault."""

    number: int
    settings: PluginSettings
    is_whole: bool = True


@attrs.frozen
class PartialSettings:
    """What a configuration says where it has no fault; ``settings`` are the defaults where it has one.

    ``whole`` names the sections without a fault.
    """

    settings: Settings
    plugins: tuple[PartialPlugin, ...]
    whole: frozenset[str]
    faults: tuple[Fault, ...] = ()


def load_partly(path: str | Path, environ: Mapping[str, str] = os.environ) -> PartialSettings:
    """The settings of the file at ``path``, with all faults in place of an error.

    They include those of values that do not count, because a variable of the environment goes before them.
    """
    covered = _covered_faults(path, environ)
    try:
        settings = load_settings(path, environ)
    except ConfigError as error:
        return _partial(path, environ, (*error.faults, *covered))
    plugins = tuple(PartialPlugin(number, plugin) for number, plugin in enumerate(settings.plugins))
    return PartialSettings(settings, plugins, frozenset(attrs.fields_dict(Settings)), covered)


def _covered_faults(path: str | Path, environ: Mapping[str, str]) -> tuple[Fault, ...]:
    try:
        load_settings(path, {})
    except ConfigError as error:
        variables, lines = read_overrides(environ).variables, lines_of_file(path)
        return tuple(fault for fault in error.faults if covered_key(fault, variables) in lines)
    return ()


def _partial(path: str | Path, environ: Mapping[str, str], faults: tuple[Fault, ...]) -> PartialSettings:
    try:
        tables = merged_tables(path, parse_toml(read_file(Path(path)), source=str(path)), read_overrides(environ))
    except ConfigError:
        return PartialSettings(Settings(), (), frozenset(), faults)
    sections = {name: found for name in tables if name != "plugins" and (found := _section(name, tables[name]))}
    plugins = tuple(_plugins(tables.get("plugins", ())))
    shared = shared_ids((plugin.number, plugin.settings) for plugin in plugins)
    more = [fault for fault in shared if fault not in faults]
    return PartialSettings(Settings(**sections), plugins, frozenset(sections), (*faults, *more))


def _section(name: str, table: Any) -> Any:
    """The settings of one section; ``None`` if it has a fault."""
    settings = _structured({name: table})
    return getattr(settings, name) if settings is not None else None


def _plugins(tables: Any) -> Iterator[PartialPlugin]:
    """The plugins whose bundle at least is known."""
    for number, table in enumerate(tables if isinstance(tables, list) else ()):
        if (whole := _plugin(table)) is not None:
            yield PartialPlugin(number, whole)
        elif isinstance(table, dict) and (known := _plugin(_sound(table))) is not None:
            yield PartialPlugin(number, known, is_whole=False)


def _sound(table: dict[str, Any]) -> dict[str, Any]:
    """The keys of a plugin that have no fault."""
    return {key: value for key, value in table.items() if _plugin({"bundle": "some", key: value}) is not None}


def _plugin(table: Any) -> PluginSettings | None:
    settings = _structured({"plugins": [table]})
    return settings.plugins[0] if settings is not None else None


def _structured(tables: dict[str, Any]) -> Settings | None:
    try:
        return structure(tables, Settings, source="part")
    except ConfigError:
        return None
