"""Manifests."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins.config import ConfigError, SandboxRequest
from nyx_plugins.plugins.bundle import read_manifest
from nyx_plugins.plugins.errors import ManifestError
from nyx_plugins.plugins.manifest import MAX_MANIFEST_BYTES, Manifest, RestartRequest, parse_manifest
from nyx_plugins.plugins.permissions import ALL_PERMISSIONS, PERMISSION_OF_FRAME_TYPE

MINIMAL = """
id = 1
name = "geo"
version = "1.0"
api_version = 1
entry_point = "plugin:Geo"
"""

FULL = """
id = 4294967295
name = "word.count-2"
version = "1.0.0rc1"
api_version = 1
entry_point = "pkg.plugin:WordCount"
description = "Counts."
permissions = ["handshake", "inter_plugin"]
capacity = 100000
capacity_bytes = 4096
[restart]
policy = "transient"
max_restarts = 0
within_s = 1
[sandbox]
read_paths = ["/srv"]
write_paths = ["/tmp"]
network = ["a:80", "[::1]"]
memory_bytes = 16777216
cpu_seconds = 1
wall_time_s = 0.5
open_files = 16
environment = ["TZ"]
subprocesses = true
[requires]
geo = ">=1.2,<2"
[optional]
maps = ">=1"
"""


def faults(text: str | bytes) -> list[str]:
    """What is wrong with a manifest, in order."""
    with pytest.raises(ManifestError) as caught:
        parse_manifest(text, "b/plugin.toml")
    assert caught.value.source == "b/plugin.toml"
    return [str(fault) for fault in caught.value.faults]


def test_a_minimal_manifest_asks_for_nothing() -> None:
    """Without a word about it, a plugin has no permission, no access and the configured limits."""
    assert parse_manifest(MINIMAL, "x") == Manifest(1, "geo", "1.0", 1, "plugin:Geo")
    manifest = parse_manifest(MINIMAL.encode(), "x")
    assert (manifest.permissions, manifest.capacity, manifest.requires) == ((), None, {})
    assert manifest.sandbox == SandboxRequest()
    assert manifest.restart == RestartRequest("permanent", None, None)


def test_a_full_manifest_is_read_whole() -> None:
    """Every documented key arrives."""
    sandbox = SandboxRequest(
        ("/srv",), ("/tmp",), ("a:80", "[::1]"), 16_777_216, 1, 0.5, 16, ("TZ",), subprocesses=True
    )
    assert parse_manifest(FULL, "x") == Manifest(
        id=4294967295,
        name="word.count-2",
        version="1.0.0rc1",
        api_version=1,
        entry_point="pkg.plugin:WordCount",
        description="Counts.",
        permissions=("handshake", "inter_plugin"),
        capacity=100_000,
        capacity_bytes=4096,
        restart=RestartRequest("transient", 0, 1.0),
        sandbox=sandbox,
        requires={"geo": ">=1.2,<2"},
        optional={"maps": ">=1"},
    )


def test_manifests_survive_pickling() -> None:
    """Manifests travel between processes."""
    manifest = parse_manifest(FULL, "x")
    assert pickle.loads(pickle.dumps(manifest)) == manifest


@pytest.mark.parametrize("name", ["echo", "wordcount", "kv"])
def test_the_bundled_plugins_have_valid_manifests(name: str) -> None:
    """What comes with the package is itself a good example."""
    assert read_manifest(f"builtin:{name}").name == name


def test_ten_faults_are_listed_with_key_and_reason() -> None:
    """The author of a bundle sees everything there is to mend at once."""
    text = """
        id = 4294967296
        name = "Word Count"
        vertion = "1.0"
        api_version = 2
        entry_point = "plugin.WordCount"
        permissions = ["handshake", "contrl", 5]
        capacity = 0
        [restart]
        policy = "always"
        [sandbox]
        network = ["::1"]
    """
    assert faults(text) == [
        "id: must be a whole number from 0 to 4,294,967,295, not 4,294,967,296",
        "name: must be a plugin name ([a-z0-9][a-z0-9_.-]{0,63}), not 'Word Count'",
        "api_version: must be 1, not 2",
        "entry_point: must be 'module:Class' with the module's name inside the bundle, not 'plugin.WordCount'",
        "permissions[2]: must be a string, not an integer (5)",
        "capacity: must be a whole number from 1 to 100,000, not 0",
        "restart.policy: must be one of 'permanent', 'transient', 'temporary', not a string ('always')",
        "sandbox.network[0]: must be host, *.host, v4, v4/8, [v6], [v6/8] or *, maybe :port, not '::1'",
        "version: is missing",
        "vertion: unknown key; did you mean 'version'?",
        "permissions[1]: must be one of 'control', 'data_access', 'error_reporting', 'handshake', 'inter_plugin', "
        "not 'contrl'; did you mean 'control'?",
    ]


def test_an_empty_manifest_lists_what_is_missing() -> None:
    """Exactly the keys without a default are required."""
    assert faults("") == [f"{key}: is missing" for key in ("id", "name", "version", "api_version", "entry_point")]


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("id = 1", 'id = "1"', "id"),
        ("id = 1", "id = true", "id"),
        ("id = 1", "id = 1.0", "id"),
        ("id = 1", f"id = 0x{'f' * 5000}", "id"),
        ('"geo"', '"-geo"', "name"),
        ('"geo"', f'"{"g" * 65}"', "name"),
        ('"geo"', r'"geo\n"', "name"),
        ('"1.0"', '"one"', "version"),
        ('"1.0"', f'"{"1" * 5000}"', "version"),
        ('"1.0"', "1.0", "version"),
        ("api_version = 1", "api_version = 1.0", "api_version"),
        ("plugin:Geo", "plugin", "entry_point"),
        ("plugin:Geo", "plugin:Geo.x", "entry_point"),
        ("plugin:Geo", "../plugin:Geo", "entry_point"),
        ("plugin:Geo", ".plugin:Geo", "entry_point"),
    ],
)
def test_a_bad_value_is_named_by_its_key(old: str, new: str, key: str) -> None:
    """Wrong types, forms and sizes are found, hostile ones too."""
    [fault] = faults(MINIMAL.replace(old, new))
    assert fault.startswith(f"{key}: must be ")
    assert len(fault) < 300


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (
            '[requires]\n"Geo!" = ">=1"',
            "requires.'Geo!': must be a plugin name ([a-z0-9][a-z0-9_.-]{0,63}), not 'Geo!'",
        ),
        ('[requires]\nmap = "1.2"', "requires.map: must be version specifiers such as '>=1.2,<2', not '1.2'"),
        ("[requires]\nmap = 2", "requires.map: must be a string, not an integer (2)"),
        ('[requires]\ngeo = ">=1"', "requires.geo: must be another plugin, not the plugin itself"),
        ('requires = ["geo"]', "requires: must be a table, not an array"),
        ('[optional]\nmap = "1.2"', "optional.map: must be version specifiers such as '>=1.2,<2', not '1.2'"),
        ('[optional]\ngeo = ">=1"', "optional.geo: must be another plugin, not the plugin itself"),
        ('[requires]\nmap = ""\n[optional]\nmap = ">=1"', "optional.map: must not be required as well"),
        ("[sandbox]\nmemory = 5", "sandbox.memory: unknown key; did you mean 'memory_bytes'?"),
        ('[sandbox]\nread_paths = ["."]', "sandbox.read_paths[0]: must be an absolute path, not '.'"),
    ],
)
def test_faults_inside_tables_carry_the_dotted_key(table: str, expected: str) -> None:
    """The key leads straight to the line."""
    assert faults(MINIMAL + table) == [expected]


def test_a_missing_requirement_does_not_hide_a_second_fault_of_the_table() -> None:
    """Both bad entries of one table are listed."""
    found = faults(MINIMAL + '[requires]\nmap = 2\nroad = "x"')
    assert [fault.partition(":")[0] for fault in found] == ["requires.map", "requires.road"]


def test_a_syntax_error_has_line_and_column() -> None:
    """The place in plugin.toml is in the text."""
    assert faults("id = 1\nname = geo\n") == ["is not valid TOML: Invalid value (at line 2, column 8)"]


def test_a_manifest_that_is_not_utf8_is_refused() -> None:
    """The byte and its place are named."""
    assert faults(b'name = "\xe9"') == ["must be UTF-8, which byte 0xe9 at line 1, column 9 is not"]


def test_a_huge_manifest_is_refused_with_both_sizes() -> None:
    """The text holds the limit and the actual size."""
    assert faults("#" * (MAX_MANIFEST_BYTES + 1)) == ["must have at most 65,536 bytes, not 65,537"]


@pytest.mark.parametrize(
    "text", ["a" + ".a" * 30_000 + " = 1", "[" + "a." * 30_000 + "a]", "x = {a" + ".a" * 30_000 + " = 1}"]
)
def test_an_endless_dotted_key_is_refused_before_it_is_parsed(text: str) -> None:
    """Such a key of 60 KB would cost the parser many seconds and gigabytes."""
    assert faults("\n" + text) == ["must have at most 200 dots in a line, not 30,000 as in line 2"]


def test_a_manifest_built_in_code_is_checked_too() -> None:
    """There is no way around the checks."""
    with pytest.raises(ConfigError, match="Manifest: version: must be a version"):
        Manifest(1, "geo", "x", 1, "plugin:Geo")


def test_every_frame_type_needs_a_known_permission() -> None:
    """The table of frame types and the vocabulary agree."""
    assert set(PERMISSION_OF_FRAME_TYPE) == {0x51, 0x52, 0x53, 0x54}
    assert set(PERMISSION_OF_FRAME_TYPE.values()) == ALL_PERMISSIONS - {"inter_plugin"}


@given(st.text(max_size=200) | st.binary(max_size=200))
def test_any_text_is_a_manifest_or_a_manifest_error(text: str | bytes) -> None:
    """No input, however broken, raises anything else."""
    with pytest.raises(ManifestError):
        parse_manifest(text, "x")


@given(st.data())
def test_a_mangled_manifest_never_raises_anything_else(data: st.DataObject) -> None:
    """A valid manifest with a piece replaced is still valid, or refused with its faults."""
    start = data.draw(st.integers(0, len(FULL)))
    end = data.draw(st.integers(start, min(len(FULL), start + 20)))
    try:
        parse_manifest(FULL[:start] + data.draw(st.text(max_size=10)) + FULL[end:], "x")
    except ManifestError as error:
        assert error.faults
