"""The simulated door: what actors find in place of ``ActorProcess``'s ways out, and what the kernel does for them."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

from nyx_plugins.actors import inheritance, journal
from nyx_plugins.actors._thespian import ActorProcess
from nyx_plugins.actors.dead_letters import DeadLetters
from nyx_plugins.actors.journal import Journal
from nyx_plugins.actors.ring_file import Pages

from .world import EXIT, Address, Alarm, Process, World

_ACTORS = "nyx_plugins.actors"


class Door:
    """Mixed into an actor class, in front of it."""

    world: World
    process: Process
    descriptors: dict[int, Callable[[int], None]]

    @property
    def myAddress(self) -> Address:  # Thespian's name
        """Where this actor is reached."""
        return self.process.address

    def send(self, target: Address, message: Any) -> None:
        """Put a message on the wire."""
        self.world.post(self.process, target, message)

    def create(self, actor: type[ActorProcess]) -> Address:
        """Start a child."""
        self.world.effect()
        self._last_child = start_actor(self.world, actor, self.process.pid)
        return self._last_child.address

    def pid_of_last_child(self) -> int:
        """Return the process id of the child created last."""
        return self._last_child.pid

    def stop_child(self, child: Address) -> None:
        """Ask a child to end."""
        self.world.post(self.process, child, EXIT)

    def stop_self(self) -> None:
        """End after the present message."""
        self.world.post(self.process, self.process.address, EXIT)

    def alarm(self, name: object, after_s: float) -> None:
        """Set an alarm."""
        self.world.set_alarm(self.process, name, after_s)

    def cancel_alarm(self, name: object) -> None:
        """Forget an alarm."""
        self.world.cancel_alarm(self.process, name)

    def watch(self, fd: int, watcher: Callable[[int], None], events: int = 1) -> None:
        """Remember whom to call."""
        self.descriptors[fd] = watcher

        def ready() -> None:
            if self.descriptors.get(fd) is watcher:
                watcher(events)

        self.world.watch(self.process, fd, ready)

    def unwatch(self, fd: int) -> None:
        """Forget it."""
        self.descriptors.pop(fd, None)

    is_host_gone = False

    def end_with_host(self, host_pid: int, whole_group: bool = False) -> None:
        """The host does not end here."""


@cache
def _behind_door(actor: type[ActorProcess]) -> type[Any]:
    return type(actor.__name__, (Door, actor), {})


def start_actor(world: World, kind: type[ActorProcess], parent: int = 0) -> Process:
    """Start an actor in a simulated process."""
    actor = _behind_door(kind)()  # type: ignore[arg-type]  # classes are hashable, which mypy does not see
    actor.world, actor.descriptors = world, {}
    role = kind.__name__.lower().removesuffix("actor")

    def take(message: Any, sender: Address) -> None:
        if isinstance(message, Alarm):
            actor.on_alarm(message.name)
        else:
            actor.receive(message, sender)

    process = actor.process = world.start(role, take, parent)
    process.actor = actor
    process.on_exit = actor.on_exit
    process.on_child_exit = actor.on_child_exit
    process.on_killed = lambda: _let_go(actor)
    return process


def _let_go(actor: Any) -> None:
    """What the kernel closes when an actor is killed."""
    for close in actor.process.held:
        with contextlib.suppress(BufferError, ValueError):
            close()
    rows = getattr(actor, "_rows", None)
    if rows is not None:
        rows.close()


@contextlib.contextmanager
def kernel_of(world: World, replaced: dict[str, Any]) -> Iterator[None]:
    """Let the world's clock, dice and kernel stand for the machine's; names of the actors' package are replaced."""
    sessions = itertools.count(1)
    state = random.getstate()
    random.seed(world.random.getrandbits(32))
    with contextlib.ExitStack() as stack:
        patch = stack.enter_context
        patch(mock.patch.object(time, "monotonic", lambda: world.now))
        patch(mock.patch.object(time, "time", world.wall_clock))
        patch(mock.patch.object(time, "sleep", world.sleep))
        patch(mock.patch.object(DeadLetters, "_take_lock", _closed_by_kernel(world, DeadLetters._take_lock)))
        patch(mock.patch.object(Journal, "__init__", _noted(world, _closed_by_kernel(world, Journal.__init__))))
        patch(mock.patch.object(inheritance, "boot_id", lambda: f"boot {world.boots}"))
        patch(mock.patch.object(journal, "_write", _cut_short(world, journal._write)))
        patch(mock.patch.object(DeadLetters, "_say", lambda *_: None))
        patch(mock.patch.object(inheritance, "claim", _held(world, inheritance.claim)))
        patch(mock.patch.object(secrets, "randbits", lambda _: 2 * next(sessions)))
        patch(mock.patch.object(os, "pidfd_open", lambda pid, flags=0: world.open_pidfd(pid)))
        patch(mock.patch.object(os, "close", world.close))
        patch(mock.patch.object(os, "kill", world.kill_pid))
        patch(mock.patch.object(Pages, "store", _with_effect(world, Pages.store)))
        patch(mock.patch.object(Pages, "put", _torn(world, Pages.put)))
        for name, value in replaced.items():
            for module in [module for key, module in sys.modules.items() if key.startswith(_ACTORS)]:
                if name in vars(module):
                    patch(mock.patch.object(module, name, value))
        yield
    random.setstate(state)


def _closed_by_kernel(world: World, method: Callable[..., None]) -> Callable[..., None]:
    """A file or a lock that its process does not close is closed with its end."""

    def opening(holder: Any, *args: Any) -> None:
        if world.current is not None:
            world.current.held.append(holder.close)
        method(holder, *args)

    return opening


def _held(world: World, claim: Callable[[Path], int]) -> Callable[[Path], int]:
    """A lock goes with the process that has it."""

    def call(folder: Path) -> int:
        descriptor = claim(folder)
        world.hold(descriptor)
        return descriptor

    return call


def _noted(world: World, method: Callable[..., None]) -> Callable[..., None]:
    """How much of a journal is on the disk is known to whoever has opened it last."""

    def opening(journal: Journal, path: str, *args: Any) -> None:
        world.journals[path] = journal
        method(journal, path, *args)

    return opening


def lose_what_is_not_synced(world: World) -> None:
    """The machine ends: of what was written into a journal since it was synced, a part may be there."""
    world.boots += 1
    for path, kept in world.journals.items():
        if kept._durable and os.path.exists(path) and (size := os.path.getsize(path)) > kept._synced:
            os.truncate(path, world.random.randint(kept._synced, size))
    world.journals.clear()


def _with_effect(world: World, method: Callable[..., None]) -> Callable[..., None]:
    def store(*args: Any) -> None:
        world.effect()
        method(*args)

    return store


def _cut_short(world: World, write: Callable[..., None]) -> Callable[..., None]:
    """Of what a killed process writes into a journal, the first part may be there."""

    def call(descriptor: int, data: bytes, at: int) -> None:
        process = world.current
        if process is not None and process.bomb == 1:
            write(descriptor, data[: world.random.randint(0, len(data))], at)
        world.effect()
        write(descriptor, data, at)

    return call


def _torn(world: World, method: Callable[..., None]) -> Callable[..., None]:
    """A store that is no single instruction may be half done when its process is killed."""

    def put(pages: Pages, offset: int, data: bytes) -> None:
        process = world.current
        if process is not None and process.bomb == 1:
            method(pages, offset, data[: world.random.randint(0, len(data))])
        world.effect()
        method(pages, offset, data)

    return put
