"""``check --policy``: what a plugin would be allowed, where each line comes from, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from click.testing import Result

from nyx_plugins.config import Ceiling

Invoke = Callable[..., Result]
Write = Callable[[str], Path]

MANIFEST = """
id = 7
name = "demo"
version = "1.0"
api_version = 1
entry_point = "plugin:Demo"
[sandbox]
read_paths = ["/nowhere/a"]
network = ["api.example.com:443"]
memory_bytes = 67108864
"""
CEILING = """
[limits]
wall_time_s = 3
[ceiling]
read_paths = ["/nowhere"]
network = ["*.example.com"]
deny_network = ["169.254.0.0/16"]
"""
ENTRY = """
[[plugins]]
bundle = "demo"
id = 8
[plugins.sandbox]
memory_bytes = 33554432
deny_network = ["10.0.0.0/8"]
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """Return a bundle whose code must never run."""
    folder = tmp_path / "demo"
    folder.mkdir()
    (folder / "plugin.toml").write_text(MANIFEST)
    (folder / "plugin.py").write_text("raise SystemExit('it was run')")
    return folder


@pytest.fixture
def policies(invoke: Invoke) -> Callable[..., list[dict[str, Any]]]:
    """Return a function that runs ``check --policy --json`` and returns what was decided."""

    def run(*arguments: str | Path) -> list[dict[str, Any]]:
        result = invoke("check", "--policy", "--json", *arguments)
        assert result.stderr == ""
        found: list[dict[str, Any]] = json.loads(result.stdout)["policies"]
        assert result.exit_code == (0 if all(item["granted"] for item in found) else 1)
        return found

    return run


def lines(policy: dict[str, Any]) -> dict[str, tuple[Any, list[str]]]:
    """Say the value of each line, and where it comes from."""
    return {
        line["key"]: (line["value"], [f"{origin['from']}:{origin.get('line')}" for origin in line["origins"]])
        for line in policy["policy"]
    }


def test_each_line_says_where_it_comes_from(
    policies: Callable[..., list[dict[str, Any]]], bundle: Path, config: Write
) -> None:
    """The manifest, the entry and the ceiling are told apart, with the lines of the file; every field is there."""
    [found] = policies(bundle, "--config", config(CEILING + ENTRY))
    assert (found["entry"], found["plugin_id"], found["reasons"]) == ("plugins[0]", 8, [])
    shown = lines(found)
    assert list(shown) == [field.name for field in attrs.fields(Ceiling) if field.name != "trusted_keys"]
    assert shown["read_paths"] == (["/nowhere/a"], ["manifest:None"])
    assert shown["memory_bytes"] == (33_554_432, ["plugin entry:13"])
    assert shown["deny_network"] == (["169.254.0.0/16", "10.0.0.0/8"], ["ceiling:7", "plugin entry:14"])
    assert shown["wall_time_s"] == (3, ["default:3"])
    assert shown["threads"] == (64, ["ceiling:None"])


def test_an_environment_variable_is_an_origin(
    policies: Callable[..., list[dict[str, Any]]], bundle: Path, config: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the environment says of the ceiling is shown with its variable."""
    monkeypatch.setenv("NYX_PLUGINS_CEILING_THREADS", "5")
    [found] = policies(bundle, "--config", config(CEILING))
    [origin] = next(line["origins"] for line in found["policy"] if line["key"] == "threads")
    assert (found["entry"], found["plugin_id"]) == (None, 7)
    assert (origin["from"], origin["variable"]) == ("ceiling", "NYX_PLUGINS_CEILING_THREADS")


def test_what_is_refused_is_listed(policies: Callable[..., list[dict[str, Any]]], bundle: Path, config: Write) -> None:
    """Each entry that names the bundle is judged by itself."""
    greedy = '[[plugins]]\nbundle = "./demo/../demo"\nsandbox = { network = ["evil"] }\n'
    good, bad = policies(bundle, "--config", config(CEILING + ENTRY + greedy))
    assert good["granted"]
    assert bad["policy"] is None
    assert bad["reasons"] == ["network (plugin entry): 'evil' is not covered by the ceiling's (*.example.com)"]


def test_people_get_a_table(invoke: Invoke, bundle: Path, config: Write) -> None:
    """Sizes and limits are written as people read them, and nothing is started."""
    path = config(CEILING + ENTRY)
    result = invoke("check", "--policy", bundle, "--config", path)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith(f"demo 1.0, id 8, under {path}, as plugins[0] has it:\n")
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in result.stdout.splitlines() if line}
    assert rows["memory_bytes"] == f"32.0 MiB plugin entry ({path}:13)"
    assert rows["cpu_seconds"] == "no limit ceiling (default)"
    assert rows["subprocesses"] == "no default"
    assert rows["environment"] == "none default"


def test_people_get_the_reasons(invoke: Invoke, bundle: Path) -> None:
    """Without a configuration the defaults count, which allow little."""
    result = invoke("check", "--policy", bundle)
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "demo 1.0, id 7, under the defaults, asks for more than the ceiling allows:",
        "  read_paths: '/nowhere/a' is not within the ceiling's (none)",
        "  network: 'api.example.com:443' is not covered by the ceiling's (none)",
    ]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--policy", "--data", "x"], "--data is not for --policy"),
        (["--policy", "--timeout", "5"], "--timeout is not for --policy"),
    ],
)
def test_options_that_would_do_nothing_are_refused(invoke: Invoke, bundle: Path, options: list[str], text: str) -> None:
    """Nobody believes that they had an effect."""
    result = invoke("check", bundle, *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert text in result.stderr


def test_a_configuration_that_the_environment_names_counts(
    invoke: Invoke, bundle: Path, config: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As everywhere else."""
    monkeypatch.setenv("NYX_PLUGINS_CONFIG", str(config(CEILING)))
    assert invoke("check", "--policy", bundle).exit_code == 0


@pytest.mark.parametrize("arguments", [("missing",), ("builtin:echo", "--config", "missing.toml")])
def test_what_can_not_be_read_is_told_in_one_sentence(invoke: Invoke, arguments: tuple[str, ...]) -> None:
    """A bundle or a configuration that is not there."""
    result = invoke("check", "--policy", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "missing" in result.stderr
    assert len(result.stderr.splitlines()) == 1
