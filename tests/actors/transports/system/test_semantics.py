"""What becomes of messages: sizes, order, floods, and receivers that are killed."""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import hashlib
import os
import pickle
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from thespian.actors import Actor, ActorSystem, ChildActorExited, DeadEnvelope, PoisonMessage

from nyx_plugins.actors.transports import unix
from nyx_plugins.actors.transports.unix import members

PATIENCE_S = 100.0
MIB = 1 << 20
MOST_GROWTH_BYTES = 8 * MIB


class Echo(Actor):
    """Sends back what it gets; sends too much if it is told to, and tells what became of it."""

    def receiveMessage(self, message: Any, sender: Any) -> None:  # Thespian's name
        """Handle one message."""
        match message:
            case "pid":
                self.send(sender, os.getpid())
            case bytes():
                self.send(sender, message)
            case "crash":
                # Else it would write a traceback into pytest's own report.
                faulthandler.disable()
                ctypes.string_at(0)
            case ("send", size):
                self._requester = sender
                self.send(sender, bytes(size))
            case ("present yourself", requester):
                self.send(requester, (os.getpid(), self.myAddress))
            case PoisonMessage():
                self.send(self._requester, (len(message.poisonMessage), message.details))


class Sender(Actor):
    """Sends numbered messages of its own."""

    def receiveMessage(self, message: Any, sender: Any) -> None:  # Thespian's name
        """Send so many to each target, in turn; say so when all are on their way."""
        match message:
            case "pid":
                self.send(sender, os.getpid())
            case (name, messages, size, *targets):
                for number in range(messages):
                    for target in targets:
                        self.send(target, (name, number, bytes(size)))
                self.send(sender, "sent")


class Receiver(Actor):
    """Counts numbered messages, and those that are out of order; takes its time over each if it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self._work = b""
        self._expected: Counter[str] = Counter()
        self._out_of_order = 0

    def receiveMessage(self, message: Any, sender: Any) -> None:  # Thespian's name
        """Take one message, or tell about all."""
        match message:
            case "pid":
                self.send(sender, os.getpid())
            case "be slow":
                self._work = bytes(64 * 1024)
                self.send(sender, "slow")
            case "how many?":
                self.send(sender, (dict(self._expected), self._out_of_order))
            case (name, number, bytes()):
                hashlib.sha256(self._work)
                self._out_of_order += number != self._expected[name]
                self._expected[name] += 1


class Stuck(Actor):
    """Notes each number that it is sent in a file, and is stuck at one of them."""

    def receiveMessage(self, message: Any, sender: Any) -> None:  # Thespian's name
        """Take one message."""
        match message:
            case ("note", path, last):
                self._notes, self._last = os.open(path, os.O_WRONLY | os.O_APPEND), last
                self.send(sender, os.getpid())
            case (name, number, bytes()):
                os.write(self._notes, f"{name} {number}\n".encode())
                while number == self._last:
                    signal.pause()


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
            case "how many?":
                self.send(sender, len(self._letters))
            case "letters":
                self.send(sender, self._letters)
            case DeadEnvelope(deadMessage=(name, number, bytes())):
                self._letters.append((name, number))


class Parent(Actor):
    """Has children, and tells who asked for them when one has ended."""

    def receiveMessage(self, message: Any, sender: Any) -> None:  # Thespian's name
        """Create one, or report its end."""
        match message:
            case "create":
                self._requester = sender
                self.send(self.createActor(Echo), ("present yourself", sender))
            case ("create", children):
                self._requester = sender
                for _ in range(children):
                    self.send(self.createActor(Echo), ("present yourself", sender))
            case ChildActorExited():
                self.send(self._requester, message.childAddress)


class Introducer(Actor):
    """Tells one child of another that never comes up, and then something else."""

    def receiveMessage(self, message: Any, sender: Any) -> None:  # Thespian's name
        """Create both; pass on what the one has got."""
        match message:
            case "introduce":
                self._requester = sender
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(members, "start_actor", lambda *_: os._exit(0))
                    stillborn = self.createActor(Echo)
                listener = self.createActor(Listener)
                self.send(listener, ("of another", stillborn))
                self.send(listener, ("of nobody", None))
            case ("heard", heard):
                self.send(self._requester, heard)


class Listener(Actor):
    """Tells what it has heard, and in which order."""

    def __init__(self) -> None:
        super().__init__()
        self._heard: list[str] = []

    def receiveMessage(self, message: Any, sender: Any) -> None:  # Thespian's name
        """Note what comes."""
        match message:
            case (str(about), _):
                self._heard.append(about)
                if about == "of nobody":
                    self.send(sender, ("heard", self._heard))


# Sizes.


def test_large_messages_pass_both_ways(start: Callable[..., ActorSystem]) -> None:
    """64 MiB go to an actor and come back as they were."""
    system = start()
    content = os.urandom(MIB) * 64
    assert system.ask(system.createActor(Echo), content, PATIENCE_S) == content


def test_the_largest_message_passes(start: Callable[..., ActorSystem]) -> None:
    """A message that is exactly as large, pickled, as is allowed passes."""
    system = start({unix.MESSAGE_CAPABILITY: MIB})
    overhead = len(pickle.dumps(bytes(MIB), pickle.HIGHEST_PROTOCOL)) - MIB
    content = bytes(MIB - overhead)
    assert system.ask(system.createActor(Echo), content, PATIENCE_S) == content


def test_a_message_above_the_limit_is_refused_where_it_is_sent(start: Callable[..., ActorSystem]) -> None:
    """A program that sends too much is told the size and the limit, and nothing is sent."""
    system = start({unix.MESSAGE_CAPABILITY: MIB})
    echo = system.createActor(Echo)
    size = len(pickle.dumps(bytes(2 * MIB), pickle.HIGHEST_PROTOCOL))
    for send in (system.tell, lambda target, message: system.ask(target, message, PATIENCE_S)):
        with pytest.raises(unix.MessageTooLarge, match=f"{size:,} bytes.*{MIB:,}") as caught:
            send(echo, bytes(2 * MIB))
        assert caught.value.target == echo
    assert system.ask(echo, b"next", PATIENCE_S) == b"next"


def test_an_actor_gets_its_too_large_message_back(start: Callable[..., ActorSystem]) -> None:
    """An actor that sends too much gets it back as a PoisonMessage that says why, and goes on."""
    system = start({unix.MESSAGE_CAPABILITY: MIB})
    echo = system.createActor(Echo)
    size, details = system.ask(echo, ("send", 2 * MIB), PATIENCE_S)
    assert size == 2 * MIB
    assert "MessageTooLarge" in details
    assert f"{MIB:,}" in details
    assert system.ask(echo, b"next", PATIENCE_S) == b"next"


# Order and number.


def test_a_message_about_a_child_that_is_not_up_keeps_its_place(start: Callable[..., ActorSystem]) -> None:
    """It comes before what is sent after it, and although that child never does."""
    system = start()
    introducer = system.createActor(Introducer)
    assert system.ask(introducer, "introduce", PATIENCE_S) == ["of another", "of nobody"]


def test_every_message_comes_once_and_in_order(
    start: Callable[..., ActorSystem], eventually: Callable[..., None]
) -> None:
    """20,000 messages of four senders to a fast and a slow receiver all come, once, and each sender's in order."""
    system = start()
    fast, slow = system.createActor(Receiver), system.createActor(Receiver)
    assert system.ask(slow, "be slow", PATIENCE_S) == "slow"
    names = {name: system.createActor(Sender) for name in "abcd"}
    for name, sender in names.items():
        system.tell(sender, (name, 2_500, 100, fast, slow))
    assert [system.listen(PATIENCE_S) for _ in names] == 4 * ["sent"]
    complete = (dict.fromkeys(names, 2_500), 0)
    for receiver in (fast, slow):
        eventually(lambda receiver=receiver: total(system, receiver) >= 10_000)
        assert system.ask(receiver, "how many?", PATIENCE_S) == complete


def total(system: ActorSystem, receiver: Any) -> int:
    """Tell how many messages a receiver has got."""
    counts, _ = system.ask(receiver, "how many?", PATIENCE_S)
    return sum(counts.values())


@pytest.mark.parametrize(("messages", "size"), [(6_000, 4096), (10_000, 0)], ids=["4 KiB each", "tiny"])
def test_a_flood_costs_time_and_no_memory(
    start: Callable[..., ActorSystem], eventually: Callable[..., None], messages: int, size: int
) -> None:
    """A sender that floods a slow receiver waits; neither of them grows, and nothing is lost."""
    system = start()
    sender, receiver = system.createActor(Sender), system.createActor(Receiver)
    assert system.ask(receiver, "be slow", PATIENCE_S) == "slow"
    processes = [system.ask(actor, "pid", PATIENCE_S) for actor in (sender, receiver)]
    before = [peak_bytes(pid) for pid in processes]
    assert system.ask(sender, ("a", messages, size, receiver), 2 * PATIENCE_S) == "sent"
    eventually(lambda: total(system, receiver) >= messages)
    assert system.ask(receiver, "how many?", PATIENCE_S) == ({"a": messages}, 0)
    growth = [peak_bytes(pid) - peak for pid, peak in zip(processes, before, strict=True)]
    assert max(growth) < MOST_GROWTH_BYTES


def peak_bytes(pid: int) -> int:
    """Tell how much memory a process has had at most."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


# Receivers that are killed.


@pytest.mark.parametrize("messages", [100, 5_000], ids=["few", "more than may wait"])
def test_messages_for_a_killed_actor_are_handled_or_dead_letters(
    start: Callable[..., ActorSystem], eventually: Callable[..., None], tmp_path: Path, messages: int
) -> None:
    """Of what two actors and a program send to an actor that is killed in a handler nothing is lost or doubled."""
    system, notes = start(), tmp_path / "notes"
    notes.touch()
    stuck, undertaker = system.createActor(Stuck), system.createActor(Undertaker)
    assert system.ask(undertaker, "begin", PATIENCE_S) == "begun"
    pid = system.ask(stuck, ("note", str(notes), 50), PATIENCE_S)
    for number in range(20):
        system.tell(stuck, ("program", number, b""))
    for name in ("a", "b"):
        system.tell(system.createActor(Sender), (name, messages, 10, stuck))
    eventually(lambda: " 50\n" in notes.read_text())
    for number in range(20, 40):
        system.tell(stuck, ("program", number, b""))
    os.kill(pid, signal.SIGKILL)
    for number in range(40, 60):
        system.tell(stuck, ("program", number, b""))
    assert [system.listen(PATIENCE_S) for _ in range(2)] == 2 * ["sent"]
    sent = Counter(("program", number) for number in range(60))
    sent.update((name, number) for name in ("a", "b") for number in range(messages))
    handled = Counter((line.split()[0], int(line.split()[1])) for line in notes.read_text().splitlines())
    with contextlib.suppress(AssertionError):
        # What is missing is told below.
        eventually(lambda: system.ask(undertaker, "how many?", PATIENCE_S) >= (sent - handled).total())
    outcome = handled + Counter(system.ask(undertaker, "letters", PATIENCE_S))
    assert (sorted(sent - outcome), sorted(outcome - sent)) == ([], [])


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGTERM])
def test_the_end_of_a_child_is_told_at_once(
    start: Callable[..., ActorSystem], eventually: Callable[..., None], signal_number: int
) -> None:
    """However a child ends, its parent gets a ChildActorExited, and its socket is gone."""
    system = start()
    pid, address = system.ask(system.createActor(Parent), "create", PATIENCE_S)
    assert os.path.exists(address.addressDetails.path)
    os.kill(pid, signal_number)
    exited = system.listen(PATIENCE_S)
    assert exited == address
    eventually(lambda: not os.path.exists(address.addressDetails.path))


def test_the_end_of_each_child_is_told(start: Callable[..., ActorSystem]) -> None:
    """However many children are killed in a short time, their parent gets a ChildActorExited of each."""
    system = start()
    system.tell(system.createActor(Parent), ("create", 100))
    children = [system.listen(PATIENCE_S) for _ in range(100)]
    for pid, _ in children:
        os.kill(pid, signal.SIGKILL)
    exited = [system.listen(PATIENCE_S) for _ in children]
    assert {str(address) for address in exited} == {str(address) for _, address in children}


def test_an_actor_that_crashes_has_ended(start: Callable[..., ActorSystem]) -> None:
    """An actor that has a segmentation fault ends as one that was killed, and its parent is told."""
    system = start()
    parent = system.createActor(Parent)
    _, address = system.ask(parent, "create", PATIENCE_S)
    system.tell(address, "crash")
    assert system.listen(PATIENCE_S) == address


def test_a_killed_actor_of_the_admin_leaves_no_socket(
    start: Callable[..., ActorSystem], eventually: Callable[..., None]
) -> None:
    """The admin removes the sockets of its own children that were killed."""
    system = start()
    echo = system.createActor(Echo)
    os.kill(system.ask(echo, "pid", PATIENCE_S), signal.SIGKILL)
    eventually(lambda: not os.path.exists(echo.addressDetails.path))
    assert system.ask(echo, "pid", PATIENCE_S) is None
