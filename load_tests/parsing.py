"""Scenarios from TOML: all faults at once, those of variants and of the files that they name too."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from nyx_plugins import ManifestError, NyxPluginError
from nyx_plugins.config import checks
from nyx_plugins.config.documents import parse_toml, structure
from nyx_plugins.config.errors import Fault
from nyx_plugins.plugins.bundle import read_manifest
from nyx_plugins.plugins.manifest import parse_manifest
from nyx_plugins.plugins.permissions import known_permissions

from .bundles import manifest_of, to_toml
from .captures import capture_reason
from .contradictions import contradictions
from .errors import ScenarioError
from .references import event_faults, limit_faults, parts_of, rate_faults, variant_faults, without_lost_limits
from .scenario import WORK, Plan, Scenario, bundle_of, merged

_NEEDED = {"name": "unnamed", "description": ""}


@attrs.frozen
class _Reading:
    """What became of a table."""

    scenario: Scenario | None
    """``None`` if it can't be one."""
    faults: tuple[Fault, ...]


def parse(text: str | bytes, source: str, folder: str, changes: Mapping[str, Any] | None = None) -> Plan:
    """Return the scenario that ``text`` spells, with ``changes`` (tables) before it.

    Raises :class:`ScenarioError` with all faults, those of variants too.
    """
    written = parse_toml(text, source=source, error=ScenarioError)
    table: Mapping[str, Any] = merged(written, changes or {})
    if "limits" not in (changes or {}):
        table = without_lost_limits(table, written)
    variants = {name: part for name, part in parts_of(table).items() if name}
    whole = _read(table, folder, is_whole=not variants)
    parts = {name: _read(part, folder, is_whole=True) for name, part in variants.items()}
    faults = _once(
        [*whole.faults, *_of_variants(parts, whole), *limit_faults(table), *rate_faults(table), *variant_faults(table)]
    )
    if faults or whole.scenario is None:
        raise ScenarioError(source, faults)
    found = {name: part.scenario for name, part in parts.items() if part.scenario is not None}
    return Plan(whole.scenario, found or {"": whole.scenario}, folder)


def _once(faults: Iterable[Fault]) -> list[Fault]:
    """Return the first fault of each key: what is of the wrong type is not told to be wrong otherwise too."""
    return list({fault.key: fault for fault in reversed(list(faults))}.values())[::-1]


def _of_variants(parts: Mapping[str, _Reading], whole: _Reading) -> Iterator[Fault]:
    """Yield what is wrong with variants only; what all of them have in common is told once, as of the scenario."""
    told = set(whole.faults)
    first, *others = (part.faults for part in parts.values()) if parts else ((),)
    common = [fault for fault in first if fault not in told and all(fault in faults for faults in others)]
    yield from common
    told.update(common)
    for name, part in parts.items():
        key = f"variants.{checks.shown_key(name)}"
        yield from (Fault(checks.joined(key, at), why) for at, why in part.faults if Fault(at, why) not in told)


def _read(table: Mapping[str, Any], folder: str, is_whole: bool) -> _Reading:
    faults: list[Fault] = []
    try:
        scenario = structure(table, Scenario, source="", error=ScenarioError)
    except ScenarioError as error:
        faults += error.faults
    broken = _broken(table, faults)
    rest = _rest(table, broken) if faults else scenario
    faults += event_faults(table) if is_whole else ()
    if rest is not None:
        faults += contradictions(rest, broken, is_whole)
        faults += _of_files(rest, Path(folder)) if is_whole else ()
    return _Reading(None if faults else rest, tuple(faults))


def _rest(table: Mapping[str, Any], broken: Collection[str]) -> Scenario | None:
    """Return the scenario without the keys that have faults, to see what else there is; ``None`` if that is none."""
    kept = {key: value for key, value in table.items() if key not in broken}
    try:
        return structure({**_NEEDED, **kept}, Scenario, source="", error=ScenarioError)
    except ScenarioError:
        return None


def _broken(table: Mapping[str, Any], faults: Iterable[Fault]) -> frozenset[str]:
    """Return the keys at which, or below which, something is wrong."""
    places = [key for key, _ in faults]
    shown = {name: checks.shown_key(name) for name in table}
    below = {name: (key, f"{key}.", f"{key}[") for name, key in shown.items()}
    return frozenset(
        name for name, (key, *deeper) in below.items() if any(at == key or at.startswith((*deeper,)) for at in places)
    )


def _of_files(scenario: Scenario, base: Path) -> Iterator[Fault]:
    """Yield what is not there, or can't be read."""
    limits = scenario.system_settings().limits
    if scenario.capture and (why := capture_reason(scenario.capture, base, limits.max_stream_frame_bytes)):
        yield Fault("capture", why)
    for name, group in scenario.plugins.items():
        key = f"plugins.{checks.shown_key(name)}"
        if group.bundle != WORK:
            yield from _of_bundle(f"{key}.bundle", bundle_of(group, base))
        else:
            yield from _of_manifest(f"{key}.manifest", to_toml(manifest_of(scenario, name)), scenario)


def _of_manifest(key: str, text: str, scenario: Scenario) -> Iterator[Fault]:
    """Yield what the system would find wrong with the manifest that is made for a group."""
    try:
        parse_manifest(text, "", known_permissions(scenario.system_settings().frame_types))
    except ManifestError as error:
        yield from (Fault(checks.joined(key, at), why) for at, why in error.faults)


def _of_bundle(key: str, bundle: str) -> Iterator[Fault]:
    try:
        read_manifest(bundle)
    except NyxPluginError as error:
        yield Fault(key, str(error))
