"""For tests of running systems on Unix-domain sockets: short directories, systems that end, other processes."""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import os
import resource
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from thespian.actors import Actor, ActorSystem
from thespian.system.messages.status import Thespian_StatusReq

from nyx_plugins.actors.processes import descendants, reap
from nyx_plugins.actors.transports import unix
from nyx_plugins.actors.transports.unix import directory as directories
from nyx_plugins.actors.transports.unix import framing, tally

# How long anything may take at most, in seconds.
PATIENCE_S = 100.0
MOST_GROWTH_BYTES = 8 << 20
# Shorter than usual, so that no attacker has to wait for them; little may wait for anybody.
SHORT = {"stall_s": 1.0, "introduction_s": 1.0}
SMALL = {unix.QUEUE_CAPABILITY: 64 * 1024}


# Processes.


class Child:
    """A forked process that runs ``function(pipe, *args)``; what that returns or raises can be had here."""

    def __init__(self, function: Callable[..., Any], *args: Any) -> None:
        self.pipe, other = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("fork").Process(target=_be_child, args=(other, function, args))
        self._process.start()
        other.close()

    def receive(self) -> Any:
        """Return what it says next: what it sent, or returned; what it raised fails the test."""
        assert self.pipe.poll(PATIENCE_S), "the process has said nothing"
        succeeded, value = self.pipe.recv()
        assert succeeded, value
        return value

    def ask(self, question: Any) -> Any:
        """Send something and return what it says then."""
        self.pipe.send(question)
        return self.receive()

    def end(self) -> None:
        """Kill it, if it is still there."""
        self._process.kill()
        self._process.join()
        self.pipe.close()


def _be_child(pipe: Connection, function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    try:
        outcome = (True, function(pipe, *args))
    except BaseException:
        outcome = (False, traceback.format_exc())
    with contextlib.suppress(OSError):
        pipe.send(outcome)


@pytest.fixture
def in_child() -> Iterator[Callable[..., Child]]:
    """Return a function that forks a process which runs a function; it is killed at the end if it is still there."""
    children: list[Child] = []

    def start(function: Callable[..., Any], *args: Any) -> Child:
        children.append(Child(function, *args))
        return children[-1]

    yield start
    for child in children:
        child.end()


def wait_until(condition: Callable[[], Any]) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it has not come true"
        breathe()


def breathe() -> None:
    """Let others go on."""
    select.select([], [], [], 0.002)


@pytest.fixture(scope="session")
def eventually() -> Callable[[Callable[[], Any]], None]:
    """Return a function that waits until a condition holds."""
    return wait_until


# Systems.


@pytest.fixture
def directory() -> Iterator[str]:
    """Return a short private directory; whatever lies in it at the end is a failure."""
    path = tempfile.mkdtemp(prefix="u", dir="/tmp")
    yield path
    left = sorted(os.listdir(path)) if os.path.isdir(path) else None
    shutil.rmtree(path, ignore_errors=True)
    assert not left, f"{len(left)} files left behind: {left[:5]}"


@pytest.fixture
def no_process_is_left() -> Iterator[None]:
    """Fail if a process that the test started outlives it, and end it."""
    before = set(descendants(os.getpid()))
    yield
    deadline = time.monotonic() + PATIENCE_S
    while (left := _living_but(before)) and time.monotonic() < deadline:
        breathe()
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left, f"{len(left)} processes left behind: {left[:5]}"


def _living_but(before: set[int]) -> list[int]:
    reap()
    return [pid for pid in descendants(os.getpid()) if pid not in before]


@pytest.fixture
def start(directory: str, no_process_is_left: None) -> Iterator[Callable[..., ActorSystem]]:
    """Return a function that starts the system in the directory, or takes part in it; it is shut down at the end."""
    systems: list[ActorSystem] = []

    def make(capabilities: dict[str, Any] | None = None, log: Any = None) -> ActorSystem:
        systems.append(attach(directory, capabilities, log))
        return systems[-1]

    yield make
    for system in systems:
        if system._systemBase is not None:
            system.shutdown()


@pytest.fixture(scope="session")
def attached() -> Callable[..., ActorSystem]:
    """Return a function that starts or joins the system in a directory, for use in another process."""
    return attach


def attach(directory: str, capabilities: dict[str, Any] | None = None, log: Any = None) -> ActorSystem:
    """Start or join a system."""
    mine = {unix.DIRECTORY_CAPABILITY: directory, **(capabilities or {})}
    return ActorSystem(unix.install(), mine, logDefs=log or {"version": 1}, transientUnique=True)


PREAMBLE = """
import os, sys
from thespian.actors import ActorSystem
from nyx_plugins.actors.transports import unix
from nyx_plugins.load_tests.transports.actors import CreateMany, Crowd, Echo

def attach(**capabilities):
    capabilities[unix.DIRECTORY_CAPABILITY] = sys.argv[1]
    return ActorSystem(unix.install(), capabilities, logDefs={"version": 1}, transientUnique=True)

"""


@pytest.fixture
def run(directory: str, no_process_is_left: None, tmp_path: Path) -> Callable[..., str]:
    """Return a function that runs a program, which can ``attach()`` to the directory, and returns what it printed."""
    path, output = tmp_path / "program.py", tmp_path / "output"

    def run_to_its_end(script: str, *arguments: str) -> str:
        path.write_text(PREAMBLE + script)
        command = [sys.executable, "-W", "error", str(path), directory, *arguments]
        # Actors that it leaves could hold a pipe open, but not a file.
        with output.open("w") as file:
            ended = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, timeout=2 * PATIENCE_S)
        assert ended.returncode == 0, output.read_text()[-1000:]
        return output.read_text()

    return run_to_its_end


def find_listener(path: str) -> int | None:
    """Tell which process listens at a path, if any."""
    with socket.socket(socket.AF_UNIX) as sock:
        try:
            sock.connect(path)
        except OSError:
            return None
        return int(struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0])


@pytest.fixture(scope="session")
def listener() -> Callable[[str], int | None]:
    """Return a function that tells which process listens at a path, if any."""
    return find_listener


# Attacks.


class Echo(Actor):
    """Sends numbers back, tells its process id, and floods whoever wants it."""

    def receiveMessage(self, message: Any, sender: Any) -> None:  # Thespian's name
        """Handle one message."""
        match message:
            case "pid":
                self.send(sender, os.getpid())
            case int():
                self.send(sender, message)
            case ("flood", messages, size):
                for _ in range(messages):
                    self.send(sender, bytes(size))


class Victim:
    """A process that is attacked, with an innocent customer. Attackers connect by its methods."""

    def __init__(self, system: ActorSystem, echo: Any, address: Any, pid: int, customer: Child) -> None:
        self.system = system
        self.echo = echo
        self.address = address
        self.path: str = address.addressDetails.path
        self.pid = pid
        self._customer = customer

    def counts(self) -> dict[str, int]:
        """What it has refused and dropped, by its own account."""
        status = self.system.ask(self.address, Thespian_StatusReq(), PATIENCE_S)
        return {key.removeprefix("unix "): n for key, n in status.miscKeyVals.items() if key.startswith("unix ")}

    def descriptors(self) -> int:
        """How many files it has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    @contextlib.contextmanager
    def unharmed(self, **refused: int) -> Iterator[None]:
        """Attack it inside: it has answered everybody meanwhile, is as before, and has counted what it refused."""
        self.serve_newcomers()
        counts, rounds = self.counts(), self._customer.ask("how many?")
        descriptors, resident = self.descriptors(), self._resident_bytes()
        self._forget_peak()
        yield
        assert self._customer.ask("how many?") > rounds
        self.serve_newcomers()
        # One more of its own may be there: to the admin, for dead letters.
        wait_until(lambda: self.descriptors() <= descriptors + 2)
        assert self._peak_bytes() - resident < MOST_GROWTH_BYTES
        expected = {f"refused: {why.replace('_', ' ')}": count for why, count in refused.items()}
        new = {key: count - counts.get(key, 0) for key, count in self.counts().items() if key.startswith("refused")}
        assert not refused or {key: count for key, count in new.items() if count} == expected

    def serve_newcomers(self) -> None:
        """Whoever comes now is let in and answered, and actors can be created."""
        with self.system.private() as newcomer:
            assert newcomer.ask(self.echo, 1, PATIENCE_S) == 1
        assert self.system.ask(self.system.createActor(Echo), 2, PATIENCE_S) == 2

    def _resident_bytes(self) -> int:
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * resource.getpagesize()

    def _peak_bytes(self) -> int:
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))

    def _forget_peak(self) -> None:
        # See clear_refs in proc(5).
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    # What attackers do.

    def introduction(self, own_path: str = "/tmp/nowhere") -> bytes:
        """What a member says first."""
        key = directories.key(os.path.dirname(self.path))
        assert key is not None
        return framing.introduce(key, own_path)

    def connect(self) -> socket.socket:
        """Connect as a stranger."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(PATIENCE_S)
        sock.connect(self.path)
        return sock

    def introduced(self, introduction: bytes | None = None, page: int | None = None) -> socket.socket:
        """Connect as a member, or like one; the page is closed."""
        sock, fd = self.connect(), tally.create() if page is None else page
        socket.send_fds(sock, [introduction or self.introduction()], [fd])
        os.close(fd)
        return sock


def _be_a_customer(pipe: Connection, directory: str, echo: Any, address: Any) -> int:
    """Ask the actor and whoever is attacked, again and again; every answer has to come. Tells how often, if asked."""
    system, rounds = attach(directory), 0
    while True:
        breathe()
        assert system.ask(echo, rounds, PATIENCE_S) == rounds
        assert system.ask(address, Thespian_StatusReq(), PATIENCE_S) is not None
        rounds += 1
        if pipe.poll():
            if pipe.recv() == "end":
                system._systemBase.transport.close()
                return rounds
            pipe.send((True, rounds))


@pytest.fixture(params=["actor", "admin"])
def victim(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    start: Callable[..., ActorSystem],
    directory: str,
    in_child: Callable[..., Child],
) -> Iterator[Victim]:
    """Return a running actor or the admin of its system, and keep a customer busy with it."""
    usual = unix.Limits.of
    monkeypatch.setattr(unix.Limits, "of", lambda capabilities: dataclasses.replace(usual(capabilities), **SHORT))
    system = start(SMALL)
    echo = system.createActor(Echo)
    pid, address = system.ask(echo, "pid", PATIENCE_S), echo
    if request.param == "admin":
        address = unix.address(f"{directory}/admin")
        pid = find_listener(address.addressDetails.path)
    customer = in_child(_be_a_customer, directory, echo, address)
    assert customer.ask("how many?") > 0
    yield Victim(system, echo, address, pid, customer)
    assert customer.ask("end") > 0
