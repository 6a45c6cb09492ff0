"""Where settings came from."""

from __future__ import annotations

from pathlib import Path

from nyx_plugins.config.loading import DEFAULTS, load_with_origins
from nyx_plugins.config.origins import Origin, Setting, all_settings


def settings_of(path: Path | None, environ: dict[str, str]) -> dict[str, Setting]:
    """All settings by key."""
    loaded = load_with_origins(path, environ)
    return {setting.key: setting for setting in all_settings(loaded.settings, loaded.origins)}


def test_each_value_has_the_origin_that_won(tmp_path: Path) -> None:
    """The environment goes before the file, which goes before the defaults; a file's values have their line."""
    path = tmp_path / "nyx-plugins.toml"
    path.write_text(
        "[limits]\nmailbox_capacity = 7\n\nevent_queue = 8\n"
        '[[plugins]]\nbundle = "builtin:echo"\nconfig = { a = { b = 1 } }\n[logging.levels]\na = "info"'
    )
    found = settings_of(path, {"NYX_PLUGINS_LIMITS_EVENT_QUEUE": "9", "NYX_PLUGINS_STATE_DIR": "/s"})
    assert found["limits.mailbox_capacity"] == Setting("limits.mailbox_capacity", 7, Origin("file", str(path), 2))
    variable = Origin("environment", variable="NYX_PLUGINS_LIMITS_EVENT_QUEUE")
    assert found["limits.event_queue"] == Setting("limits.event_queue", 9, variable)
    assert str(found["system.state_dir"].origin) == "NYX_PLUGINS_STATE_DIR"
    assert str(found["limits.wall_time_s"].origin) == "default"
    assert str(found["plugins[0].config"].origin) == f"{path}:7"
    assert str(found["plugins[0].id"].origin) == "default"
    assert str(found["logging.levels"].origin) == f"{path}:8"


def test_without_a_file_everything_is_a_default() -> None:
    """And every key of every section is there."""
    assert {str(setting.origin) for setting in settings_of(None, {}).values()} == {"default"}


def test_the_order_is_that_of_the_defaults_file() -> None:
    """Whoever reads both finds everything in the same place."""
    text = DEFAULTS.read_text()
    places = [
        text.index(f"\n{name} = ", text.index(f"[{section}]"))
        for section, name in (key.split(".") for key in settings_of(None, {}))
        if f"\n{name} = " in text.partition(f"\n[{section}]")[2]
    ]
    assert places == sorted(places)
