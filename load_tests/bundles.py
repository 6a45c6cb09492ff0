"""The bundles of a load test: those of ``work`` plugins are made, in two versions; the others are there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nyx_plugins.config.settings import PluginSettings

from .scenario import ORDERS, WORK, PluginGroup, Scenario, bundle_of, merged

VERSIONS = ("1.0.0", "1.1.0")
# What a handler may take, in seconds, beyond what the scenario lets it take.
MARGIN_S = 5.0


class Bundles:
    """The bundles of one scenario, those that are made in ``folder``; relative paths begin in ``base``."""

    def __init__(self, scenario: Scenario, folder: Path, base: Path) -> None:
        self._scenario = scenario
        self._paths = {name: self._prepare(name, group, folder, base) for name, group in scenario.plugins.items()}
        self._turns: dict[int, int] = {}

    def settings(self, name: str, plugin_id: int | None) -> PluginSettings:
        """Say how a plugin of a group is loaded, under which id (``None``: its own)."""
        group = self._scenario.plugins[name]
        return PluginSettings(
            self._paths[name][0],
            id=plugin_id,
            capacity=group.capacity,
            capacity_bytes=group.capacity_bytes,
            instances=group.instances,
            config=_work(group) if group.bundle == WORK else group.config,
        )

    def another(self, name: str, plugin_id: int) -> str:
        """Return the bundle that takes a plugin's place: that of its other version, in turn, if there is one."""
        self._turns[plugin_id] = turn = self._turns.get(plugin_id, 0) + 1
        paths = self._paths[name]
        return paths[turn % len(paths)]

    def _prepare(self, name: str, group: PluginGroup, folder: Path, base: Path) -> list[str]:
        if group.bundle == WORK:
            return [str(self._make(name, version, folder)) for version in VERSIONS]
        return [bundle_of(group, base)]

    def _make(self, name: str, version: str, folder: Path) -> Path:
        bundle = folder / f"{name}-{version}"
        bundle.mkdir()
        shutil.copy(Path(__file__).with_name("work_plugin.py"), bundle / "plugin.py")
        (bundle / "plugin.toml").write_text(to_toml(manifest_of(self._scenario, name, version)))
        return bundle


def manifest_of(scenario: Scenario, name: str, version: str = VERSIONS[0]) -> dict[str, Any]:
    """Return the manifest of a group of ``work`` plugins, with what is to be different in it."""
    made = {
        "id": scenario.first_id,
        "name": name,
        "version": version,
        "api_version": 1,
        "entry_point": "plugin:Work",
        "permissions": ["data_access", "control"],
        "sandbox": {"wall_time_s": _longest_s(scenario, name) + MARGIN_S},
    }
    return merged(made, scenario.plugins[name].manifest)


def _longest_s(scenario: Scenario, name: str) -> float:
    lengths = [event.lasts_s for event in scenario.events if event.group == name and event.do in ORDERS]
    return max([0.0, *lengths, scenario.plugins[name].work_us / 1e6])


def _work(group: PluginGroup) -> dict[str, Any]:
    return {"decode": group.decode, "reply_bytes": group.reply_bytes, "work": group.work, "work_us": group.work_us}


def to_toml(table: Mapping[str, Any]) -> str:
    """Write a plain table as TOML, each key on a line of its own."""
    return "".join(f"{json.dumps(key)} = {_value(value)}\n" for key, value in table.items())


def _value(value: object) -> str:
    match value:
        case Mapping():
            return "{" + ", ".join(f"{json.dumps(key)} = {_value(item)}" for key, item in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(_value, value)) + "]"
    # Strings, numbers and booleans are written alike in JSON.
    return json.dumps(value)
