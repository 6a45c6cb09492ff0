"""Programs that take part in a system: several at once, those that are kept out, and those that fork."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from typing import Any

from thespian.actors import Actor, ActorAddress, ActorSystem, DeadEnvelope

from nyx_plugins.actors.transports import unix

PATIENCE_S = 100.0


class Teller(Actor):
    """Tells who it is, and others what it is told to."""

    def receiveMessage(self, message: Any, sender: Any) -> None:  # Thespian's name
        """Handle one message."""
        match message:
            case "pid":
                self.send(sender, os.getpid())
            case ("tell", target, content):
                self.send(target, content)
                self.send(sender, "told")


class Undertaker(Actor):
    """Tells whoever asked for it about each dead letter."""

    def receiveMessage(self, message: Any, sender: Any) -> None:  # Thespian's name
        """Begin, or pass on a letter."""
        match message:
            case "begin":
                self._requester = sender
                self.handleDeadLetters()
                self.send(sender, "begun")
            case DeadEnvelope():
                self.send(self._requester, message.deadMessage)


def test_two_programs_share_a_system(
    start: Callable[..., ActorSystem], directory: str, run: Callable[..., str]
) -> None:
    """A second program finds the actors of the first by the key in the directory, and leaves nothing when it ends."""
    system = start()
    echo = system.createActor("nyx_plugins.load_tests.transports.actors.Echo", globalName="shared")
    assert system.ask(echo, b"first", PATIENCE_S) == b"first"
    before = set(os.listdir(directory))
    script = """
system = attach()
echo = system.createActor(Echo, globalName="shared")
assert system.ask(echo, b"second", 20) == b"second"
print(echo)
"""
    assert run(script) == f"{echo}\n"
    assert set(os.listdir(directory)) == before
    assert system.ask(echo, b"third", PATIENCE_S) == b"third"


def start_at_a_signal(pipe: Any, attached: Callable[..., ActorSystem], directory: str) -> bool:
    """Start or join a system, use it, stay until told otherwise."""
    pipe.recv()
    system = attached(directory)
    pipe.send((True, system.ask(system.createActor(Teller), "pid", PATIENCE_S)))
    pipe.recv()
    system._systemBase.transport.close()
    return True


def test_programs_that_start_at_the_same_time_share_a_system(
    start: Callable[..., ActorSystem],
    attached: Callable[..., ActorSystem],
    in_child: Callable[..., Any],
    directory: str,
) -> None:
    """Of several programs that find no system in a directory one starts it, and the others use that one."""
    programs = [in_child(start_at_a_signal, attached, directory) for _ in range(3)]
    for program in programs:
        program.pipe.send("start")
    answers = [program.receive() for program in programs]
    assert all(isinstance(answer, int) for answer in answers)
    assert all(program.ask("end") for program in programs)
    # Shuts it down at the end.
    assert isinstance(start().createActor(Teller), ActorAddress)


def test_a_private_system_is_shared_with_nobody(
    start: Callable[..., ActorSystem], directory: str, run: Callable[..., str]
) -> None:
    """Without a key in the directory no other program gets in, nor does it harm those who are."""
    system = start({unix.PRIVATE_CAPABILITY: True})
    assert "key" not in os.listdir(directory)
    script = """
import datetime
import thespian.system.systemBase
from thespian.actors import InvalidActorAddress
# How long it tries; else ten seconds.
thespian.system.systemBase.MAX_SYSTEM_SHUTDOWN_DELAY = datetime.timedelta(0)
try:
    attach()
except InvalidActorAddress as error:
    print("kept out")
"""
    assert run(script) == "kept out\n"
    assert isinstance(system.ask(system.createActor(Teller), "pid", PATIENCE_S), int)


def take_part(pipe: Any, attached: Callable[..., ActorSystem], directory: str) -> Any:
    """Join a system and use it."""
    system = attached(directory)
    answer = system.ask(system.createActor(Teller), "pid", PATIENCE_S)
    system._systemBase.transport.close()
    return answer


def test_a_fork_takes_part_in_a_private_system(
    start: Callable[..., ActorSystem],
    attached: Callable[..., ActorSystem],
    in_child: Callable[..., Any],
    directory: str,
) -> None:
    """A process that was forked from one that knows the key knows it too."""
    start({unix.PRIVATE_CAPABILITY: True})
    assert isinstance(in_child(take_part, attached, directory).receive(), int)


# Forks of a program.


def test_the_end_of_a_fork_harms_nothing(start: Callable[..., ActorSystem], run: Callable[..., str]) -> None:
    """A program that forks goes on as before, while the fork is there and after it has ended in the usual way."""
    start()
    script = """
import gc
system = attach()
echo = system.createActor(Echo)
assert system.ask(echo, b"1", 20) == b"1"
before = set(os.listdir(sys.argv[1]))
reading, writing = os.pipe()
fork = os.fork()
if fork == 0:
    os.close(writing)
    os.read(reading, 1)
    del system
    gc.collect()
    sys.exit()
os.close(reading)
assert system.ask(echo, b"2", 20) == b"2"
os.close(writing)
assert os.waitpid(fork, 0)[1] == 0
assert set(os.listdir(sys.argv[1])) == before
assert system.ask(echo, b"3", 20) == b"3"
with system.private() as other:
    assert other.ask(echo, b"4", 20) == b"4"
"""
    assert run(script) == ""


def connect_and_fork(
    pipe: Any, attached: Callable[..., ActorSystem], directory: str, teller: Any, end_of_fork: tuple[int, int]
) -> None:
    """Use an actor, then fork; both stay. Tells which of its sockets the fork has, and its own address."""
    system = attached(directory)
    assert isinstance(system.ask(teller, "pid", PATIENCE_S), int)
    mine = {links(fd) for fd in system._systemBase.transport.protectedFileNumList()}
    if os.fork() == 0:
        shared = {link for link in map(links, os.listdir("/proc/self/fd")) if link in mine and "socket" in link}
        pipe.send((True, (sorted(link for link in mine if "socket" in link), sorted(shared))))
        os.close(end_of_fork[1])
        os.read(end_of_fork[0], 1)
        os._exit(0)
    pipe.send((True, system._systemBase.transport.myAddress))
    signal.pause()


def links(fd: Any) -> str:
    """Tell what a descriptor is."""
    with contextlib.suppress(OSError):
        return os.readlink(f"/proc/self/fd/{fd}")
    return "closed"


def test_a_fork_does_not_hide_the_end_of_a_program(
    start: Callable[..., ActorSystem],
    attached: Callable[..., ActorSystem],
    in_child: Callable[..., Any],
    directory: str,
) -> None:
    """A fork has none of the sockets: when the program is killed and its fork lives on, its peers know at once."""
    system = start()
    teller, undertaker = system.createActor(Teller), system.createActor(Undertaker)
    assert system.ask(undertaker, "begin", PATIENCE_S) == "begun"
    end_of_fork = os.pipe()
    program = in_child(connect_and_fork, attached, directory, teller, end_of_fork)
    said = [program.receive(), program.receive()]
    address = next(each for each in said if not isinstance(each, tuple))
    sockets, shared = next(each for each in said if isinstance(each, tuple))
    assert len(sockets) >= 3
    assert shared == []
    program.end()
    system.tell(teller, ("tell", address, "lost"))
    assert {system.listen(PATIENCE_S), system.listen(PATIENCE_S)} == {"told", "lost"}
    for fd in end_of_fork:
        os.close(fd)
    assert isinstance(system.ask(teller, "pid", PATIENCE_S), int)
