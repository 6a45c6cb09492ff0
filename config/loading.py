"""Loading the settings: a TOML file over ``defaults.toml``, and two environment variables over both."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .documents import parse_toml, structure
from .errors import ConfigError, Fault
from .settings import Settings

BUILTIN_PREFIX = "builtin:"
MAX_CONFIG_BYTES = 4 * 1024 * 1024
DEFAULTS = Path(__file__).with_name("defaults.toml")

_OVERRIDES = {"NYX_PLUGINS_RUNTIME_DIR": "runtime_dir", "NYX_PLUGINS_STATE_DIR": "state_dir"}


def load_settings(path: str | Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings of the file at ``path`` (``None``: the defaults alone). Raises ConfigError with all faults.

    ``NYX_PLUGINS_RUNTIME_DIR`` and ``NYX_PLUGINS_STATE_DIR`` in ``environ`` go before the file, unless they are empty.
    """
    data = parse_toml(DEFAULTS.read_bytes(), source=str(DEFAULTS))
    if path is not None:
        _merge(data, _anchored(_read(Path(path)), Path(path).absolute().parent))
    for variable, key in _OVERRIDES.items():
        if value := environ.get(variable):
            _merge(data, {"system": {key: str(Path(value).absolute())}})
    return structure(data, Settings, source=str(path or "defaults"))


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            text = file.read(MAX_CONFIG_BYTES + 1)
    except (OSError, ValueError) as error:
        why = (isinstance(error, OSError) and error.strerror) or str(error)
        raise ConfigError(str(path), [Fault("", f"can't be read: {why}")]) from error
    if len(text) > MAX_CONFIG_BYTES:
        raise ConfigError(str(path), [Fault("", f"must have at most {MAX_CONFIG_BYTES:,} bytes")])
    return parse_toml(text, source=str(path))


def _merge(base: dict[str, Any], over: Mapping[str, Any]) -> None:
    """Put ``over`` into ``base``: tables key by key, everything else whole."""
    for key, value in over.items():
        below = base.get(key)
        if isinstance(below, dict) and isinstance(value, Mapping):
            _merge(below, value)
        else:
            base[key] = value


def _anchored(data: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Make the paths in ``data`` absolute. What has the wrong type stays, for ``structure`` to report."""

    def anchor(value: Any) -> Any:
        if not isinstance(value, str) or not value or value.startswith(BUILTIN_PREFIX):
            return value
        return str(folder / os.path.expanduser(value))

    def anchor_each(value: Any) -> Any:
        return [anchor(item) for item in value] if isinstance(value, list) else value

    for key in ("runtime_dir", "state_dir"):
        _replace(data.get("system"), key, anchor)
    _replace(data.get("service"), "dashboard_token_file", anchor)
    for key in ("read_paths", "write_paths"):
        _replace(data.get("ceiling"), key, anchor_each)
    plugins = data.get("plugins")
    for plugin in plugins if isinstance(plugins, list) else ():
        _replace(plugin, "bundle", anchor)
    return data


def _replace(table: Any, key: str, change: Callable[[Any], Any]) -> None:
    if isinstance(table, dict) and key in table:
        table[key] = change(table[key])
