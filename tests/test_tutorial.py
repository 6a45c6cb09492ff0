"""The tutorial, from an empty directory, in a fresh virtual environment with the built wheel: it does what it shows."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
TUTORIAL = ROOT / "docs" / "tutorial.md"
FOLDERS = ("actors", "config", "load_tests", "plugins")
# A line that says what is to be done with a block, if anything; the language; the block; and what it prints.
BLOCK = re.compile(r"(?:<!-- (?P<what>.+?) -->\n)?```(?P<language>\w+)\n(?P<text>.*?)```\n", re.S)
TIMEOUT_S = 150


class Block(NamedTuple):
    """A block of the tutorial; ``what`` is empty, or an instruction and mostly a file."""

    what: str
    language: str
    text: str


def blocks() -> list[Block]:
    """Return the tutorial's blocks, in order."""
    found = BLOCK.finditer(TUTORIAL.read_text("utf-8"))
    return [Block(block["what"] or "", block["language"], block["text"]) for block in found]


def comparable(output: str) -> list[str]:
    """Leave out what differs from run to run: times, memory, process ids, and the widths of columns."""
    for pattern, shown in (
        (r"\d[\d.]* (?:µs|ms|s)\b", "TIME"),
        (r"in \d[\d.]*s\b", "in TIME"),
        (r"\d[\d.]* MiB", "MEMORY"),
        (r"Process \d+", "Process PID"),
        (r"[─ ]+", " "),
    ):
        output = re.sub(pattern, shown, output)
    return [line.strip() for line in output.splitlines() if line.strip()]


# The environment.


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel, from a copy, without a network, and return the folder that it is in."""
    copy, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheels")
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, copy)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    built = subprocess.run([*command, "-w", target, copy], capture_output=True, text=True, timeout=TIMEOUT_S)
    assert built.returncode == 0, built.stdout + built.stderr
    return target


@pytest.fixture(scope="module")
def dependencies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with everything that is installed here but this project, so that no network is needed."""
    folder = tmp_path_factory.mktemp("dependencies")
    for item in Path(sysconfig.get_path("purelib")).iterdir():
        if not re.match(r"nyx.plugins|_*editable|.*\.pth$", item.name):
            (folder / item.name).symlink_to(item)
    return folder


@pytest.fixture
def runtime_dir() -> Iterator[Path]:
    """Return a directory with a short path, as a service's sockets need it; the test must leave nothing in it."""
    with tempfile.TemporaryDirectory(prefix="nyx-") as folder:
        yield Path(folder)


@pytest.fixture
def environment(tmp_path: Path, runtime_dir: Path, wheels: Path, dependencies: Path) -> Iterator[dict[str, str]]:
    """Return the variables of a shell in which a fresh virtual environment is active."""
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True, timeout=TIMEOUT_S)
    [packages] = venv.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(f"{dependencies}\n")
    for command, where in (("pip", "pip._internal.cli.main:main"), ("pytest", "pytest:console_main")):
        module, _, function = where.partition(":")
        script = venv / "bin" / command
        script.write_text(f"#!{venv}/bin/python\nimport sys\nfrom {module} import {function}\nsys.exit({function}())\n")
        script.chmod(0o755)
    yield {
        "PATH": f"{venv}/bin:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "VIRTUAL_ENV": str(venv),
        "XDG_RUNTIME_DIR": str(runtime_dir),
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(wheels),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        # The tests of the plugin need none of ours; hypothesis alone takes seconds to import.
        "PYTEST_ADDOPTS": "-pno:hypothesispytest -pno:anyio -pno:xdist -pno:pytest_cov -pno:cacheprovider",
    }


class Reader:
    """Does what the tutorial says, block by block, in a directory of its own."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder = folder
        self._environment = environment
        self._printed = ""
        self.background: list[subprocess.Popen[str]] = []

    def follow(self, block: Block) -> None:
        """Do one thing: run, compare, write, or look at what is there."""
        what, _, file = block.what.partition(": ")
        match what, block.language:
            case "in the background", "sh":
                self._start(block.text)
            case "", "sh":
                self._printed += self.run(block.text)
            case "", "text":
                assert comparable(self._printed)[-len(comparable(block.text)) :] == comparable(block.text)
                self._printed = ""
            case "as written", _:
                assert (self._folder / file).read_text() == block.text
            case _:
                self._edit(what, self._folder / file, block.text)

    def run(self, commands: str) -> str:
        """Run shell commands, each of which must do well, and return what they print."""
        with (self._folder / ".output").open("w+") as output:
            done = subprocess.run(
                ["bash", "-euc", commands],
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=TIMEOUT_S,
            )
            output.seek(0)
            printed = output.read()
        assert done.returncode == 0, f"{commands}\n{printed}"
        return printed

    def _start(self, command: str) -> None:
        """Start a service, and return when it says that it serves."""
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.background.append(process)
        assert process.stderr is not None
        said = list(takewhile(lambda line: "serving in" not in line, process.stderr))
        assert process.poll() is None, "".join(said)

    @staticmethod
    def _edit(what: str, path: Path, text: str) -> None:
        match what:
            case "write":
                path.write_text(text)
            case "append":
                path.write_text(f"{path.read_text()}\n\n{text}")
            case "last line":
                path.write_text("\n".join([*path.read_text().splitlines()[:-1], text]))
            case "first import":
                path.write_text(re.sub(r"(?=^from nyx_plugins)", text, path.read_text(), count=1, flags=re.M))
            case _:
                raise AssertionError(f"the tutorial says {what!r}, which this test does not know")


@pytest.fixture
def reader(tmp_path: Path, environment: dict[str, str]) -> Iterator[Reader]:
    """Return somebody who follows the tutorial; whatever runs in the background is ended."""
    folder = tmp_path / "empty"
    folder.mkdir()
    reader = Reader(folder, environment)
    yield reader
    for process in reader.background:
        process.terminate()
        process.wait(TIMEOUT_S)
        assert process.stderr is not None
        process.stderr.close()


@pytest.mark.timeout(240)  # a wheel is built, and a dozen commands start systems
def test_the_tutorial_does_what_it_shows(reader: Reader, environment: dict[str, str], runtime_dir: Path) -> None:
    """Every command runs, prints what is shown, and is that of the built wheel; nothing is left running."""
    for block in blocks():
        reader.follow(block)
    where = reader.run("cd / && python -c 'import nyx_plugins; print(nyx_plugins.__file__)'; command -v nyx-plugins")
    assert [line.startswith(environment["VIRTUAL_ENV"]) for line in where.splitlines()] == [True, True]
    assert [process.wait(TIMEOUT_S) for process in reader.background] == [0]
    left = {path.name for path in runtime_dir.glob("nyx-plugins/*")}
    assert left <= {"service.lock", "stopped.json"}


def test_three_commands_come_first() -> None:
    """A newcomer has a plugin that runs after three commands, each on a line of its own."""
    first = blocks()[0]
    assert first.language == "sh"
    assert [line.split()[:2] for line in first.text.splitlines()] == [
        ["pip", "install"],
        ["nyx-plugins", "new"],
        ["nyx-plugins", "check"],
    ]


def test_what_is_shown_is_compared() -> None:
    """A figure that is not what varies from run to run makes a difference."""
    assert comparable("Loaded in 93.4 ms, 4.8 MiB") == comparable("Loaded in 1.5 s, 11 MiB")
    assert comparable("on_data   5 B  1.34 ms") == comparable("on_data  5 B  902 µs")
    assert comparable("on_data   5 B  1.34 ms") != comparable("on_data  6 B  1.34 ms")
    assert comparable("8 passed in 3.91s") != comparable("7 passed in 3.91s")
