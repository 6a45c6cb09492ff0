"""Where each setting came from: the defaults, the configuration file with the line, or an environment variable."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import attrs

from .checks import joined, shown_key
from .settings import PluginSettings, Settings

Kind = Literal["default", "file", "environment"]


@attrs.frozen
class Origin:
    """Where a value came from: ``file`` and ``line`` are for a file only, ``variable`` for the environment only."""

    kind: Kind
    file: str | None = None
    line: int | None = None
    variable: str | None = None

    def __str__(self) -> str:
        if self.kind == "file":
            return f"{self.file}:{self.line}" if self.line else str(self.file)
        return self.variable or "default"


@attrs.frozen
class Setting:
    """One setting in force: its dotted key, its value and its origin."""

    key: str
    value: Any
    origin: Origin


def all_settings(settings: Settings, origins: Mapping[str, Origin]) -> Iterator[Setting]:
    """Every setting in the order of ``defaults.toml``; what ``origins`` does not name is a default."""
    for section in attrs.fields(Settings):
        value = getattr(settings, section.name)
        if attrs.has(type(value)):
            yield from _of(value, section.name, origins)
        elif isinstance(value, Mapping):
            yield from _of_table(value, section.name, origins)
    for number, plugin in enumerate(settings.plugins):
        yield from _of(plugin, f"plugins[{number}]", origins)


def _of_table(table: Mapping[str, Any], prefix: str, origins: Mapping[str, Origin]) -> Iterator[Setting]:
    for name, item in table.items():
        key = joined(prefix, shown_key(name))
        yield Setting(key, attrs.asdict(item), origins.get(key, Origin("default")))


def _of(values: Any | PluginSettings, prefix: str, origins: Mapping[str, Origin]) -> Iterator[Setting]:
    for field in attrs.fields(type(values)):
        key = joined(prefix, field.name)
        yield Setting(key, getattr(values, field.name), origins.get(key, Origin("default")))
