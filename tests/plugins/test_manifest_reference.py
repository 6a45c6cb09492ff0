"""docs/manifest.md names every key of a manifest, with the type, the default and the range that it has."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

import attrs
import pytest

from nyx_plugins.config.sandbox import Ceiling, SandboxOverride, SandboxRequest
from nyx_plugins.config.settings import LimitSettings, PluginSettings, SupervisionSettings
from nyx_plugins.plugins.manifest import Balance, Manifest, RestartPolicy, RestartRequest, parse_manifest
from nyx_plugins.plugins.negotiation import HandshakeOffer
from nyx_plugins.plugins.permissions import ALL_PERMISSIONS

PAGE = (Path(__file__).parents[2] / "docs" / "manifest.md").read_text()
TABLES = {
    "At the top": Manifest,
    "`[restart]`": RestartRequest,
    "`[handshake]`": HandshakeOffer,
    "`[sandbox]`": SandboxRequest,
}
SETTINGS = {"ceiling": Ceiling, "limits": LimitSettings, "supervision": SupervisionSettings}
TYPES: dict[str, tuple[Any, ...]] = {
    "integer": (int, int | None),
    "number": (float, float | None),
    "text": (str, RestartPolicy, Balance),
    "boolean": (bool,),
    "list of texts": (tuple[str, ...],),
    "list of integers": (tuple[int, ...],),
    "table": (dict[str, str], *TABLES.values()),
}
BOUNDS = re.compile(r"([\d.]+)(?: to ([\d.]+))?")


class Row(NamedTuple):
    """One key as the page has it, and the field that it stands for."""

    field: attrs.Attribute[Any]
    hint: Any
    type: str
    default: str
    range: str
    before: str


def rows(title: str) -> Iterator[Row]:
    """Yield the rows of a table; a key that is none is an error."""
    section = PAGE.split(f"## {title}\n")[1].split("\n## ")[0]
    fields, hints = attrs.fields_dict(TABLES[title]), get_type_hints(TABLES[title])
    for line in re.findall(r"^\| `.*\|$", section, re.M):
        key, kind, default, limits, _, *before = (cell.strip() for cell in line.strip("|").split("|"))
        name = key.strip("`")
        yield Row(fields[name], hints[name], kind, default, limits, "".join(before))


EVERY_ROW = [pytest.param(row, id=f"{title}-{row.field.name}") for title in TABLES for row in rows(title)]
every_row = pytest.mark.parametrize("row", EVERY_ROW)


@pytest.mark.parametrize("title", TABLES)
def test_every_key_has_its_row(title: str) -> None:
    """None is forgotten, none is there twice, and none is made up."""
    assert sorted(row.field.name for row in rows(title)) == sorted(attrs.fields_dict(TABLES[title]))


@every_row
def test_type_and_default_are_those_of_the_key(row: Row) -> None:
    """Where the manifest leaves a key open, the page names the setting that decides."""
    default = row.field.default
    assert row.hint in TYPES[row.type]
    if row.type == "table":
        assert default.factory in (dict, *TABLES.values())
        return
    if row.default == "required":
        assert default is attrs.NOTHING
    elif found := re.fullmatch(r"`(\w+)\.(\w+)`", row.default):
        assert default is None
        assert found[2] in attrs.fields_dict(SETTINGS[found[1]])
    else:
        shown = tomllib.loads(f"x = {row.default.strip('`')}")["x"]
        assert shown == (list(default) if isinstance(default, tuple) else default)


def faults(row: Row, value: object) -> list[Any]:
    """Return what is wrong with a value of this key."""
    return row.field.validator.faults((value,) if row.type.startswith("list") else value)


@every_row
def test_the_range_is_that_of_the_key(row: Row) -> None:
    """Both ends of a range are allowed and nothing beyond; so are all words that are named, and no others."""
    if found := BOUNDS.fullmatch(row.range):
        read = float if row.type == "number" else int
        low, high = read(found[1]), read(found[2] or found[1])
        step = low / 2 if row.type == "number" else 1
        assert (faults(row, low), faults(row, high)) == ([], [])
        assert faults(row, low - step)
        assert faults(row, high + step)
    else:
        assert row.type in ("text", "boolean", "list of texts", "table")
        words = re.findall(r'`"([^"`]+)"`', row.range)
        assert [word for word in words if faults(row, word)] == []
    if row.field.name in ("policy", "balance"):
        assert re.search("one of " + ", ".join(f"'{word}'" for word in words), str(faults(row, "neither")))


def test_all_permissions_are_named() -> None:
    """Those of the protocol, whatever a system adds."""
    [row] = [row for row in rows("At the top") if row.field.name == "permissions"]
    assert set(re.findall(r'`"(\w+)"`', row.range)) == ALL_PERMISSIONS


def test_what_goes_before_the_manifest_is_named() -> None:
    """Each key that a plugin's entry may have too, and only those."""
    common = set(attrs.fields_dict(Manifest)) & set(attrs.fields_dict(PluginSettings))
    assert {row.field.name for row in rows("At the top") if row.before} == common
    assert set(attrs.fields_dict(SandboxRequest)) == set(attrs.fields_dict(SandboxOverride))


def test_the_example_is_a_manifest() -> None:
    """It can be copied."""
    [example] = re.findall(r"```toml\n(.*?)```", PAGE, re.S)
    assert parse_manifest(example, "docs/manifest.md").sandbox.memory_bytes == 134_217_728
