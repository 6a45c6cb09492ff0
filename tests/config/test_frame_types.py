"""Frame types in the configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from nyx_plugins.config import ConfigError, FrameTypeSettings, Settings, load_settings
from nyx_plugins.config.frame_types import RESERVED
from nyx_plugins.config.origins import Origin, all_settings


def faults_of(tmp_path: Path, text: str) -> list[str]:
    """Load a configuration, and return what is wrong with it."""
    path = tmp_path / "nyx-plugins.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as refused:
        load_settings(path, {})
    return [str(fault) for fault in refused.value.faults]


def test_each_reserved_number_can_be_named(tmp_path: Path) -> None:
    """In hexadecimal, as one writes them."""
    path = tmp_path / "nyx-plugins.toml"
    path.write_text(
        "[frame_types]\n" + "\n".join(f'own-{n:x} = {{ type = 0x{n:x}, permission = "own" }}' for n in RESERVED)
    )
    settings = load_settings(path, {})
    assert {item.type for item in settings.frame_types.values()} == {0x50, *range(0x55, 0x60)}
    shown = {setting.key: setting for setting in all_settings(settings, {"frame_types.own-50": Origin("file")})}
    assert shown["frame_types.own-50"].value == {"type": 0x50, "permission": "own"}
    assert shown["frame_types.own-50"].origin.kind == "file"


@pytest.mark.parametrize("number", [0, 0x4F, 0x51, 0x54, 0x60, 256])
def test_other_numbers_are_the_protocols(tmp_path: Path, number: int) -> None:
    """They can't be given another meaning."""
    [fault] = faults_of(tmp_path, f'[frame_types]\nown = {{ type = {number}, permission = "own" }}')
    assert fault.startswith("frame_types.own.type: must be 0x50 or one of 0x55 to 0x5f, not ")


def test_names_and_numbers_are_unique_and_permissions_are_names(tmp_path: Path) -> None:
    """Every fault is listed."""
    text = """
    [frame_types]
    data = { type = 0x55, permission = "own" }
    a = { type = 0x56, permission = "own" }
    b = { type = 0x56, permission = "own" }
    "C d" = { type = 0x57, permission = "own" }
    """
    assert faults_of(tmp_path, text) == [
        "frame_types.data: must have a name of its own, not that of a type of the protocol",
        "frame_types.b.type: must be its own, not 0x56 of a",
        "frame_types.'C d': must be the name of a frame type ([a-z][a-z0-9_-]*, at most 64), not 'C d'",
    ]
    assert faults_of(tmp_path, '[frame_types]\na = { type = 0x56, permission = "Own" }\nb = 5\nc = {}') == [
        "frame_types.a.permission: must be a permission ([a-z][a-z0-9_]*, at most 64), not 'Own'",
        "frame_types.b: must be a table, not an integer (5)",
        "frame_types.c.type: is missing",
        "frame_types.c.permission: is missing",
    ]


def test_what_is_built_in_code_is_checked_too() -> None:
    """With the same faults."""
    with pytest.raises(ConfigError, match="type: must be 0x50"):
        FrameTypeSettings(0x52, "own")
    with pytest.raises(ConfigError, match="frame_types"):
        Settings(frame_types={"a": 5})  # type: ignore[dict-item]
