"""The typed door to Thespian: nothing else outside ``transports/`` imports it.

What Thespian does that its users would trip over is mended here, once:

* it calls ``receiveMessage`` again when it raises: no exception leaves an :class:`ActorProcess`;
* it forgets a watch unless every call returns it, and reports readability only: one epoll descriptor holds all.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import traceback
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeAlias

from thespian.actors import (
    Actor,
    ActorAddress,
    ActorExitRequest,
    ChildActorExited,
    DeadEnvelope,
    PoisonMessage,
    ThespianWatch,
    WakeupMessage,
    WatchMessage,
)
from thespian.system import utilis

from .processes import ACTOR_PREFIX, await_children, name_process

Address: TypeAlias = Any
"""Where an actor or a session can be reached; opaque, not hashable, comparable with ``==``."""

Watcher: TypeAlias = Callable[[int], None]

# How long the root waits for its children once the host process is gone, in seconds.
CHILDREN_S = 2.0
RUN_ALL = "nyx_run_all"
"""Attribute of a system base in which all actors share a process: lets them handle what is under way."""

_FROM_THESPIAN = frozenset(
    {WatchMessage, WakeupMessage, ChildActorExited, ActorExitRequest, PoisonMessage, DeadEnvelope}
)


class Wakeups:
    """Named alarms of one actor: setting one again under the same name replaces it."""

    def __init__(self) -> None:
        self._current: dict[object, int] = {}
        self._count = 0

    def set(self, name: object) -> tuple[object, int]:
        """Return the payload to give to Thespian for the alarm ``name``."""
        self._count += 1
        self._current[name] = self._count
        return name, self._count

    def cancel(self, name: object) -> None:
        """Forget the alarm; its message will be ignored."""
        self._current.pop(name, None)

    def due(self, payload: tuple[object, int]) -> bool:
        """Whether this payload belongs to an alarm that still stands; it is spent by asking."""
        name, number = payload
        if self._current.get(name) != number:
            return False
        del self._current[name]
        return True


class ActorProcess(Actor):
    """Base of all our actors: override :meth:`receive` and, where needed, the ``on_*`` methods."""

    catches_all = True
    """For a system base that has a short way for actors that raise nothing."""

    def __init__(self) -> None:
        super().__init__()
        self._epoll: select.epoll | None = None
        self._watch: ThespianWatch | None = None
        self._watchers: dict[int, Watcher] = {}
        self._host_fd = -1
        self._wakeups = Wakeups()
        self._broken = False

    @property
    def is_broken(self) -> bool:
        """Whether it ends because of an exception in its own code, or of its host's end, and was not asked to."""
        return self._broken

    # What a subclass overrides.

    def receive(self, message: Any, sender: Address) -> None:
        """Handle one message of this actor's union."""
        raise NotImplementedError

    def on_child_exit(self, child: Address) -> None:
        """Note that a child actor has ended, whatever the cause."""

    def on_alarm(self, name: Any) -> None:
        """Handle an alarm set with :meth:`alarm`."""

    def on_exit(self) -> None:
        """Release what this actor holds; it is about to end."""

    # What a subclass uses.

    def alarm(self, name: object, after_s: float) -> None:
        """Call :meth:`on_alarm` with ``name`` in ``after_s`` seconds; replaces an earlier alarm of that name."""
        self.wakeupAfter(timedelta(seconds=max(after_s, 0.0)), payload=self._wakeups.set(name))

    def cancel_alarm(self, name: object) -> None:
        """Make sure that the alarm ``name`` is not delivered."""
        self._wakeups.cancel(name)

    def watch(self, fd: int, watcher: Watcher, events: int = select.EPOLLIN) -> None:
        """Call ``watcher(events)`` whenever ``fd`` is ready for ``events``; again to change the events."""
        if self._epoll is None:
            self._epoll = select.epoll()
            self._watch = ThespianWatch([self._epoll.fileno()])
        if fd in self._watchers:
            self._epoll.modify(fd, events)
        else:
            self._epoll.register(fd, events)
        self._watchers[fd] = watcher

    def unwatch(self, fd: int) -> None:
        """Stop watching ``fd``; call it before closing the descriptor."""
        if self._watchers.pop(fd, None) is not None and self._epoll is not None:
            with contextlib.suppress(OSError):
                self._epoll.unregister(fd)

    def create(self, actor: type[ActorProcess]) -> Address:
        """Start a child actor; messages sent to it wait until it is there."""
        return self.createActor(actor)

    def pid_of_last_child(self) -> int:
        """Return the process id of the child created last; 0 where actors are no processes."""
        started = getattr(self._myRef, "_child_procs", None)
        return int(started[-1].childProc.pid) if started else 0

    def stop_child(self, child: Address) -> None:
        """Ask a child actor, and its children, to end."""
        self.send(child, ActorExitRequest(recursive=True))

    def stop_self(self) -> None:
        """End this actor after the present message."""
        self.send(self.myAddress, ActorExitRequest(recursive=True))

    def end_with_host(self, host_pid: int, whole_group: bool = False) -> None:
        """End this process (with ``whole_group`` its process group too) as soon as the host process is gone."""
        if host_pid == os.getpid():
            return
        name_process(f"{ACTOR_PREFIX}{type(self).__name__}")
        try:
            self._host_fd = os.pidfd_open(host_pid)
        except ProcessLookupError:
            self._host_ended(whole_group)
        self.watch(self._host_fd, lambda _: self._host_ended(whole_group))

    @property
    def is_host_gone(self) -> bool:
        """Whether the host process has ended, and this one is about to: files that are missing then mean nothing."""
        ended = select.poll()
        if self._host_fd >= 0:
            ended.register(self._host_fd, select.POLLIN)
        return bool(ended.poll(0))

    def _host_ended(self, whole_group: bool) -> None:
        """Nobody sweeps any more: each actor ends what is its own; the root waits for that, then ends all the rest."""
        self._broken = True
        with contextlib.suppress(Exception):
            self.on_exit()
        if whole_group:
            await_children(CHILDREN_S)
            os.killpg(os.getpgrp(), signal.SIGKILL)
        os._exit(1)

    def run_others(self) -> None:
        """Let all actors of this process handle what is under way, where they share it; else nothing happens."""
        base = getattr(getattr(self._myRef, "_system", None), "_systemBase", None)
        run = getattr(base, RUN_ALL, None)
        if run is not None:
            run()

    # The way in.

    def receiveMessage(self, message: Any, sender: Address) -> Any:  # Thespian's name
        """Route one message and keep the watch alive; exceptions end the actor instead of escaping."""
        if not self._broken:
            try:
                if type(message) in _FROM_THESPIAN:
                    self._route(message)
                else:
                    self.receive(message, sender)
            except Exception:
                self._give_up()
        return None if self._broken else self._watch

    def _route(self, message: Any) -> None:
        match message:
            case WatchMessage():
                self._run_watchers()
            case WakeupMessage():
                if self._wakeups.due(message.payload):
                    self.on_alarm(message.payload[0])
            case ChildActorExited():
                self.on_child_exit(message.childAddress)
            case ActorExitRequest():
                self.on_exit()
            case PoisonMessage() | DeadEnvelope():
                print(f"{type(self).__name__}: undeliverable: {message}", file=sys.stderr, flush=True)

    def _run_watchers(self) -> None:
        if self._epoll is None:
            return
        for fd, events in self._epoll.poll(0):
            watcher = self._watchers.get(fd)
            if watcher is not None:
                watcher(events)

    def _give_up(self) -> None:
        """Let it crash: say why where the host reads it, then end; the supervisor decides what follows."""
        self._broken = True
        print(f"{type(self).__name__} crashed:\n{traceback.format_exc()}", file=sys.stderr, flush=True)
        with contextlib.suppress(Exception):
            self.on_exit()
        self.stop_self()


def keep_no_log_file() -> None:
    """See to it that Thespian writes no ``thespian.log`` into the temporary directory, which this process shares.

    Where the environment variable ``THESPLOG_FILE`` names a file, somebody wants it, and it stays.
    """
    if not os.environ.get("THESPLOG_FILE"):
        level, to_logging, _ = utilis._thesplog_control_settings
        utilis.thesplog_control(level, to_logging, 0)


def same(one: Address | None, other: Address | None) -> bool:
    """Whether two addresses name the same actor."""
    return one is not None and other is not None and bool(one == other)


def no_address() -> Address:
    """Make an address that reaches nobody (for tests of messages)."""
    return ActorAddress(None)
