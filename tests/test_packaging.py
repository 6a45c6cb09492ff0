"""What is installed: one package of our name, whole, and nothing beside it."""

from __future__ import annotations

import ast
import configparser
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from nyx_plugins import __version__

ROOT = Path(__file__).parents[1]
FOLDERS = ("actors", "config", "load_tests", "plugins")
DATA = (
    "py.typed",
    "defaults.toml",
    "data/*",
    "data/stub/*",
    "data/template/*",
    "scenarios/*.toml",
    "static/*",
    "page.*",
    "*/plugin.toml",
    "*/plugin.py",
)


def _listed_packages() -> dict[str, Path]:
    """Return the folder of each package in setup.cfg, as setuptools finds it: by the longest mapped prefix."""
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    options = parser["options"]
    lines = (line.split("=") for line in options["package_dir"].split("\n") if line)
    mapped = {name.strip(): ROOT / folder.strip() for name, folder in lines}
    return {name: _folder_of(name, mapped) for name in options["packages"].split()}


def _folder_of(package: str, mapped: dict[str, Path]) -> Path:
    prefix, rest = package, list[str]()
    while prefix not in mapped:
        prefix, _, last = prefix.rpartition(".")
        rest.insert(0, last)
    return mapped[prefix].joinpath(*rest)


@pytest.fixture(scope="module")
def wheel_names(tmp_path_factory: pytest.TempPathFactory) -> frozenset[str]:
    """Build the wheel without a network, from a copy, so that no leftover of an earlier build gets in."""
    copy, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, copy)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    built = subprocess.run([*command, "-w", target, copy], capture_output=True, text=True, timeout=150)
    assert built.returncode == 0, built.stdout + built.stderr
    (wheel,) = target.iterdir()
    with zipfile.ZipFile(wheel) as archive:
        return frozenset(archive.namelist())


def test_wheel_installs_nothing_but_our_package(wheel_names: frozenset[str]) -> None:
    """The wheel puts exactly two names into a user's site-packages: the package and its metadata."""
    assert {name.split("/")[0] for name in wheel_names} == {"nyx_plugins", f"nyx_plugins-{__version__}.dist-info"}


def test_wheel_holds_every_module_and_data_file_once(wheel_names: frozenset[str]) -> None:
    """Every module and data file of a listed package is in the wheel, under that package's name and no other."""
    expected = {
        f"{package.replace('.', '/')}/{file.relative_to(folder).as_posix()}"
        for package, folder in _listed_packages().items()
        for pattern in ("*.py", *DATA)
        for file in folder.glob(pattern)
        if file.is_file()
    }
    assert {name for name in wheel_names if not name.startswith(f"nyx_plugins-{__version__}")} == expected


@pytest.mark.parametrize(
    "name",
    [
        "nyx_plugins/py.typed",
        "nyx_plugins/cli/main.py",
        "nyx_plugins/config/defaults.toml",
        "nyx_plugins/plugins/builtin/echo/plugin.toml",
        "nyx_plugins/plugins/builtin/kv/plugin.py",
        "nyx_plugins/plugins/worker/bootstrap.py",
    ],
)
def test_wheel_holds_what_only_runs_when_installed(wheel_names: frozenset[str], name: str) -> None:
    """Files that are found by path, not by import, are in the wheel as well."""
    assert name in wheel_names


def test_listed_packages_are_the_folders() -> None:
    """The list in setup.cfg names every folder that holds an ``__init__.py``, and no other."""
    folders = {path.parent for folder in FOLDERS for path in (ROOT / folder).rglob("__init__.py")}
    assert set(_listed_packages().values()) == folders


def test_version_has_its_section_in_the_changelog() -> None:
    """Users find in the changelog what the version that they install has brought."""
    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_nothing_imports_a_bare_folder_name() -> None:
    """No file imports ``actors``, ``config``, ``load_tests`` or ``plugins``, which exist in a checkout only."""
    files = [path for folder in (*FOLDERS, "tests") for path in (ROOT / folder).rglob("*.py")]
    found = [(path.relative_to(ROOT), *seen) for path in files for seen in _bare_imports(path)]
    assert found == []


def _bare_imports(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_bytes())):
        match node:
            case ast.Import(names=aliases):
                names = [alias.name for alias in aliases]
            case ast.ImportFrom(module=str(module), level=0):
                names = [module]
            case _:
                continue
        yield from ((node.lineno, name) for name in names if name.split(".")[0] in FOLDERS)
