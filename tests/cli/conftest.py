"""Fixtures for the command line: running it in this process and in one of its own, captures and configurations."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from nyx_plugins import PluginHeader, PluginSystem, StreamFrame
from nyx_plugins.cli import connecting
from nyx_plugins.cli.main import cli


@pytest.fixture(autouse=True)
def nothing_left(runtime_base: Path) -> Iterator[None]:
    """Check that a command leaves no file in the runtime directory, however it ends."""
    yield
    assert list(runtime_base.iterdir()) == []


@pytest.fixture
def invoke() -> Callable[..., Result]:
    """Return a function that runs the command line in this process."""

    def run(*arguments: str | Path) -> Result:
        return CliRunner().invoke(cli, [str(argument) for argument in arguments], prog_name="nyx-plugins")

    return run


@pytest.fixture
def program() -> Callable[..., subprocess.Popen[str]]:
    """Return a function that starts the command line in a process of its own, with pipes for what it prints."""

    def start(*arguments: str | Path, stdin: int | None = None) -> subprocess.Popen[str]:
        command = [sys.executable, "-P", "-m", "nyx_plugins.cli", *map(str, arguments)]
        return subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return start


@pytest.fixture
def config(tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that writes a configuration file."""

    def write(text: str) -> Path:
        path = tmp_path / "nyx-plugins.toml"
        path.write_text(text)
        return path

    return write


@pytest.fixture
def echo_config(config: Callable[[str], Path]) -> Path:
    """Return a configuration that names the echo plugin, id 1002."""
    return config('[[plugins]]\nbundle = "builtin:echo"\n')


@pytest.fixture
def capture(tmp_path: Path) -> Callable[[Sequence[StreamFrame]], Path]:
    """Return a function that writes a capture."""

    def write(frames: Sequence[StreamFrame]) -> Path:
        path = tmp_path / "some.nyxcap"
        path.write_bytes(b"".join(frame.encode() for frame in frames))
        return path

    return write


@pytest.fixture
def frame() -> Callable[..., StreamFrame]:
    """Return a function that makes the stream frame of one plugin frame."""

    def make(plugin_id: int, data: bytes = b"data", kind: int | str = 0x52, flags: int = 0) -> StreamFrame:
        return StreamFrame(1, 0, kind, PluginHeader(plugin_id, flags, data).encode())

    return make


@pytest.fixture
def driven(runtime_base: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PluginSystem]:
    """Return a system to which commands connect in place of a service; it runs in this process."""
    with PluginSystem(transport="inline") as system:

        @contextmanager
        def connection(runtime_dir: str | None, streams: tuple[str, ...] = ()) -> Iterator[PluginSystem]:
            yield system

        monkeypatch.setattr(connecting, "connection", connection)
        yield system


@pytest.fixture
def answer(driven: PluginSystem, invoke: Callable[..., Result]) -> Callable[..., Any]:
    """Return a function that runs a command on the driven system and returns what it prints with ``--json``."""

    def run(*arguments: str | Path, code: int = 0) -> Any:
        result = invoke(*arguments, "--json")
        assert (result.exit_code, result.stderr) == (code, "")
        return json.loads(result.stdout)

    return run
