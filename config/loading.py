"""Loading the settings: a TOML file over ``defaults.toml``, and environment variables over both."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from .checks import joined
from .documents import parse_toml, structure
from .environment import Overrides, blamed, read_overrides
from .errors import ConfigError, Fault
from .files import open_at_once
from .lines import key_lines, line_of
from .origins import Origin
from .sandbox import KEY_PREFIX
from .settings import Settings

BUILTIN_PREFIX = "builtin:"
MAX_CONFIG_BYTES = 4 * 1024 * 1024
DEFAULTS = Path(__file__).with_name("defaults.toml")
# Of loggers; tables that are deeper in each other are no names.
_MAX_NAME_PARTS = 16
# What a configuration without a file is called.
_NO_FILE = "defaults"


@attrs.frozen
class Loaded:
    """Settings, and the origin of each dotted key that is no default."""

    settings: Settings
    origins: Mapping[str, Origin]


def load_settings(path: str | Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings of the file at ``path`` (``None``: the defaults alone). Raises ConfigError with all faults.

    ``NYX_PLUGINS_<SECTION>_<KEY>`` in ``environ``, such as ``NYX_PLUGINS_LIMITS_MAILBOX_CAPACITY``, goes before the
    file, unless it is empty; so do ``NYX_PLUGINS_RUNTIME_DIR`` and ``NYX_PLUGINS_STATE_DIR``.
    """
    text = None if path is None else read_file(Path(path))
    data = {} if text is None else parse_toml(text, source=str(path))
    return _settings(path, data, read_overrides(environ))


def load_with_origins(path: str | Path | None = None, environ: Mapping[str, str] = os.environ) -> Loaded:
    """The same, with the origin of each setting."""
    text = b"" if path is None else read_file(Path(path))
    data = parse_toml(text, source=str(path))
    overrides = read_overrides(environ)
    settings = _settings(path, data, overrides)
    lines = key_lines(text.decode("utf-8-sig"))
    origins = {key: Origin("file", file=str(path), line=line_of(key, lines)) for key in _keys(data)}
    variables = {key: Origin("environment", variable=name) for key, name in overrides.variables.items()}
    return Loaded(settings, origins | variables)


def lines_of_file(path: str | Path) -> dict[str, int]:
    """The line of each key of a file that may have faults; nothing for one that is no TOML."""
    try:
        text = read_file(Path(path))
        parse_toml(text, source=str(path))
    except ConfigError:
        return {}
    return key_lines(text.decode("utf-8-sig"))


def _settings(path: str | Path | None, data: dict[str, Any], overrides: Overrides) -> Settings:
    merged = merged_tables(path, data, overrides)
    source = str(path or ("environment" if overrides.variables or overrides.faults else _NO_FILE))
    try:
        settings = structure(merged, Settings, source=source)
    except ConfigError as error:
        raise ConfigError(source, [*blamed(error.faults, overrides.variables), *overrides.faults]) from None
    if overrides.faults:
        raise ConfigError(source, overrides.faults)
    return settings


def merged_tables(path: str | Path | None, data: dict[str, Any], overrides: Overrides) -> dict[str, Any]:
    """The file's tables (``data``) over the defaults, and the environment's over both; nothing is checked yet."""
    merged = parse_toml(DEFAULTS.read_bytes(), source=str(DEFAULTS))
    if path is not None:
        _merge(merged, _anchored(data, Path(path).absolute().parent))
    if overrides.tables:
        _merge(merged, _anchored(_fitting(overrides.tables, merged), Path()))
    return merged


def _fitting(tables: Mapping[str, Mapping[str, Any]], merged: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of what the environment says, without what would hide that the file has no table in its place."""
    return {name: dict(table) for name, table in tables.items() if isinstance(merged[name], dict)}


def _keys(data: Mapping[str, Any]) -> Iterator[str]:
    """The dotted keys of a file that are settings: tables of tables only, since a plugin's own table is one setting."""
    for name, value in data.items():
        if isinstance(value, Mapping):
            yield from (joined(name, key) for key in value)
        else:
            yield from (f"{name}[{number}].{key}" for number, table in enumerate(value) for key in table)


def read_file(path: Path) -> bytes:
    """The bytes of a configuration file; raises :class:`ConfigError`."""
    try:
        with open(str(path), "rb", opener=open_at_once) as file:
            text = file.read(MAX_CONFIG_BYTES + 1)
    except (OSError, ValueError) as error:
        why = (isinstance(error, OSError) and error.strerror) or str(error)
        raise ConfigError(str(path), [Fault("", f"can't be read: {why}")]) from error
    if len(text) > MAX_CONFIG_BYTES:
        raise ConfigError(str(path), [Fault("", f"must have at most {MAX_CONFIG_BYTES:,} bytes")])
    return text


def _dotted(table: Any, prefix: str = "") -> Any:
    """Names of loggers in one piece: without quotes, TOML takes ``nyx_plugins.host`` for tables in each other."""
    if not isinstance(table, dict) or prefix.count(".") > _MAX_NAME_PARTS:
        return table
    flat: dict[str, Any] = {}
    for name, value in table.items():
        below = _dotted(value, f"{prefix}{name}.")
        flat |= below if isinstance(below, dict) and below else {prefix + name: value}
    return flat


def _merge(base: dict[str, Any], over: Mapping[str, Any]) -> None:
    """Put ``over`` into ``base``: tables key by key, everything else whole."""
    for key, value in over.items():
        below = base.get(key)
        if isinstance(below, dict) and isinstance(value, Mapping):
            _merge(below, value)
        else:
            base[key] = value


def _anchored(data: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Make paths in ``data`` absolute, and names whole. What has the wrong type stays, for ``structure`` to report."""

    def anchor(value: Any) -> Any:
        if not isinstance(value, str) or not value or value.startswith((BUILTIN_PREFIX, KEY_PREFIX)):
            return value
        path = folder / os.path.expanduser(value)
        try:
            return str(path.absolute())
        except OSError:
            # The working directory is gone: what names a place in it is refused as what it is, relative.
            return value

    def anchor_each(value: Any) -> Any:
        return [anchor(item) for item in value] if isinstance(value, list) else value

    for key in ("runtime_dir", "state_dir"):
        _replace(data.get("system"), key, anchor)
    _replace(data.get("service"), "dashboard_token_file", anchor)
    _replace(data.get("logging"), "levels", _dotted)
    found = data.get("plugins")
    plugins = [plugin for plugin in found if isinstance(plugin, dict)] if isinstance(found, list) else []
    for key in ("read_paths", "write_paths", "deny_read_paths", "deny_write_paths"):
        for table in (data.get("ceiling"), *(plugin.get("sandbox") for plugin in plugins)):
            _replace(table, key, anchor_each)
    _replace(data.get("ceiling"), "trusted_keys", anchor_each)
    for plugin in plugins:
        _replace(plugin, "bundle", anchor)
    return data


def _replace(table: Any, key: str, change: Callable[[Any], Any]) -> None:
    if isinstance(table, dict) and key in table:
        table[key] = change(table[key])
