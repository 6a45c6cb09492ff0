"""Loading: file over defaults, environment over both."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any

import attrs
import pytest

from nyx_plugins.config import (
    Ceiling,
    ConfigError,
    LimitSettings,
    LoggingSettings,
    PluginSettings,
    ServiceSettings,
    Settings,
    SupervisionSettings,
    SystemSettings,
    load_settings,
)
from nyx_plugins.config.loading import DEFAULTS, MAX_CONFIG_BYTES

SECTIONS: dict[str, Any] = {
    "system": SystemSettings,
    "limits": LimitSettings,
    "supervision": SupervisionSettings,
    "ceiling": Ceiling,
    "logging": LoggingSettings,
    "service": ServiceSettings,
}


def write(folder: Path, text: str | bytes) -> Path:
    """A configuration file with this text."""
    path = folder / "nyx-plugins.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def faults(path: Path | str) -> list[str]:
    """What is wrong with the file at ``path``."""
    with pytest.raises(ConfigError) as caught:
        load_settings(path, {})
    assert caught.value.source == str(path)
    return [str(fault) for fault in caught.value.faults]


def documented(section: str) -> dict[str, tuple[bool, str]]:
    """The keys of a section of defaults.toml: whether each is commented out, and the comment above it."""
    block = re.split(
        r"^(?:\[\w+\]|# \[\[plugins\]\])$", DEFAULTS.read_text().partition(f"\n[{section}]\n")[2], flags=re.M
    )[0]
    found, comment = {}, ""
    for line in block.splitlines():
        if match := re.fullmatch(r"(# )?([a-z_]+) = .*", line):
            found[match[2]] = (bool(match[1]), comment)
        comment = line if line.startswith("#") else comment
    return found


def test_the_defaults_file_equals_the_defaults_of_the_classes() -> None:
    """There is one truth about defaults, in two places that agree."""
    assert load_settings(None, {}) == Settings()


@pytest.mark.parametrize("section", SECTIONS)
def test_the_defaults_file_has_every_key_with_a_comment(section: str) -> None:
    """Keys without a default are there too, commented out; each has a comment with its range or meaning."""
    keys = documented(section)
    fields = attrs.fields_dict(SECTIONS[section])
    assert list(keys) == list(fields)
    for name, (commented_out, comment) in keys.items():
        assert comment, name
        assert commented_out is (fields[name].default is None), name


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        (section, name, bound)
        for section in SECTIONS
        for name, (_, comment) in documented(section).items()
        for bound in re.findall(r"(?<![\w.])(\d+(?:\.\d+)?) (?:\([^)]*\) )?to (\d+)", comment)[:1]
    ],
)
def test_the_documented_ranges_are_the_real_ones(section: str, key: str, value: tuple[str, str]) -> None:
    """Both bounds that the comment names are accepted, and what lies beyond the upper one is not."""
    low, high = (float(bound) if "." in bound else int(bound) for bound in value)
    cls = SECTIONS[section]
    others = {"backoff_max_s": 86_400} if key == "backoff_initial_s" else {}
    assert getattr(cls(**{key: low}, **others), key) == low
    assert getattr(cls(**{key: high}, **others), key) == high
    with pytest.raises(ConfigError):
        cls(**{key: high + 1})


def test_the_commented_examples_are_valid(tmp_path: Path) -> None:
    """Whoever removes the comment signs gets a configuration that loads."""
    text = re.sub(r"^# (?=[a-z_]+ = |\[\[plugins\]\]$)", "", DEFAULTS.read_text(), flags=re.M)
    settings = load_settings(write(tmp_path, text), {})
    [plugin] = settings.plugins
    assert settings.ceiling.memory_bytes == 268_435_456
    assert set(tomllib.loads(text)["plugins"][0]) == {field.name for field in attrs.fields(PluginSettings)}
    assert plugin.bundle == "builtin:echo"


def test_a_file_changes_only_what_it_names(tmp_path: Path) -> None:
    """Everything else keeps its default."""
    path = write(tmp_path, "[limits]\nmailbox_capacity = 7\n[supervision]\njitter = 0\n")
    expected = Settings(limits=LimitSettings(mailbox_capacity=7), supervision=SupervisionSettings(jitter=0.0))
    assert load_settings(path, {}) == expected
    assert load_settings(str(path), {}) == expected


def test_levels_are_given_by_logger(tmp_path: Path) -> None:
    """The names of loggers are free, with quotes or without; what is no level is named with its logger."""
    path = write(tmp_path, '[logging.levels]\n"nyx_plugins.plugin.echo" = "debug"')
    assert load_settings(path, {}).logging.levels == {"nyx_plugins.plugin.echo": "debug"}
    path = write(tmp_path, '[logging.levels]\nnyx_plugins.host = "error"\nother = "info"')
    assert load_settings(path, {}).logging.levels == {"nyx_plugins.host": "error", "other": "info"}
    path = write(tmp_path, '[logging.levels]\n"a.b" = "loud"')
    assert faults(path) == [
        "logging.levels.'a.b': must be one of 'debug', 'info', 'warning', 'error', 'critical', not a string ('loud')"
    ]


@pytest.mark.parametrize("name", [".".join(["a"] * 5000), "a = {}\nb"])
def test_tables_that_are_no_names_of_loggers_are_faults(tmp_path: Path, name: str) -> None:
    """However deep they are, or empty."""
    path = write(tmp_path, f"[logging.levels]\n{name} = 'info'")
    [fault] = faults(path)
    assert "must be " in fault
    assert len(fault) < 1000


def test_relative_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    """Where the program was started makes no difference; bundled plugins are no paths."""
    text = """
        [system]
        runtime_dir = "run"
        state_dir = "/var/lib/nyx"
        [ceiling]
        read_paths = ["data", "/srv"]
        write_paths = ["out"]
        trusted_keys = ["keys/a.pub", "ed25519:ESiheqjoa0gWxqEmzR/TnHEcuLj459gbjHYGc8pHEfM="]
        [service]
        dashboard_token_file = "token"
        [[plugins]]
        bundle = "plugins/a.zip"
        [[plugins]]
        bundle = "builtin:echo"
    """
    settings = load_settings(write(tmp_path, text), {})
    assert settings.system.runtime_dir == str(tmp_path / "run")
    assert settings.system.state_dir == "/var/lib/nyx"
    assert settings.ceiling.read_paths == (str(tmp_path / "data"), "/srv")
    assert settings.ceiling.write_paths == (str(tmp_path / "out"),)
    assert settings.ceiling.trusted_keys == (
        str(tmp_path / "keys/a.pub"),
        "ed25519:ESiheqjoa0gWxqEmzR/TnHEcuLj459gbjHYGc8pHEfM=",
    )
    assert settings.service.dashboard_token_file == str(tmp_path / "token")
    assert [plugin.bundle for plugin in settings.plugins] == [str(tmp_path / "plugins/a.zip"), "builtin:echo"]


def test_a_relative_file_name_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths come out absolute even where the file itself was named relatively."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path, '[system]\nruntime_dir = "run"')
    assert load_settings("nyx-plugins.toml", {}).system.runtime_dir == str(tmp_path / "run")


def test_a_working_directory_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is needed for relative paths only, which are refused as such."""
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert load_settings(None, {"NYX_PLUGINS_RUNTIME_DIR": "/c"}).system.runtime_dir == "/c"
    with pytest.raises(ConfigError, match="NYX_PLUGINS_STATE_DIR: must be an absolute path, not 'd'"):
        load_settings(None, {"NYX_PLUGINS_STATE_DIR": "d"})


def test_a_tilde_is_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a folder of that name beside the file."""
    monkeypatch.setenv("HOME", "/home/somebody")
    path = write(tmp_path, '[system]\nstate_dir = "~/state"')
    assert load_settings(path, {}).system.state_dir == "/home/somebody/state"


def test_environment_variables_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both directories can be set from outside, relative to the working directory."""
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path, '[system]\nruntime_dir = "/a"\nstate_dir = "/b"')
    system = load_settings(path, {"NYX_PLUGINS_RUNTIME_DIR": "/c", "NYX_PLUGINS_STATE_DIR": "d"}).system
    assert (system.runtime_dir, system.state_dir) == ("/c", str(tmp_path / "d"))


def test_empty_environment_variables_count_as_unset(tmp_path: Path) -> None:
    """An empty value does not wipe out the file's."""
    path = write(tmp_path, '[system]\nruntime_dir = "/a"')
    assert load_settings(path, {"NYX_PLUGINS_RUNTIME_DIR": ""}).system.runtime_dir == "/a"


def test_the_process_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a mapping, the variables of this process count."""
    monkeypatch.setenv("NYX_PLUGINS_STATE_DIR", "/s")
    assert load_settings().system.state_dir == "/s"


def test_the_configuration_of_a_plugin_is_free_but_plain(tmp_path: Path) -> None:
    """A plugin's own table passes as it is; a date, which can't travel to a worker, does not."""
    path = write(tmp_path, '[[plugins]]\nbundle = "x"\nconfig = { deep = [{ a = 1.5 }], on = true }')
    assert load_settings(path, {}).plugins[0].config == {"deep": [{"a": 1.5}], "on": True}
    path = write(tmp_path, '[[plugins]]\nbundle = "x"\nconfig = { since = 2024-01-01 }')
    assert faults(path) == ["plugins[0].config.since: must be text, a number, a boolean, a list or a table, not date"]


def test_all_faults_of_a_file_are_listed(tmp_path: Path) -> None:
    """One run shows everything there is to mend, wrong types of paths included."""
    text = """
        limit = {}
        supervision = 5
        [system]
        runtime_dir = 5
        transport = "TCP"
        [limits]
        mailbox_capacty = 5
        max_header_bytes = 1
        [ceiling]
        read_paths = "/srv"
        network = ["::1"]
        [[plugins]]
        bundle = 5
        [[plugins]]
        id = -1
    """
    assert faults(write(tmp_path, text)) == [
        "system.transport: must be one of 'unix', 'inline', not a string ('TCP')",
        "system.runtime_dir: must be a string, not an integer (5)",
        "limits.max_header_bytes: must be a whole number from 4,096 to 16,777,216, not 1",
        "limits.mailbox_capacty: unknown key; did you mean 'mailbox_capacity'?",
        "supervision: must be a table, not an integer (5)",
        "ceiling.read_paths: must be an array, not a string ('/srv')",
        "ceiling.network[0]: must be host, *.host, v4, v4/8, [v6], [v6/8] or *, maybe :port, not '::1'",
        "plugins[0].bundle: must be a string, not an integer (5)",
        "plugins[1].id: must be a whole number from 0 to 4,294,967,295, not -1",
        "plugins[1].bundle: is missing",
        "limit: unknown key; did you mean 'limits'?",
    ]


@pytest.mark.parametrize("text", ["plugins = 5", "plugins = [5]", 'plugins = {a = "b"}', "system = []", "ceiling = 1"])
def test_sections_of_a_wrong_type_are_refused(tmp_path: Path, text: str) -> None:
    """Making paths absolute does not stumble over what is no table."""
    assert " not " in faults(write(tmp_path, text))[0]


def test_a_missing_file_is_a_config_error(tmp_path: Path) -> None:
    """The text names the file and the system's reason."""
    assert faults(tmp_path / "none.toml") == ["can't be read: No such file or directory"]


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    """A path that can't be read is a ConfigError, not an OSError."""
    assert faults(tmp_path) == ["can't be read: Is a directory"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_an_unreadable_file_is_a_config_error(tmp_path: Path) -> None:
    """Missing rights are reported as such."""
    path = write(tmp_path, "")
    path.chmod(0)
    assert faults(path) == ["can't be read: Permission denied"]


def test_a_path_with_a_nul_is_a_config_error() -> None:
    """Not even an impossible path raises anything else."""
    assert faults("a\0b")[0].startswith("can't be read: ")


def test_a_syntax_error_has_line_and_column(tmp_path: Path) -> None:
    """The place in the file is in the text."""
    [reason] = faults(write(tmp_path, "[limits]\nmailbox_capacity = \n"))
    assert reason == "is not valid TOML: Invalid value (at line 2, column 20)"


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    """The offending byte is named."""
    assert faults(write(tmp_path, b"# caf\xe9")) == ["must be UTF-8, which byte 0xe9 at line 1, column 6 is not"]


def test_a_huge_file_is_not_read_to_its_end(tmp_path: Path) -> None:
    """A file beyond the limit is refused with the limit."""
    path = write(tmp_path, b"#" * (MAX_CONFIG_BYTES + 1))
    assert faults(path) == ["must have at most 4,194,304 bytes"]
