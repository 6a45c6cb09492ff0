"""``nyx-plugins config``: check and show."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins.cli.config_show import HIDDEN, hidden, toml_key, toml_value

Invoke = Callable[..., Result]
Write = Callable[[str], Path]


def test_a_valid_configuration_is_said_to_be_so_with_what_it_loads(invoke: Invoke, config: Write) -> None:
    """Ids come from the configuration or the manifest, names and versions from the manifest."""
    path = config('[[plugins]]\nbundle = "builtin:echo"\n[[plugins]]\nbundle = "builtin:kv"\nid = 5\n')
    result = invoke("config", "check", path)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        f"{path} is valid.",
        "It loads 2 plugins:",
        "  1002 echo 1.0.0 (builtin:echo)",
        "  5 kv 1.0.0 (builtin:kv)",
    ]


def test_a_configuration_without_plugins_is_valid(invoke: Invoke, config: Write) -> None:
    """An empty file is all defaults."""
    assert invoke("config", "check", config("")).stdout.endswith("is valid.\nIt loads no plugins.\n")


def test_all_faults_are_listed_with_their_lines(invoke: Invoke, config: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """One run shows everything there is to mend, in the file and in the environment; the exit code is 2."""
    monkeypatch.setenv("NYX_PLUGINS_LIMITS_EVENT_QUEUE", "many")
    path = config('[limits]\n\nmailbox_capacty = 5\n[ceiling]\nnetwork = [\n"a", "::1"]\n[[plugins]]\nid = 1\n')
    result = invoke("config", "check", path)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines() == [
        f"Error: {path} has 4 faults:",
        "  NYX_PLUGINS_LIMITS_EVENT_QUEUE: must be an integer, not a string ('many')",
        "  limits.mailbox_capacty: unknown key; did you mean 'mailbox_capacity'? (line 3)",
        "  ceiling.network[1]: must be host, *.host, v4, v4/8, [v6], [v6/8] or *, maybe :port, not '::1' (line 5)",
        "  plugins[0].bundle: is missing (line 7)",
    ]


def test_bundles_are_read_and_their_faults_are_listed(invoke: Invoke, config: Write, tmp_path: Path) -> None:
    """Missing bundles, broken manifests, unknown permissions, ids taken twice, and what the ceiling does not allow."""
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/plugin.toml").write_text('id = "x"\n')
    (tmp_path / "greedy").mkdir()
    (tmp_path / "greedy/plugin.toml").write_text(
        'id = 1002\nname = "greedy"\nversion = "1"\napi_version = 1\nentry_point = "a:B"\n'
        "[sandbox]\nsubprocesses = true\n"
    )
    bundles = ("builtin:echo", "missing", "broken", "greedy")
    text = "".join(f'[[plugins]]\nbundle = "{bundle}"\n' for bundle in bundles)
    result = invoke("config", "check", config(f'{text}permissions = ["fly"]\n[[plugins]]\nbundle = "greedy"\n'))
    assert result.exit_code == 2
    listed = result.stderr
    assert f"plugins[1].bundle: bundle {tmp_path}/missing: " in listed
    assert f"plugins[2].bundle: {tmp_path}/broken/plugin.toml: id: must be an integer" in listed
    assert "plugins[3].permissions: unknown: fly; expected some of control, " in listed
    assert "plugins[4]: must have an id of its own, not 1002 of plugins[0] (line 10)" in listed
    assert "plugins[4].bundle: asks for more than the ceiling allows: subprocesses: true is asked for" in listed


def test_faults_of_every_kind_are_found_in_one_run(invoke: Invoke, config: Write, tmp_path: Path) -> None:
    """A wrong key hides neither a missing bundle nor an id taken twice, nor what the ceiling does not allow."""
    (tmp_path / "greedy").mkdir()
    (tmp_path / "greedy/plugin.toml").write_text(
        'id = 9\nname = "greedy"\nversion = "1"\napi_version = 1\nentry_point = "a:B"\n[sandbox]\nthreads = 5000\n'
    )
    text = (
        "[limits]\nevent_queu = 1\n"
        '[[plugins]]\nbundle = "missing"\nid = 7\n'
        '[[plugins]]\nbundle = "builtin:echo"\nid = 7\ncolour = "red"\n'
        '[[plugins]]\nbundle = "greedy"\n'
    )
    path = config(text)
    listed = [line.strip() for line in invoke("config", "check", path).stderr.splitlines()]
    assert listed[0] == f"Error: {path} has 5 faults:"
    assert [line.partition(": ")[0] for line in listed[1:]] == [
        "limits.event_queu",
        "plugins[1].colour",
        "plugins[1].id",
        "plugins[0].bundle",
        "plugins[2].bundle",
    ]
    without = config(text.replace('colour = "red"\n', "").replace("event_queu = 1\n", ""))
    assert f"{without} has 3 faults:" in invoke("config", "check", without).stderr


def test_a_ceiling_with_a_fault_accuses_no_plugin(invoke: Invoke, config: Write) -> None:
    """What is not known is not held against anybody, nor is what is known of an entry in part only."""
    bundle = '[[plugins]]\nbundle = "builtin:echo"\n'
    result = invoke("config", "check", config(f"[ceiling]\nthreads = 0\n{bundle}{bundle}id = -1\n"))
    assert "has 2 faults:" in result.stderr, result.stderr


def test_a_token_file_that_is_not_there_is_a_fault(invoke: Invoke, config: Write, tmp_path: Path) -> None:
    """It is found before a service is started."""
    result = invoke("config", "check", config('[service]\ndashboard_token_file = "token"'))
    assert f"service.dashboard_token_file: there is no {tmp_path}/token (line 2)" in result.stderr


@pytest.mark.parametrize("text", ["[[", "a = 1\na = 2", "\x1b"])
def test_what_is_no_toml_is_one_fault_on_one_line(invoke: Invoke, config: Write, text: str) -> None:
    """With line and column, and nothing that a terminal would obey."""
    result = invoke("config", "check", config(text))
    assert result.exit_code == 2
    [heading, fault] = result.stderr.splitlines()
    assert heading.endswith("has 1 fault:")
    assert "is not valid TOML" in fault
    assert "\x1b" not in fault


def test_check_knows_what_durability_needs(invoke: Invoke, config: Write, tmp_path: Path) -> None:
    """Frames that are to outlive the system need a state directory: for all plugins, and for one."""
    text = '[limits]\ndurability = "disk"\n[[plugins]]\nbundle = "builtin:echo"\ndurability = "disk"\n'
    result = invoke("config", "check", config(text))
    assert result.exit_code == 2
    for key in ("limits.durability", "plugins[0].durability"):
        assert f'{key}: must be "memory" where there is no state directory' in result.stderr
    assert invoke("config", "check", config(f'[system]\nstate_dir = "{tmp_path}"\n{text}')).exit_code == 0


def test_check_without_a_file_says_what_is_missing(invoke: Invoke, config: Write, monkeypatch: Any) -> None:
    """The environment may name the file instead."""
    result = invoke("config", "check")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "FILE" in result.stderr
    monkeypatch.setenv("NYX_PLUGINS_CONFIG", str(config("")))
    assert invoke("config", "check").exit_code == 0


def test_show_prints_toml_with_origins(invoke: Invoke, config: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is printed loads again to the same values, and each has its origin beside it."""
    monkeypatch.setenv("NYX_PLUGINS_LIMITS_EVENT_QUEUE", "9")
    path = config(
        '[limits]\nmailbox_capacity = 7\n[[plugins]]\nbundle = "builtin:echo"\nconfig = { a = ["x", 1.5] }\n'
        "sandbox = { threads = 3 }\n"
    )
    result = invoke("config", "show", path)
    assert (result.exit_code, result.stderr) == (0, "")
    data = tomllib.loads(result.stdout)
    assert (data["limits"]["mailbox_capacity"], data["limits"]["event_queue"]) == (7, 9)
    assert data["plugins"] == [{"bundle": "builtin:echo", "config": {"a": ["x", 1.5]}, "sandbox": {"threads": 3}}]
    lines = {line.partition(" = ")[0]: line.rpartition("# ")[2] for line in result.stdout.splitlines()}
    assert lines["mailbox_capacity"] == f"{path}:2"
    assert lines["event_queue"] == "NYX_PLUGINS_LIMITS_EVENT_QUEUE"
    assert lines["transport"] == "default"
    assert "# memory_bytes is not set " in result.stdout


def test_show_without_a_file_shows_the_defaults(invoke: Invoke) -> None:
    """Every section is there, and nothing has changed."""
    result = invoke("config", "show")
    sections = {"system", "limits", "supervision", "ceiling", "logging", "service"}
    assert set(tomllib.loads(result.stdout)) == sections
    assert invoke("config", "show", "--only-changed").stdout == "# Everything is as the defaults have it.\n"


def test_show_as_json_is_for_programs(invoke: Invoke, config: Write) -> None:
    """A list of objects with the same fields each; with --only-changed, of what is no default."""
    path = config("[ceiling]\nread_paths = ['/a']\n")
    [setting] = json.loads(invoke("config", "show", path, "--json", "--only-changed").stdout)
    assert setting == {
        "key": "ceiling.read_paths",
        "value": ["/a"],
        "origin": "file",
        "file": str(path),
        "line": 2,
        "variable": None,
    }
    assert len(json.loads(invoke("config", "show", path, "--json").stdout)) > 30


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_secrets_are_not_shown(invoke: Invoke, config: Write, options: list[str]) -> None:
    """Neither at the top of a plugin's configuration nor deep in it; the name of the token's file is no secret."""
    path = config(
        '[service]\ndashboard_token_file = "visible-1"\n[[plugins]]\nbundle = "builtin:echo"\n'
        'config = { api_key = "gone-1", a = [{ DB_PASSWORD = { x = "gone-2" } }], keyboard = "visible-2" }\n'
    )
    text = invoke("config", "show", path, *options).stdout
    assert "gone" not in text
    assert text.count(HIDDEN) == 2
    assert "visible-1" in text
    assert "visible-2" in text


def test_show_of_a_faulty_configuration_is_one_sentence(invoke: Invoke, config: Write) -> None:
    """And exit code 2."""
    result = invoke("config", "show", config("[limits]\nx = 1"))
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1


plain = st.recursive(
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=8,
)


@given(st.text(st.characters(exclude_categories=["Cs"])), plain)
def test_any_plain_value_is_spelt_so_that_toml_reads_it_back(name: str, value: object) -> None:
    """On one printable line."""
    line = f"{toml_key(name)} = {toml_value(value)}"
    assert line.isprintable()
    assert tomllib.loads(line) == {name: value}


def test_hiding_leaves_what_is_no_secret() -> None:
    """Only values under a telling key go."""
    assert hidden({"user": "a", "access_token": 5, "monkey": [1]}) == {
        "user": "a",
        "access_token": HIDDEN,
        "monkey": [1],
    }
