"""Loading, unloading, pausing and permissions from another terminal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from nyx_plugins import PluginSystem

Invoke = Callable[..., Result]
Answer = Callable[..., Any]


def said(result: Result) -> tuple[int, str, str]:
    """What a command has done: exit code, standard output, standard error."""
    return result.exit_code, result.stdout, result.stderr


# Loading.


def test_bundles_are_loaded_and_named(driven: PluginSystem, invoke: Invoke) -> None:
    """Each bundle is one line, in the order of the arguments."""
    result = invoke("load", "builtin:kv", "builtin:echo")
    assert said(result) == (0, "loaded kv (1003) 1.0.0\nloaded echo (1002) 1.0.0\n", "")
    assert driven.loaded_plugins() == [1002, 1003]


def test_a_bundle_that_cannot_be_loaded_hinders_no_other(driven: PluginSystem, invoke: Invoke) -> None:
    """Its sentence is on standard error, and the exit code is its own."""
    result = invoke("load", "builtin:none", "builtin:echo")
    assert (result.exit_code, result.stdout) == (2, "loaded echo (1002) 1.0.0\n")
    assert result.stderr.startswith("Error: bundle builtin:none: ") and result.stderr.count("\n") == 1


@pytest.mark.parametrize("bundles", [("", "builtin:echo"), ("builtin:echo", "")])
def test_a_bundle_without_a_name_hinders_no_other(bundles: tuple[str, str], answer: Answer) -> None:
    """The results are in the order of the arguments."""
    found = dict(zip(bundles, answer("load", *bundles, code=2), strict=True))
    assert found["builtin:echo"]["plugin"]["name"] == "echo"
    assert found[""]["error"] == {"type": "BundleError", "text": "bundle '': must be a path, not ''"}


def test_a_load_tells_programs_what_is_loaded(answer: Answer) -> None:
    """One object for each bundle: the plugin, or the error."""
    loaded, refused = answer("load", "builtin:echo", "builtin:none", code=2)
    assert (loaded["bundle"], loaded["error"]) == ("builtin:echo", None)
    plugin = loaded["plugin"]
    assert (plugin["plugin_id"], plugin["name"], plugin["state"], plugin["capacity"]) == (1002, "echo", "ready", 100)
    assert plugin["permissions"] == ["control", "data_access", "error_reporting", "handshake"]
    assert (refused["plugin"], refused["error"]["type"]) == (None, "BundleError")


def test_what_the_options_say_goes_before_the_manifest(driven: PluginSystem, answer: Answer) -> None:
    """Id, capacity, permissions and the number of workers are those of the command line."""
    options = ("--id", "7", "--capacity", "9", "--capacity-bytes", "70000", "--permission", "control")
    [loaded] = answer("load", "builtin:echo", *options, "--instances", "2")
    plugin = loaded["plugin"]
    assert (plugin["plugin_id"], plugin["capacity"], plugin["permissions"]) == (7, 9, ["control"])
    assert len(driven.plugin_stats(7).instances) == 2


@pytest.mark.parametrize(
    ("options", "config"),
    [
        (["--set", "greeting=hello"], {"greeting": "hello"}),
        (["--set", "n=3", "--set", "on=true", "--set", 'l=["a"]'], {"n": 3, "on": True, "l": ["a"]}),
        (["--set", "url=http://a/?b=c"], {"url": "http://a/?b=c"}),
        (["--set", "n=NaN"], {"n": "NaN"}),
        (["--set-json", '{"a": {"b": 1}, "c": 2}', "--set", "c=3"], {"a": {"b": 1}, "c": 3}),
    ],
)
def test_a_plugins_configuration_can_be_given(
    options: list[str], config: dict[str, Any], driven: PluginSystem, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Values are JSON or else text; single ones go before the object."""
    given: list[Any] = []
    load_many = driven.load_many
    monkeypatch.setattr(driven, "load_many", lambda plugins: given.extend(plugins) or load_many(plugins))
    assert invoke("load", "builtin:echo", *options).exit_code == 0
    assert given[0].config == config


def test_a_relative_bundle_is_below_the_folder_of_the_caller(
    fault: Callable[..., Path], driven: PluginSystem, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service's own folder does not matter."""
    bundle = fault("obedient_plugin", sandbox="read_paths = []")
    monkeypatch.chdir(bundle.parent)
    assert invoke("load", bundle.name).exit_code == 0


def test_a_name_is_printed_on_one_line(fault: Callable[..., Path], driven: PluginSystem, invoke: Invoke) -> None:
    """What a plugin says when it fails to load can't move the cursor."""
    bundle = fault("plugin_that_fails_to_load")
    (bundle / "plugin.py").write_text(r"raise ImportError('\x1b[31mno\nway')")
    result = invoke("load", bundle)
    assert result.exit_code == 1
    assert r"\x1b[31mno way" in result.stderr and "\x1b" not in result.stderr


# Each of several plugins.


@pytest.fixture
def chain(fault: Callable[..., Path], driven: PluginSystem) -> PluginSystem:
    """Return a system with a plugin 1 that requires a plugin 2 that requires echo."""
    driven.load("builtin:echo")
    driven.load(fault("obedient_plugin", '[requires]\necho = ">=1,<2"\n', plugin_id=2))
    driven.load(fault("raising_plugin", '[requires]\nobedient_plugin = ""\n[optional]\nkv = ">=2"\n', plugin_id=1))
    return driven


def test_what_is_required_is_not_unloaded_alone(chain: PluginSystem, invoke: Invoke) -> None:
    """Those that require it are named; it goes after those that were named before it."""
    refused = "Error: plugin 1002 is required by raising_plugin (1), obedient_plugin (2): unload them first, or with it"
    result = invoke("unload", "echo")
    assert (result.exit_code, result.stdout) == (1, "") and result.stderr == f"{refused} (cascade)\n"
    result = invoke("unload", "1", "2", "echo")
    assert [line.split()[1] for line in result.stdout.splitlines()] == ["raising_plugin", "obedient_plugin", "echo"]


def test_all_that_went_along_are_named(chain: PluginSystem, invoke: Invoke) -> None:
    """With ``--cascade``; one that is named besides has gone already."""
    result = invoke("unload", "--cascade", "echo", "1")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == "unloaded echo (1002)"
    assert sorted(result.stdout.split()[2::3]) == ["(1)", "(1002)", "(2)"]
    assert chain.loaded_plugins() == []


def test_programs_are_told_who_depends_on_whom(chain: PluginSystem, answer: Answer) -> None:
    """With each plugin: what it requires, what it uses, and who requires it."""
    [went, along, asked] = answer("unload", "--cascade", "echo")
    assert [item["plugin_id"] for item in (went, along, asked)] == [1, 2, 1002]
    assert {item["error"] for item in (went, along, asked)} == {None}


def test_a_plugin_is_shown_with_its_relations(chain: PluginSystem, answer: Answer) -> None:
    """The command that changes a permission prints all that is known."""
    plugin = answer("revoke", "2", "control")
    assert (plugin["requires"], plugin["optional"], plugin["dependents"]) == ({"echo": ">=1,<2"}, {}, [1])


def test_plugins_are_named_by_id_or_by_name(driven: PluginSystem, invoke: Invoke) -> None:
    """Both mean the same plugin, and a plugin that is named twice is done once."""
    driven.load("builtin:kv")
    assert said(invoke("pause", "kv")) == (0, "paused kv (1003)\n", "")
    assert driven.plugin_info(1003).state == "paused"
    assert said(invoke("resume", "1003", "1003")) == (0, "resumed kv (1003)\n", "")
    code, _, error = said(invoke("reset", "kv"))
    assert (code, error.count("its state is 'ready', and only failed and quarantined plugins can")) == (1, 1)
    assert driven.plugin_info(1003).state == "ready"


def test_a_plugin_that_fails_hinders_no_other(driven: PluginSystem, invoke: Invoke) -> None:
    """What could be done is done and said; the rest is one sentence each, and the first gives the exit code."""
    driven.load("builtin:kv")
    result = invoke("unload", "9", "kvv", "kv", "--timeout", "1")
    assert (result.exit_code, result.stdout) == (1, "unloaded kv (1003)\n")
    assert result.stderr.splitlines() == [
        "Error: plugin 9 is not registered",
        "Error: no plugin is called 'kvv' (did you mean 'kv'?)",
    ]
    assert driven.loaded_plugins() == []


def test_programs_are_told_what_became_of_each(driven: PluginSystem, answer: Answer) -> None:
    """One object for each plugin, in the order of the arguments."""
    driven.load("builtin:echo", plugin_id=0)
    assert answer("pause", "9", "echo", code=1) == [
        {
            "plugin_id": 9,
            "name": None,
            "error": {"type": "PluginNotRegistered", "text": "plugin 9 is not registered"},
        },
        {"plugin_id": 0, "name": "echo", "error": None},
    ]


def test_a_name_that_two_plugins_have_is_refused(driven: PluginSystem, invoke: Invoke) -> None:
    """The sentence names the ids to choose from; nothing is done."""
    driven.load("builtin:echo")
    driven.load("builtin:echo", plugin_id=7)
    assert said(invoke("pause", "echo")) == (2, "", "Error: 2 plugins are called 'echo': use one of the ids 7, 1002\n")
    assert {info.state for info in driven.plugins()} == {"ready"}


def test_a_name_of_digits_is_an_id(driven: PluginSystem, invoke: Invoke, fault: Callable[..., Path]) -> None:
    """A plugin can't take the place of another by its name."""
    bundle = fault("obedient_plugin", plugin_id=8, sandbox="read_paths = []")
    manifest = bundle / "plugin.toml"
    manifest.write_text(manifest.read_text().replace("obedient_plugin", "1002", 1))
    driven.load(bundle)
    driven.load("builtin:echo")
    assert invoke("pause", "1002").stdout == "paused echo (1002)\n"


# Permissions.


def test_permissions_are_granted_and_revoked(driven: PluginSystem, invoke: Invoke, answer: Answer) -> None:
    """Both take several, and tell what the plugin has afterwards."""
    driven.load("builtin:echo", permissions=["data_access"])
    assert said(invoke("grant", "echo", "control", "handshake")) == (
        0,
        "echo (1002) now has control, data_access, handshake\n",
        "",
    )
    assert answer("revoke", "1002", "control", "handshake")["permissions"] == ["data_access"]
    assert invoke("revoke", "echo", "data_access").stdout == "echo (1002) now has no permission\n"


def test_permissions_of_nobody_are_refused(driven: PluginSystem, invoke: Invoke) -> None:
    """An id that is not registered is one sentence."""
    assert said(invoke("grant", "5", "control")) == (1, "", "Error: plugin 5 is not registered\n")


# Mistakes.


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("load", "missing argument 'BUNDLE...'"),
        ("load a b --id 3", "'--id' is for one bundle, not for 2"),
        ("load a --id 4294967296", "4294967296 is not in the range 0 to 4,294,967,295"),
        ("load a --capacity 0", "0 is not in the range 1 to 100,000"),
        ("load a --capacity-bytes 1", "1 is not in the range 4,096 to 1,073,741,824"),
        ("load a --permission Fly", "'Fly' is no permission: control, "),
        ("load a --set x", "'x' is not of the form KEY=VALUE"),
        ("load a --set =x", "'=x' is not of the form KEY=VALUE"),
        ("load a --set-json [1]", "must be a JSON object"),
        ("load a --set-json {", "this is no JSON: "),
        ("load a --set-json " + "[" * 100_000, "this JSON is nested too deeply"),
        ("load a --set x=-1e999", "the number -1e999 is too large"),
        ("load a --capacity many", "'many' is no whole number"),
        ("pause", "missing argument 'PLUGIN...'"),
        ("pause 4294967296", "a plugin's id is 0 to 4,294,967,295, not 4294967296"),
        (f"pause {'9' * 5000}", "a plugin's id is 0 to 4,294,967,295, not 9999"),
        ("unload 1 --timeout -1", "-1.0 is not in the range 0 to 86,400"),
        ("unload 1 --timeout nan", "'nan' is no number of seconds"),
        ("grant 1", "missing argument 'PERMISSION...'"),
        ("grant 1 Fly", "'Fly' is no permission: control, "),
    ],
)
def test_a_wrong_argument_is_one_sentence(arguments: str, expected: str, invoke: Invoke) -> None:
    """The sentence names the mistake and the command's help, before any service is looked for; exit code 2."""
    result = invoke(*arguments.split())
    assert (result.exit_code, result.stdout) == (2, "")
    assert expected in result.stderr and result.stderr.count("\n") == 1
    assert f"try 'nyx-plugins {arguments.split()[0]} --help'" in result.stderr


def test_a_bundle_without_a_path_is_one_sentence(driven: PluginSystem, invoke: Invoke) -> None:
    """An empty argument is a mistake of the shell's, and is said to be."""
    assert said(invoke("load", "")) == (2, "", "Error: bundle '': must be a path, not ''\n")
