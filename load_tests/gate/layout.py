"""The installed layout of a checkout, copied, so that Python imports this and nothing that is installed.

Copied and not linked: a worker's jail opens the folders in which its code really lies, and a run measures what was
there when the gate began, whatever is edited meanwhile. The libraries come from the installation that runs the gate.
"""

from __future__ import annotations

import compileall
import configparser
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import attrs

from ..errors import NoCheckout

_IGNORED = shutil.ignore_patterns("__pycache__", "*.pyc")
_Ignore = Callable[[str, list[str]], set[str]]
_HARNESS = "nyx_plugins.load_tests"


@attrs.frozen
class Build:
    """One side: its name, and where its packages are."""

    name: str
    path: Path

    def environment(self) -> dict[str, str]:
        """Return that of a process which imports this build."""
        return {**os.environ, "PYTHONPATH": str(self.path)}


def lay_out(name: str, checkout: Path, target: Path, harness: Path | None = None) -> Build:
    """Copy what is installed of ``checkout`` into ``target``, with the load tests of ``harness`` if that is given.

    Raises :class:`NoCheckout` where ``checkout`` is laid out in a way that is not understood.
    """
    folders = _folders(checkout)
    if harness is not None:
        folders = {**folders, _HARNESS: harness / "load_tests"}
    for package, folder in folders.items():
        place = target.joinpath(*package.split("."))
        # The root of the package lies in a folder of the actors, and is no part of them.
        shutil.copytree(folder, place, ignore=_without(folders, folder), dirs_exist_ok=True)
    compileall.compile_dir(str(target), quiet=2)
    build = Build(name, target)
    _verify(build)
    return build


def _folders(checkout: Path) -> Mapping[str, Path]:
    """Return the folder of each mapped package, the outermost first."""
    parser = configparser.ConfigParser()
    try:
        parser.read(checkout / "setup.cfg", encoding="utf-8")
        lines = [line.split("=") for line in parser["options"]["package_dir"].splitlines() if line]
        return {name.strip(): checkout / folder.strip() for name, folder in lines}
    except (configparser.Error, KeyError, ValueError) as error:
        raise NoCheckout(checkout, f"setup.cfg maps no packages ({error})") from None


def _without(folders: Mapping[str, Path], copied: Path) -> _Ignore:
    inner = {folder for folder in folders.values() if folder != copied}

    def ignored(folder: str, names: list[str]) -> set[str]:
        return {*_IGNORED(folder, names), *(name for name in names if Path(folder, name) in inner)}

    return ignored


def _verify(build: Build) -> None:
    """Make sure that a process with this environment imports this build."""
    script = "import nyx_plugins; print(nyx_plugins.__file__)"
    command = [sys.executable, "-P", "-c", script]
    asked = subprocess.run(command, env=build.environment(), capture_output=True, text=True, timeout=60)
    if not asked.stdout.startswith(f"{build.path}{os.sep}"):
        raise NoCheckout(build.path, f"Python imports {asked.stdout.strip() or 'nothing'} instead of it")
