"""``new`` and ``pack``: what they write, and what they refuse."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from nyx_plugins import PluginHeader, PluginSystem
from nyx_plugins.cli.tables import size
from nyx_plugins.cli.template import DERIVED_IDS, NewPlugin, derived_id
from nyx_plugins.plugins.bundle import read_manifest, stage_bundle

Invoke = Callable[..., Result]

NAMES = {
    "greeter": ("Greeter", "test_greeter"),
    "image-resizer": ("ImageResizer", "test_image_resizer"),
    "a.b_c-d": ("ABCD", "test_a_b_c_d"),
    "3d-render": ("Plugin3dRender", "test_3d_render"),
    "0": ("Plugin0", "test_0"),
    "a---": ("A", "test_a___"),
    "none": ("NonePlugin", "test_none"),
    "true": ("TruePlugin", "test_true"),
    "plugin": ("PluginPlugin", "test_plugin"),
    "frame": ("FramePlugin", "test_frame"),
    "base-exception": ("BaseExceptionPlugin", "test_base_exception"),
    "value-error": ("ValueErrorPlugin", "test_value_error"),
    "x" * 64: ("X" + "x" * 63, "test_" + "x" * 64),
}


@pytest.fixture(autouse=True)
def cwd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in an empty directory, and return it."""
    folder = tmp_path / "cwd"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


# New.


@pytest.mark.parametrize("name", NAMES)
def test_any_name_gives_a_plugin_that_works(name: str, invoke: Invoke) -> None:
    """Whatever the name looks like, the code has a class that is none of Python's, and the bundle loads and replies."""
    assert invoke("new", name).exit_code == 0
    class_name, test_name = NAMES[name]
    manifest = read_manifest(name)
    assert (manifest.name, manifest.id, manifest.entry_point) == (name, derived_id(name), f"plugin:{class_name}")
    assert sorted(os.listdir(name)) == sorted(["README.md", "plugin.py", "plugin.toml", f"{test_name}.py"])
    with PluginSystem(transport="inline") as system:
        plugin_id = system.load(name).plugin_id
        assert system.request(0x52, PluginHeader(plugin_id, 0, b"Ada")) == b"Hello, Ada!"


@pytest.mark.parametrize("name", NAMES)
def test_what_is_written_needs_no_mending(name: str, invoke: Invoke) -> None:
    """The files are as ruff would format them, of no rule's concern, and every public thing has its docstring."""
    invoke("new", name)
    for command in (["check", "--select", "E4,E7,E9,F,W,I,B,UP,SIM,RUF,D1,N,ANN,PT"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", command[0], "--isolated", "--no-cache", *command[1:], name],
            capture_output=True,
            text=True,
            timeout=150,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_of_the_template_is_left(invoke: Invoke) -> None:
    """The template's name, class and id have given way everywhere."""
    invoke("new", "other", "--id", "77")
    for file in Path("other").iterdir():
        text = file.read_text()
        assert not {"greeter", "Greeter", "100000"} & set(text.replace("_", " ").replace("-", " ").split()), file
        assert "greeter" not in text.lower(), file
    assert tomllib.loads(Path("other/plugin.toml").read_text())["id"] == 77


def test_the_class_of_the_entry_point_is_in_the_code(invoke: Invoke) -> None:
    """Manifest and code agree."""
    invoke("new", "3d.render")
    module, _, class_name = read_manifest("3d.render").entry_point.partition(":")
    tree = ast.parse(Path("3d.render", f"{module}.py").read_text())
    assert [node.name for node in tree.body if isinstance(node, ast.ClassDef)] == [class_name]


def test_an_id_that_is_not_given_is_made_of_the_name() -> None:
    """It is the same on every machine, has six digits, and names that are alike have others."""
    assert derived_id("greeter") == 502_679
    ids = {derived_id(f"plugin-{n}") for n in range(1000)}
    assert min(ids) >= DERIVED_IDS.start and max(ids) < DERIVED_IDS.stop
    assert len(ids) > 990


def test_new_says_what_to_do_next(invoke: Invoke) -> None:
    """Each file is named with what it is for, and the commands that follow are those of this folder."""
    result = invoke("new", "greeter", "--directory", "my plugins/greeter")
    assert result.stdout == (
        "Wrote the plugin greeter, id 502679, into the folder my plugins/greeter:\n"
        "  plugin.toml      what it is, and what it may do\n"
        "  plugin.py        its code\n"
        "  test_greeter.py  its tests\n"
        "  README.md        what to do with it\n"
        "Next:\n"
        "  nyx-plugins check 'my plugins/greeter'  load it and send it a frame\n"
        "  pytest 'my plugins/greeter'             run its tests (needs nyx-plugins[testing])\n"
    )


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Greeter", "; 'greeter' would do"),
        ("My Plugin!", "; 'my-plugin' would do"),
        ("-x", ""),
        ("../evil", "; 'evil' would do"),
        ("a" * 65, f"; '{'a' * 64}' would do"),
        ("\u4f60\u597d", "\n"),
        ("a\n", "; 'a' would do"),
        ("\x1b[31m", "; '31m' would do"),
        ("", "\n"),
    ],
)
def test_a_name_that_no_manifest_takes_is_refused(name: str, hint: str, invoke: Invoke, cwd: Path) -> None:
    """One sentence says so, and what would do; nothing is written."""
    result = invoke("new", "--", name)
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1 and "\x1b" not in result.stderr
    assert "is no plugin name" in result.stderr and hint.strip() in result.stderr
    assert list(cwd.iterdir()) == []


@pytest.mark.parametrize("plugin_id", ["-1", str(2**32), "x", "1.5"])
def test_an_id_that_is_none_is_refused(plugin_id: str, invoke: Invoke, cwd: Path) -> None:
    """An id is a u32."""
    result = invoke("new", "greeter", f"--id={plugin_id}")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert list(cwd.iterdir()) == []


def test_an_empty_folder_is_taken(invoke: Invoke) -> None:
    """A folder that was made for the plugin will do, the current one too."""
    assert invoke("new", "greeter", "--directory", ".").exit_code == 0
    assert Path("plugin.toml").exists()


def test_a_folder_that_holds_something_is_refused(invoke: Invoke) -> None:
    """What is there is left as it is."""
    Path("greeter").mkdir()
    Path("greeter/plugin.py").write_text("mine")
    result = invoke("new", "greeter")
    assert (result.exit_code, result.stderr) == (
        2,
        "Error: greeter is not empty: name another folder with --directory\n",
    )
    assert Path("greeter/plugin.py").read_text() == "mine"
    assert os.listdir("greeter") == ["plugin.py"]


@pytest.mark.parametrize(
    ("folder", "why"),
    [("file", "File exists"), ("file/x", "Not a directory"), ("x" * 300, "File name too long"), ("dangling", "exists")],
)
def test_a_folder_that_can_not_be_made_is_refused(folder: str, why: str, invoke: Invoke, cwd: Path) -> None:
    """Whatever is in the way is named in one sentence."""
    (cwd / "file").write_text("")
    (cwd / "dangling").symlink_to("nowhere")
    result = invoke("new", "greeter", "--directory", folder)
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: ") and why in result.stderr
    assert sorted(os.listdir()) == ["dangling", "file"]


def test_a_plugin_is_written_whole_or_not_at_all(invoke: Invoke, cwd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills up in the middle leaves nothing, and the folder that was there."""
    write_text, written = Path.write_text, list[str]()

    def fill_up(self: Path, *args: str) -> int:
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        written.append(self.name)
        return write_text(self, *args)

    monkeypatch.setattr(Path, "write_text", fill_up)
    (cwd / "there").mkdir()
    for arguments in (["greeter"], ["greeter", "--directory", "there"]):
        written.clear()
        result = invoke("new", *arguments)
        assert (result.exit_code, len(written)) == (2, 2)
        assert result.stderr.endswith("can't be written: No space left on device\n")
    assert os.listdir() == ["there"] and os.listdir("there") == []


def test_words_are_replaced_whole() -> None:
    """A name that contains a word of the template, or is contained in one, spoils nothing."""
    plugin = NewPlugin("greeter.greeter", 5)
    assert plugin.filled("greeter greetern Greeter 100000 1000000") == (
        "greeter.greeter greetern GreeterGreeter 5 1000000"
    )


# Pack.


def test_a_new_plugin_is_packed(invoke: Invoke, tmp_path: Path) -> None:
    """The zip that ``pack`` writes is the bundle, and its digest is told."""
    invoke("new", "greeter")
    result = invoke("pack", "greeter")
    digest = stage_bundle("greeter", tmp_path / "staged").digest
    told = size(Path("greeter-0.1.0.zip").stat().st_size)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == (f"Packed greeter 0.1.0: 4 files, {told}.\n  greeter-0.1.0.zip\n  digest {digest}\n")
    with PluginSystem(transport="inline") as system:
        assert system.load("greeter-0.1.0.zip").digest == digest


def test_pack_replaces_only_when_it_is_told_to(invoke: Invoke) -> None:
    """A zip that is there is kept, unless --force is given."""
    invoke("new", "greeter")
    Path("out.zip").write_bytes(b"precious")
    refused = invoke("pack", "greeter", "--output", "out.zip")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert refused.stderr == "Error: out.zip is there already: --force replaces it, --output names another\n"
    assert Path("out.zip").read_bytes() == b"precious"
    assert invoke("pack", "greeter", "--output", "out.zip", "--force").exit_code == 0
    assert zipfile.is_zipfile("out.zip")


def test_pack_lists_every_fault(invoke: Invoke, cwd: Path) -> None:
    """A manifest with several faults is refused with all of them, in one sentence, and nothing is written."""
    invoke("new", "greeter")
    Path("greeter/plugin.toml").write_text('id = -1\nname = "X"\nversion = "1"\napi_version = 2\n')
    result = invoke("pack", "greeter")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    for key in ("id", "name", "api_version", "entry_point"):
        assert f"{key}: " in result.stderr
    assert os.listdir(cwd) == ["greeter"]


@pytest.mark.parametrize("arguments", [["pack"], ["pack", "nowhere"], ["new"], ["check"], ["check", "nowhere"]])
def test_a_wrong_argument_gives_one_sentence(arguments: list[str], invoke: Invoke) -> None:
    """Exit code 2, and nothing but that sentence."""
    result = invoke(*arguments)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
