"""Fixtures for commands that drive a service: one that runs, shells and terminals to drive it from."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import shlex
import socket
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import pyte
import pytest

from nyx_plugins import PluginSystem

PATIENCE_S = 100.0
COMMAND = (sys.executable, "-P", "-m", "nyx_plugins.cli")
# Makes the terminal at standard input the one that sends the signals of Ctrl-C and of a resized window.
_IN_TERMINAL = (
    "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    " os.execv(sys.argv[1], sys.argv[1:])"
)


@attrs.frozen
class Service:
    """A running ``nyx-plugins serve``."""

    process: subprocess.Popen[str]
    runtime_dir: Path
    environment: dict[str, str]

    def run(self, *arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run a command to its end from another terminal."""
        command = [*COMMAND, *map(str, arguments)]
        options = {"capture_output": True, "stdin": subprocess.DEVNULL, "timeout": PATIENCE_S, **options}
        return subprocess.run(command, text=True, env=self.environment, **options)

    @property
    def command(self) -> str:
        """The command as a shell takes it."""
        return shlex.join(COMMAND)

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Start a command with a pipe for what it prints."""
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, **options}
        return subprocess.Popen([*COMMAND, *arguments], text=True, env=self.environment, **options)

    def connect(self) -> PluginSystem:
        """Connect from this process."""
        return PluginSystem.connect(self.runtime_dir)

    def stop(self) -> None:
        """End the service in order."""
        self.process.terminate()
        self.process.wait(PATIENCE_S)


@contextmanager
def served(folder: Path) -> Iterator[Service]:
    """Run a service in ``folder`` for the length of a block; it is ready."""
    environment = {**os.environ, "NYX_PLUGINS_RUNTIME_DIR": str(folder / "svc"), "PYTHONUNBUFFERED": "1"}
    with (folder / "serve.log").open("w") as log, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as readiness:
        readiness.bind(str(folder / "ready"))
        readiness.settimeout(PATIENCE_S)
        process = subprocess.Popen(
            [*COMMAND, "serve"],
            text=True,
            env={**environment, "NOTIFY_SOCKET": str(folder / "ready")},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        found = Service(process, folder / "svc", environment)
        try:
            while b"READY=1" not in readiness.recv(4096):
                pass
            yield found
        finally:
            found.stop()


@pytest.fixture(scope="module")
def shared_service(short_folder: Callable[[], Path]) -> Iterator[Service]:
    """Return the service that the tests of one module share, since its start takes longer than most of them."""
    with served(short_folder()) as found:
        yield found


@pytest.fixture
def service(shared_service: Service) -> Iterator[Service]:
    """Return a running service without plugins; the test may load some."""
    yield shared_service
    with shared_service.connect() as system:
        for info in system.plugins():
            system.unload(info.plugin_id, timeout=0)


@pytest.fixture
def own_service(short_folder: Callable[[], Path]) -> Iterator[Service]:
    """Return a running service that the test may end."""
    with served(short_folder()) as found:
        yield found


@pytest.fixture
def loaded(service: Service) -> Service:
    """Return the service with the plugins echo (1002) and kv (1003)."""
    with service.connect() as system:
        system.load("builtin:echo")
        system.load("builtin:kv")
    return service


class Terminal:
    """A program on a terminal of its own, and what is on its screen."""

    def __init__(self, command: list[str], environment: dict[str, str], columns: int, lines: int) -> None:
        self._master, self._slave = pty.openpty()
        self.before = termios.tcgetattr(self._slave)
        self.screen = pyte.Screen(columns, lines)
        self.raw = b""
        self._stream = pyte.ByteStream(self.screen)
        self.resize(columns, lines)
        # These would go before the size of the window.
        inherited = {name: value for name, value in environment.items() if name not in ("COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            [sys.executable, "-c", _IN_TERMINAL, *command],
            env={**inherited, "TERM": "xterm-256color"},
            stdin=self._slave,
            stdout=self._slave,
            stderr=self._slave,
        )

    @property
    def text(self) -> str:
        """What is on the screen."""
        return "\n".join(line.rstrip() for line in self.screen.display)

    @property
    def settings(self) -> list[Any]:
        """The settings of the terminal as they are now."""
        return termios.tcgetattr(self._slave)

    def resize(self, columns: int, lines: int) -> None:
        """Give the window another size, and say so to the program."""
        self.screen.resize(lines, columns)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._master, keys)

    def wait_for(self, condition: Callable[[str], bool] | str) -> str:
        """Read until the screen holds a text, or a condition is true of it; return the screen."""
        deadline = time.monotonic() + PATIENCE_S
        while not (condition in self.text if isinstance(condition, str) else condition(self.text)):
            assert self._read(deadline - time.monotonic()), f"not on the screen in time:\n{self.text}"
        return self.text

    def wait_for_end(self) -> int:
        """Read to the end of the program; returns its exit code."""
        deadline = time.monotonic() + PATIENCE_S
        while self.process.poll() is None and time.monotonic() < deadline:
            self._read(0.05)
        code = self.process.wait(1)
        while self._read(0):
            pass
        return code

    def close(self) -> None:
        """End the program, if it has not, and the terminal."""
        self.process.kill()
        self.process.wait()
        for fd in (self._master, self._slave):
            os.close(fd)

    def _read(self, seconds: float) -> bool:
        if not select.select([self._master], [], [], max(0.0, seconds))[0]:
            return False
        piece = os.read(self._master, 1 << 16)
        self.raw += piece
        self._stream.feed(piece)
        return True


@pytest.fixture
def terminal() -> Iterator[Callable[..., Terminal]]:
    """Return a function that runs a command on a terminal."""
    opened: list[Terminal] = []

    def open_one(service: Service, *arguments: str, columns: int = 120, lines: int = 24) -> Terminal:
        made = Terminal([*COMMAND, *arguments], service.environment, columns, lines)
        opened.append(made)
        return made

    yield open_one
    for made in opened:
        made.close()
