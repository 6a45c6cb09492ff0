"""Environment variables that go before the configuration file: ``NYX_PLUGINS_<SECTION>_<KEY>`` for every setting."""

from __future__ import annotations

import difflib
import functools
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, get_args, get_origin

import attrs

from .checks import shown_key
from .errors import Fault
from .settings import Settings

PREFIX = "NYX_PLUGINS_"
CONFIG_VARIABLE = "NYX_PLUGINS_CONFIG"
"""Names the configuration file for commands that are not given one."""
SHORT = {
    "NYX_PLUGINS_RUNTIME_DIR": "NYX_PLUGINS_SYSTEM_RUNTIME_DIR",
    "NYX_PLUGINS_STATE_DIR": "NYX_PLUGINS_SYSTEM_STATE_DIR",
}
"""Short names of two variables."""


@attrs.frozen
class Place:
    """A setting that a variable can change: its section, its key and its type."""

    section: str
    key: str
    type: Any

    @property
    def dotted(self) -> str:
        """The dotted key."""
        return f"{self.section}.{self.key}"


@attrs.frozen
class Overrides:
    """What the environment says: tables to merge over the file's, the variable behind each dotted key, and faults."""

    tables: Mapping[str, Mapping[str, Any]]
    variables: Mapping[str, str]
    faults: tuple[Fault, ...]


@functools.cache
def places() -> dict[str, Place]:
    """Every variable with the setting that it changes."""
    known = {
        f"{PREFIX}{section.name}_{field.name}".upper(): Place(section.name, field.name, field.type)
        for section in attrs.fields(attrs.resolve_types(Settings))
        if section.type is not None and attrs.has(section.type)
        for field in attrs.fields(attrs.resolve_types(section.type))
    }
    return known | {short: known[name] for short, name in SHORT.items()}


def read_overrides(environ: Mapping[str, str]) -> Overrides:
    """Take all ``NYX_PLUGINS_`` variables; those that are empty count as unset."""
    tables: dict[str, dict[str, Any]] = {}
    variables: dict[str, str] = {}
    faults: list[Fault] = []
    for name in sorted(name for name, text in environ.items() if name.startswith(PREFIX) and text):
        place = places().get(name)
        if place is None:
            faults += _unknown(name)
        elif (other := variables.get(place.dotted)) is not None:
            faults.append(Fault(name, f"must not be set together with {other}, which means the same"))
        else:
            variables[place.dotted] = name
            tables.setdefault(place.section, {})[place.key] = _value(environ[name], place.type)
    return Overrides(tables, variables, tuple(faults))


def blamed(faults: Iterable[Fault], variables: Mapping[str, str]) -> Iterator[Fault]:
    """Each fault under the variable that caused it, where one did, such as ``NYX_PLUGINS_CEILING_NETWORK[0]``."""
    for fault in faults:
        key = covered_key(fault, variables)
        yield fault if key is None else Fault(variables[key] + fault.key[len(key) :], fault.reason)


def covered_key(fault: Fault, variables: Mapping[str, str]) -> str | None:
    """The key with a variable at which, or in which, a fault is; ``None`` if there is none."""
    is_at = (key for key in variables if fault.key == key or fault.key.startswith((f"{key}.", f"{key}[")))
    return next(is_at, None)


def _unknown(name: str) -> Iterator[Fault]:
    if name != CONFIG_VARIABLE:
        near = difflib.get_close_matches(name[:128], places(), n=1, cutoff=0.8)
        yield Fault(shown_key(name), "unknown environment variable" + (f"; did you mean {near[0]}?" if near else ""))


def _value(text: str, cls: Any) -> Any:
    """Read a value as its setting wants it: texts as they are or quoted, lists with commas, all else as in TOML.

    What can't be read stays text, for the checks to report.
    """
    kinds = {get_origin(kind) or kind for kind in (get_args(cls) if type(None) in get_args(cls) else (cls,))}
    if tuple in kinds and not text.lstrip().startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    is_quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    return _toml(text) if is_quoted or kinds & {tuple, int, float, bool, dict} else text


def _toml(text: str) -> Any:
    try:
        found = tomllib.loads(f"value = {text.strip()}")
    except (ValueError, RecursionError):
        return text
    return found["value"] if len(found) == 1 else text
