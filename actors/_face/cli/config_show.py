"""What a configuration comes to, as TOML with the origin of each value, or as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs
import click

from ..config.loading import load_with_origins
from ..config.origins import Setting, all_settings
from .failure import one_line

HIDDEN = "***"
_SECRET = re.compile(r"token|passw|passphrase|pwd|secret|credential|(api|private|access)[-_]?key", re.IGNORECASE)
_BARE = re.compile(r"[A-Za-z0-9_-]+")
# Origins stand below each other, unless a value is longer than this.
_VALUE_CHARS = 44


def run_show(file: str | None, json_wanted: bool, only_changed: bool) -> None:
    """Print the settings; raises :class:`ConfigError`."""
    loaded = load_with_origins(file)
    settings = [
        setting
        for setting in all_settings(loaded.settings, loaded.origins)
        if setting.origin.kind != "default" or not only_changed
    ]
    click.echo(json.dumps([fields(item) for item in settings], indent=1) if json_wanted else as_toml(settings))


def fields(setting: Setting) -> dict[str, Any]:
    """Return one setting as plain data; what is secret is hidden."""
    origin = setting.origin
    return {
        "key": setting.key,
        "value": _shown_value(setting),
        "origin": origin.kind,
        "file": origin.file,
        "line": origin.line,
        "variable": origin.variable,
    }


def as_toml(settings: Iterable[Setting]) -> str:
    """Return a TOML document with the origin of each value as a comment; what has no value is a comment as a whole."""
    return "\n".join(_lines(settings)).strip("\n") or "# Everything is as the defaults have it."


def toml_value(value: Any) -> str:
    """Spell a value in TOML, on one line, with nothing in it that a terminal might obey."""
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return str(value)
        case Mapping():
            items = ", ".join(f"{toml_key(name)} = {toml_value(item)}" for name, item in value.items())
            return f"{{ {items} }}" if items else "{}"
        case list() | tuple():
            return f"[{', '.join(map(toml_value, value))}]"
    return f'"{"".join(map(_character, str(value)))}"'


def toml_key(name: str) -> str:
    """Spell a key in TOML."""
    return name if _BARE.fullmatch(name) else toml_value(name)


def hidden(value: Any) -> Any:
    """Put :data:`HIDDEN` in the place of everything whose key says that it is secret."""
    if isinstance(value, Mapping):
        return {name: HIDDEN if _SECRET.search(name) else hidden(item) for name, item in value.items()}
    return [hidden(item) for item in value] if isinstance(value, list | tuple) else value


def _lines(settings: Iterable[Setting]) -> Iterator[str]:
    last = ""
    for setting in settings:
        table, _, name = setting.key.rpartition(".")
        if table != last:
            yield ""
            yield f"[[{table.partition('[')[0]}]]" if "[" in table else f"[{table}]"
            last = table
        value = _shown_value(setting)
        line = f"# {name} is not set" if value is None else f"{name} = {toml_value(value)}"
        yield f"{line:<{_VALUE_CHARS}}  # {one_line(str(setting.origin))}"


def _shown_value(setting: Setting) -> Any:
    if attrs.has(type(setting.value)):
        return {name: value for name, value in attrs.asdict(setting.value).items() if value is not None}
    is_free = setting.key.startswith("plugins[") and setting.key.endswith(".config")
    return hidden(setting.value) if is_free else setting.value


def _character(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    if char.isprintable():
        return char
    return f"\\u{ord(char):04x}" if ord(char) < 0x10000 else f"\\U{ord(char):08x}"
