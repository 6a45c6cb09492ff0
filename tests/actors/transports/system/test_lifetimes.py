"""Beginnings and ends of systems, of their admins and loggers, and of many actors."""

from __future__ import annotations

import logging
import os
import select
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from thespian.actors import Actor, ActorSystem, ActorSystemStartupFailure

from nyx_plugins.actors.processes import descendants
from nyx_plugins.actors.transports import unix
from nyx_plugins.actors.transports.unix import transport
from nyx_plugins.actors.transports.unix.endpoint import UnixEndpoint

PATIENCE_S = 100.0


class Parent(Actor):
    """Has children on demand, tells who it is, and logs."""

    def receiveMessage(self, message: Any, sender: Any) -> None:  # Thespian's name
        """Handle one message."""
        match message:
            case "pid":
                self.send(sender, os.getpid())
            case ("descend", generations, requester):
                if generations:
                    self.send(self.createActor(Parent), ("descend", generations - 1, requester))
                else:
                    self.send(requester, os.getpid())
            case ("have", children):
                for _ in range(children):
                    self.createActor(Parent)
            case ("log", text):
                logging.getLogger("actor").error(text)
                self.send(sender, "logged")


def here(system: ActorSystem) -> Any:
    """Return the address of this program."""
    return system._systemBase.transport.myAddress


# The end.


def test_shutdown_leaves_nothing(
    start: Callable[..., ActorSystem], directory: str, eventually: Callable[..., None]
) -> None:
    """After a shutdown there is no socket, no key, no lock and no folder."""
    system = start()
    parent = system.createActor(Parent)
    assert isinstance(system.ask(parent, ("descend", 3, here(system)), PATIENCE_S), int)
    with system.private() as program:
        assert isinstance(program.ask(parent, "pid", PATIENCE_S), int)
    system.shutdown()
    eventually(lambda: not os.path.exists(directory))


def test_a_shutdown_ends_what_is_just_being_born(
    start: Callable[..., ActorSystem], directory: str, eventually: Callable[..., None]
) -> None:
    """No actor is forgotten whose parent is told to end before it has come up."""
    system = start()
    for _ in range(5):
        system.tell(system.createActor(Parent), ("have", 20))
    system.shutdown()
    eventually(lambda: not os.path.exists(directory))


def test_shutdown_waits_for_a_slow_logger(
    start: Callable[..., ActorSystem], directory: str, eventually: Callable[..., None], listener: Callable[[str], int]
) -> None:
    """Nothing is left either if the logger takes its time to end."""
    system = start()
    admin, logger = listener(f"{directory}/admin"), listener(f"{directory}/logger")
    ended = os.pidfd_open(admin)
    os.kill(logger, signal.SIGSTOP)
    shutting_down = threading.Thread(target=system.shutdown)
    shutting_down.start()
    # Long enough for an admin that does not wait.
    select.select([ended], [], [], 0.5)
    os.close(ended)
    os.kill(logger, signal.SIGCONT)
    shutting_down.join()
    eventually(lambda: not os.path.exists(directory))


def test_an_actor_whose_socket_was_removed_ends_too(start: Callable[..., ActorSystem]) -> None:
    """A shutdown also ends an actor that nobody can connect to any more."""
    system = start()
    parent = system.createActor(Parent)
    system.ask(parent, "pid", PATIENCE_S)
    os.unlink(parent.addressDetails.path)
    system.shutdown()


def start_and_tell(pipe: Any, attached: Callable[..., ActorSystem], directory: str) -> None:
    """Start a system with three generations of actors, and stay."""
    system = attached(directory)
    assert system.ask(system.createActor(Parent), "pid", PATIENCE_S)
    parent = system.createActor(Parent)
    pipe.send((True, system.ask(parent, ("descend", 3, here(system)), PATIENCE_S)))
    signal.pause()


def test_a_system_starts_where_everybody_was_killed(
    start: Callable[..., ActorSystem],
    attached: Callable[..., ActorSystem],
    in_child: Callable[..., Any],
    directory: str,
    eventually: Callable[..., None],
    listener: Callable[[str], int | None],
) -> None:
    """Stale sockets, a stale key and a stale lock don't hinder a new system, and are gone with it."""
    before = set(descendants(os.getpid()))
    first = in_child(start_and_tell, attached, directory)
    first.receive()
    killed = [pid for pid in descendants(os.getpid()) if pid not in before]
    for pid in killed:
        os.kill(pid, signal.SIGSTOP)
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: listener(f"{directory}/admin") is None)
    assert len(killed) == 8
    assert len(os.listdir(directory)) == 10
    system = start()
    assert isinstance(system.ask(system.createActor(Parent), "pid", PATIENCE_S), int)


# A second admin.


def be_an_admin(pipe: Any, directory: str) -> str:
    """Start as an admin does; returns what is said against it."""
    address = unix.address(f"{directory}/admin")
    endpoint = UnixEndpoint(None, "admin", address, address, directory, os.urandom(32), True, unix.Limits())
    with pytest.raises(ActorSystemStartupFailure) as caught:
        unix.UnixTransport(endpoint)
    return str(caught.value)


def test_a_second_admin_is_refused(
    start: Callable[..., ActorSystem],
    in_child: Callable[..., Any],
    directory: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An admin that starts where one lives gives up, and the one that lives notices nothing."""
    system = start()
    key = Path(directory, "key").read_bytes()
    monkeypatch.setattr(transport, "_PREDECESSOR_S", 0.1)
    assert "running already" in in_child(be_an_admin, directory).receive()
    assert Path(directory, "key").read_bytes() == key
    assert isinstance(system.ask(system.createActor(Parent), "pid", PATIENCE_S), int)


# The logger.


def test_a_killed_logger_comes_back(
    start: Callable[..., ActorSystem],
    directory: str,
    tmp_path: Path,
    eventually: Callable[..., None],
    listener: Callable[[str], int],
) -> None:
    """However often the logger is killed: what actors log arrives at the next one, and actors can be created."""
    log = tmp_path / "log"
    handler = {"class": "logging.FileHandler", "filename": str(log)}
    system = start(log={"version": 1, "handlers": {"file": handler}, "root": {"handlers": ["file"], "level": "ERROR"}})
    actor = system.createActor(Parent)
    for life in range(5):
        old = listener(f"{directory}/logger")
        os.kill(old, signal.SIGKILL)
        eventually(lambda old=old: listener(f"{directory}/logger") not in (None, old))
        for name, each in (("old", actor), ("new", system.createActor(Parent))):
            assert system.ask(each, ("log", f"{life} {name}"), PATIENCE_S) == "logged"
            eventually(lambda line=f"{life} {name}\n": line in log.read_text())


# Other ways to start, and how many.


def test_spawned_processes_make_a_system_too(run: Callable[..., str]) -> None:
    """With the start method 'spawn' actors, their children and a shutdown work."""
    script = """
if __name__ == "__main__":
    system = attach(**{"Process Startup Method": "spawn"})
    assert system.ask(system.createActor(Echo), b"hello", 20) == b"hello"
    assert system.ask(system.createActor(Crowd), CreateMany(2), 20) == 2
    system.shutdown()
"""
    assert run(script) == ""


@pytest.mark.parametrize("hard", [4096, 256])
def test_three_hundred_children_need_no_higher_limit(run: Callable[..., str], hard: int) -> None:
    """An actor has more children than a program may have open files, whether or not that limit can be raised."""
    script = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (256, int(sys.argv[2])))
system = attach()
assert system.ask(system.createActor(Crowd), CreateMany(300), 40) == 300
assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 256
system.shutdown()
"""
    assert run(script, str(hard)) == ""
