"""Where scenarios are: those that come with the package, by name, and everybody's own, by path."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from nyx_plugins.cli.usage import alike
from nyx_plugins.config.checks import joined, shown_key
from nyx_plugins.config.errors import Fault
from nyx_plugins.config.loading import read_file

from .errors import ScenarioError
from .parsing import parse
from .scenario import WORK, Plan, merged

SUFFIX = ".toml"
_PATHS = ("capture", "bundle")
_SHIPPED = Path(str(files("nyx_plugins.load_tests"))) / "scenarios"


def shipped() -> list[str]:
    """Return the names of those that come with the package, sorted."""
    return sorted(path.stem for path in _SHIPPED.glob(f"*{SUFFIX}"))


def path_of(name: str) -> Path:
    """Return where a scenario is, given by name or by path; raises :class:`ScenarioError` when there is none."""
    if name in shipped():
        return _SHIPPED / (name + SUFFIX)
    if (path := Path(name)).suffix == SUFFIX or path.is_file():
        return path
    near = alike(name, shipped())
    reason = f"there is no such scenario{near}: known are {', '.join(shipped())}; or name a file (*{SUFFIX})"
    raise ScenarioError(name or "''", [Fault("", reason)])


def load(name: str, changes: Mapping[str, Any] | None = None) -> Plan:
    """Read a scenario, with ``changes`` before what it says; raises :class:`ScenarioError` with all faults."""
    path = path_of(name)
    try:
        text = read_file(path)
    except ValueError as error:
        raise ScenarioError(str(path), getattr(error, "faults", ())) from None
    try:
        return parse(text, str(path), str(path.absolute().parent), changes)
    except ScenarioError as error:
        raise ScenarioError(_blamed(path, changes or {}, error.faults), error.faults) from None


def _blamed(path: Path, changes: Mapping[str, Any], faults: Iterable[Fault]) -> str:
    """Return what has the faults: the file, what was changed of it, or both together."""
    if not changes:
        return str(path)
    changed = tuple(_keys(changes))
    ours = all(fault.key.startswith(changed) for fault in faults)
    return "as it was changed (--set)" if ours else f"{path} with what was changed of it"


def _keys(changes: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in changes.items():
        key = joined(prefix, shown_key(name))
        yield from _keys(value, key) if isinstance(value, Mapping) and value else [key]


def changes_of(settings: Iterable[str]) -> dict[str, Any]:
    """Read ``key=value`` texts, the keys with dots, the values as in TOML or else as text.

    Who types a path means one from the current folder. Raises :class:`ScenarioError`.
    """
    changes: dict[str, Any] = {}
    for text in settings:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise ScenarioError("--set", [Fault("", f"must be key=value, not {text!r}")])
        *tables, last = key.strip().split(".")
        below: Any = {last: _here(last, _value(value.strip()))}
        for part in reversed(tables):
            below = {part: below}
        changes = merged(changes, below)
    return changes


def _here(key: str, value: Any) -> Any:
    """Return what a key is set to; a path that is there is told from the current folder, not the scenario's."""
    is_path = key in _PATHS and isinstance(value, str) and value not in ("", WORK)
    return str(Path(value).absolute()) if is_path and Path(value).exists() else value


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
