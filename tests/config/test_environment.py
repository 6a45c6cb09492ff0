"""Environment variables: every setting of a section has one, which goes before the file."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins.config import ConfigError, Settings, load_settings
from nyx_plugins.config.environment import places
from nyx_plugins.config.origins import all_settings


def faults(environ: dict[str, str], path: Path | None = None) -> list[str]:
    """What is wrong with these variables."""
    with pytest.raises(ConfigError) as caught:
        load_settings(path, environ)
    return [str(fault) for fault in caught.value.faults]


@pytest.mark.parametrize(
    ("variable", "text", "key", "expected"),
    [
        ("LIMITS_MAILBOX_CAPACITY", "500", "limits.mailbox_capacity", 500),
        ("LIMITS_MAILBOX_CAPACITY", " 1_000 ", "limits.mailbox_capacity", 1000),
        ("LIMITS_WALL_TIME_S", "2", "limits.wall_time_s", 2.0),
        ("SYSTEM_TRANSPORT", "inline", "system.transport", "inline"),
        ("SYSTEM_TRANSPORT", '"inline"', "system.transport", "inline"),
        ("SYSTEM_STATE_DIR", '""', "system.state_dir", ""),
        ("SYSTEM_STATE_DIR", "/a'b", "system.state_dir", "/a'b"),
        ("CEILING_SUBPROCESSES", "true", "ceiling.subprocesses", True),
        ("CEILING_MEMORY_BYTES", "16777216", "ceiling.memory_bytes", 16_777_216),
        ("CEILING_NETWORK", "a, [::1]:80,", "ceiling.network", ("a", "[::1]:80")),
        ("CEILING_READ_PATHS", '["/a,b", "/c"]', "ceiling.read_paths", ("/a,b", "/c")),
        ("CEILING_ENVIRONMENT", "[]", "ceiling.environment", ()),
        ("LOGGING_LEVELS", '{ "a.b" = "debug" }', "logging.levels", {"a.b": "debug"}),
        ("SERVICE_METRICS", "[::1]:9464", "service.metrics", "[::1]:9464"),
    ],
)
def test_a_variable_is_read_as_its_setting_wants_it(variable: str, text: str, key: str, expected: object) -> None:
    """Texts stand as they are, lists with commas or as in TOML, everything else as in TOML."""
    settings = load_settings(None, {f"NYX_PLUGINS_{variable}": text})
    assert {setting.key: setting.value for setting in all_settings(settings, {})}[key] == expected


def test_every_setting_of_a_section_has_a_variable() -> None:
    """What defaults.toml promises holds for each key."""
    keys = [setting.key for setting in all_settings(Settings(), {})]
    assert {place.dotted for place in places().values()} == set(keys)
    assert places()["NYX_PLUGINS_LIMITS_EVENT_QUEUE"].dotted == "limits.event_queue"


def test_paths_are_relative_to_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not to the file, which is somewhere else; a tilde is the home directory."""
    (tmp_path / "elsewhere").mkdir()
    path = tmp_path / "elsewhere/nyx-plugins.toml"
    path.write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")
    environ = {"NYX_PLUGINS_CEILING_READ_PATHS": "data,~/data", "NYX_PLUGINS_SERVICE_DASHBOARD_TOKEN_FILE": "token"}
    settings = load_settings(path, environ)
    assert settings.ceiling.read_paths == (str(tmp_path / "data"), "/home/somebody/data")
    assert settings.service.dashboard_token_file == str(tmp_path / "token")


def test_a_variable_goes_before_the_file_and_is_empty_when_unset(tmp_path: Path) -> None:
    """The file's other keys stay, and so does its value when the variable is empty."""
    path = tmp_path / "nyx-plugins.toml"
    path.write_text("[limits]\nmailbox_capacity = 7\nevent_queue = 8")
    environ = {"NYX_PLUGINS_LIMITS_MAILBOX_CAPACITY": "9", "NYX_PLUGINS_LIMITS_EVENT_QUEUE": ""}
    limits = load_settings(path, environ).limits
    assert (limits.mailbox_capacity, limits.event_queue) == (9, 8)


def test_all_faults_name_their_variable_beside_those_of_the_file(tmp_path: Path) -> None:
    """Wrong types, wrong values and unknown names come together."""
    path = tmp_path / "nyx-plugins.toml"
    path.write_text("supervision = 5\n[limits]\nevent_queue = 0")
    environ = {
        "NYX_PLUGINS_LIMITS_MAILBOX_CAPACITY": "many",
        "NYX_PLUGINS_LIMITS_MAX_REPLY_BYTES": "-1",
        "NYX_PLUGINS_CEILING_NETWORK": "a,::1",
        "NYX_PLUGINS_SUPERVISION_JITTER": "0",
        "NYX_PLUGINS_SYSTEM_TRANSPORTS": "unix",
        "NYX_PLUGINS_\x1b": "1",
    }
    assert sorted(faults(environ, path)) == [
        "'NYX_PLUGINS_\\x1b': unknown environment variable",
        "NYX_PLUGINS_CEILING_NETWORK[1]: must be host, *.host, v4, v4/8, [v6], [v6/8] or *, maybe :port, not '::1'",
        "NYX_PLUGINS_LIMITS_MAILBOX_CAPACITY: must be an integer, not a string ('many')",
        "NYX_PLUGINS_LIMITS_MAX_REPLY_BYTES: must be a whole number from 0 to 67,108,864, not -1",
        "NYX_PLUGINS_SYSTEM_TRANSPORTS: unknown environment variable; did you mean NYX_PLUGINS_SYSTEM_TRANSPORT?",
        "limits.event_queue: must be a whole number from 1 to 1,000,000, not 0",
        "supervision: must be a table, not an integer (5)",
    ]


def test_two_variables_for_one_setting_are_refused() -> None:
    """Nobody has to know which would win."""
    environ = {"NYX_PLUGINS_RUNTIME_DIR": "/a", "NYX_PLUGINS_SYSTEM_RUNTIME_DIR": "/b"}
    assert faults(environ) == [
        "NYX_PLUGINS_SYSTEM_RUNTIME_DIR: must not be set together with NYX_PLUGINS_RUNTIME_DIR, which means the same"
    ]


def test_the_name_of_the_file_is_no_setting() -> None:
    """NYX_PLUGINS_CONFIG is for commands: a program names its file itself."""
    assert load_settings(None, {"NYX_PLUGINS_CONFIG": "/no/such/file"}) == Settings()


@given(st.sampled_from(sorted(places())), st.text(st.characters(exclude_characters="\0"), min_size=1, max_size=30))
def test_any_text_gives_settings_or_a_fault(variable: str, text: str) -> None:
    """No value raises anything but ConfigError, which names the variable, or the setting that is at odds with it."""
    try:
        load_settings(None, {variable: text})
    except ConfigError as error:
        assert variable in str(error) or "must be at most backoff_max_s" in str(error)
