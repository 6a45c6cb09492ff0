"""The public face: what it names is there, and importing it loads nothing."""

from __future__ import annotations

import importlib
import pkgutil
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import cbor2

import nyx_plugins

README = Path(__file__).parent.parent / "README.md"


def test_every_public_name_is_there_and_every_error_is_public() -> None:
    """``__all__`` is the lazy table, each name resolves, and no error class is forgotten."""
    assert sorted(nyx_plugins._WHERE) == nyx_plugins.__all__
    values = {name: getattr(nyx_plugins, name) for name in nyx_plugins.__all__}
    from nyx_plugins.plugins import errors

    for found in pkgutil.iter_modules(errors.__path__):
        module = importlib.import_module(f"{errors.__name__}.{found.name}")
        for name, value in vars(module).items():
            if isinstance(value, type) and value.__module__ == module.__name__:
                assert values[name] is getattr(errors, name) is value


def test_importing_the_face_loads_neither_thespian_nor_actors() -> None:
    """The face is lazy, so that a worker can import it."""
    code = "import sys, nyx_plugins; print([m for m in sys.modules if 'thespian' in m or m.startswith('nyx_plugins.')])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=150)
    assert said.stdout.strip() == "[]"


def test_the_version_is_spelt_once() -> None:
    """The distribution and the module agree."""
    assert metadata.version("nyx-plugins") == nyx_plugins.__version__


def test_the_embedding_example_of_the_readme_runs(tmp_path: Path) -> None:
    """The first Python block of the README is a program that does what its comments say."""
    example = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)[0]
    assert len(example.strip().splitlines()) <= 15
    said = subprocess.run(
        [sys.executable, "-c", example], capture_output=True, text=True, check=True, timeout=150, cwd=tmp_path
    )
    reply, counts = said.stdout.splitlines()
    assert reply == repr(b"\x81\x82cthe\x02")
    assert counts == "3 0"


def test_the_asyncio_example_of_the_readme_runs(tmp_path: Path) -> None:
    """The third Python block of the README is a program, too."""
    example = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)[2]
    said = subprocess.run(
        [sys.executable, "-c", example], capture_output=True, text=True, check=True, timeout=150, cwd=tmp_path
    )
    assert said.stdout == f"{cbor2.dumps([['line', 10_000]])!r}\n"


def test_the_plugin_of_the_readme_loads_and_answers(tmp_path: Path) -> None:
    """Manifest and code of the README make a bundle that works."""
    text = README.read_text()
    manifest = re.findall(r"```toml\n(.*?)```", text, re.S)[0]
    code = re.findall(r"```python\n(.*?)```", text, re.S)[1]
    (tmp_path / "plugin.toml").write_text(manifest)
    (tmp_path / "plugin.py").write_text(code)
    plugin_id = tomllib.loads(manifest)["id"]
    with nyx_plugins.PluginSystem(transport="inline") as system:
        system.load(tmp_path)
        assert system.request(0x52, nyx_plugins.PluginHeader(plugin_id, 0, b"hush")) == b"HUSH"
