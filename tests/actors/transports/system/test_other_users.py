"""Processes of other users: they are refused before anything they send is read, and nothing is sent to them."""

from __future__ import annotations

import contextlib
import os
import pickle
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from thespian.actors import Actor, ActorExitRequest, ActorSystem, DeadEnvelope
from thespian.system.messages.status import Thespian_StatusReq

from nyx_plugins.actors.transports.unix import framing

PATIENCE_S = 100.0
NOBODY = 65534

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")


class Marker:
    """Leaves a folder where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


class Teller(Actor):
    """Tells others what it is told to."""

    def receiveMessage(self, message: Any, sender: Any) -> None:  # Thespian's name
        """Pass on a message, and say so."""
        match message:
            case ("tell", target, content):
                self.send(target, content)
                self.send(sender, "told")
            case "pid":
                self.send(sender, os.getpid())


class Undertaker(Actor):
    """Keeps all dead letters."""

    def __init__(self) -> None:
        super().__init__()
        self._letters: list[Any] = []

    def receiveMessage(self, message: Any, sender: Any) -> None:  # Thespian's name
        """Keep one, or show all."""
        match message:
            case "begin":
                self.handleDeadLetters()
                self.send(sender, "begun")
            case "letters":
                self.send(sender, self._letters)
            case DeadEnvelope():
                self._letters.append(message.deadMessage)


def be_nobody() -> None:
    """Become another user, for good."""
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


@contextlib.contextmanager
def open_door(path: str) -> Iterator[None]:
    """Let everybody into a directory and connect to a socket in it."""
    os.chmod(os.path.dirname(path), 0o777)
    os.chmod(path, 0o666)
    yield
    os.chmod(os.path.dirname(path), 0o700)


def introduce_as_nobody(pipe: Any, victim: Any, data: bytes) -> int:
    """Do all that a member does, as another user; returns how often the other end closed without a word."""
    be_nobody()
    closed = 0
    for _ in range(100):
        with contextlib.suppress(BrokenPipeError, ConnectionResetError), victim.introduced() as sock:
            sock.sendall(data)
            assert sock.recv(1) == b""
        closed += 1
    return closed


def test_another_user_is_refused(victim: Any, in_child: Callable[..., Any], tmp_path: Path) -> None:
    """A process of another user is refused before anything is read, even with the right key at an open door."""
    marker = tmp_path / "unpickled"
    payload = pickle.dumps(Marker(marker))
    data = framing.HEADER.pack(len(payload)) + payload
    with victim.unharmed(another_user=100), open_door(victim.path):
        assert in_child(introduce_as_nobody, victim, data).receive() == 100
    assert not marker.exists()


def take_the_place_of(pipe: Any, path: str) -> list[bytes]:
    """Listen at somebody else's path, as another user; returns what each connection has brought until it was closed."""
    be_nobody()
    os.unlink(path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        os.chmod(path, 0o777)
        listener.listen()
        pipe.send((True, "there"))
        pipe.recv()
        listener.settimeout(0)
        brought = []
        with contextlib.suppress(BlockingIOError):
            while True:
                brought.append(everything(listener.accept()[0]))
        return brought


def everything(sock: socket.socket) -> bytes:
    """Read until the other end has closed."""
    sock.settimeout(PATIENCE_S)
    with sock, sock.makefile("rb") as file:
        return file.read()


def test_an_impostor_gets_nothing(
    start: Callable[..., ActorSystem], directory: str, in_child: Callable[..., Any], eventually: Callable[..., None]
) -> None:
    """What is sent to a path at which another user listens now is a dead letter, and not a byte goes there.

    Those who were connected before go on talking with the actor.
    """
    system = start()
    undertaker, teller, victim = (system.createActor(kind) for kind in (Undertaker, Teller, Teller))
    assert system.ask(undertaker, "begin", PATIENCE_S) == "begun"
    path, pid = victim.addressDetails.path, system.ask(victim, "pid", PATIENCE_S)
    with open_door(path):
        impostor = in_child(take_the_place_of, path)
        assert impostor.receive() == "there"
        for number in range(10):
            assert system.ask(teller, ("tell", victim, number), PATIENCE_S) == "told"
        with system.private() as program:
            assert program.ask(victim, 10, PATIENCE_S) is None
        letters = set(range(11))
        eventually(lambda: set(system.ask(undertaker, "letters", PATIENCE_S)) == letters)
        assert impostor.ask("what?") == 11 * [b""]
    assert len(system.ask(undertaker, "letters", PATIENCE_S)) == 11
    assert system.ask(victim, "pid", PATIENCE_S) == pid
    system.tell(victim, ActorExitRequest())
    status = system.ask(teller, Thespian_StatusReq(), PATIENCE_S)
    assert status.miscKeyVals["unix refused: another user listens"] == 10
