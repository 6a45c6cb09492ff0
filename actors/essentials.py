"""The essential actors: dispatcher, guard and registry. Started one after the other, and again when one has ended.

Part of the supervisor's process; what follows when, `supervision` says.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Protocol, assert_never

from . import messages as m
from . import supervision as s
from ._thespian import ActorProcess, Address, same
from .dispatcher import Dispatcher
from .events import Event, EventKind
from .frame_rules import frame_rules
from .guard import Guard
from .plans import child_spec, letters_folder
from .processes import kill
from .registry import Registry
from .root import Root

ROLES = ("dispatcher", "guard", "registry")
"""In the order in which they are started."""
_KINDS = {
    "ended": EventKind.ACTOR_ENDED,
    "restarted": EventKind.ACTOR_RESTARTED,
    "given up": EventKind.SYSTEM_FAILED,
}


class Plugins(Protocol):
    """What is asked of the roster for an essential actor that has been started again."""

    def registrations(self) -> tuple[tuple[int, m.Registration], ...]:
        """Return the rows that the registry has to know, by load."""

    def guarded(self) -> tuple[m.GuardedPlugin, ...]:
        """Return what the guard has to know of plugins that have a policy."""

    def tell_again(self, role: str) -> None:
        """Tell this actor what the one before it knew, and what it has not answered."""

    def ask_again(self) -> None:
        """Ask the registry anew for what the dispatcher answers, and what has no answer."""

    def tell_all(self, message: m.Introduce) -> None:
        """Send something to every plugin actor."""


class Listener(Protocol):
    """Whoever has to know how the essential actors fare."""

    def essentials_up(self) -> None:
        """All are there for the first time."""

    def essentials_failed(self, reason: str) -> None:
        """One was given up: nothing can go on, and the others are being stopped."""

    def essentials_stopped(self, killed: tuple[str, ...]) -> None:
        """None is there any more; these, by role and pid, did not end when they were asked to."""


class Essentials:
    """They are in ``root.essential`` and ``root.epochs``, by role."""

    def __init__(self, root: Root, plugins: Plugins, listener: Listener) -> None:
        self._root = root
        self._plugins = plugins
        self._listener = listener
        self._state = s.begin(())
        self._pids: dict[str, int] = {}
        self._troubles: dict[str, str] = {}

    def start(self) -> None:
        """Start the first; the others follow."""
        settings = self._root.boot.settings
        self._state = s.begin(tuple(child_spec(role, settings) for role in ROLES))
        self._feed(s.Begin())

    def stop(self, reason: str) -> None:
        """Stop them, the last one first."""
        self._feed(s.Stop(reason))

    # What happens to them.

    def ready(self, role: str, sender: Address) -> None:
        """One has started."""
        if not self._is_present(role, sender):
            return
        if role == "dispatcher" and self._root.epochs[role] > 1 and "registry" in self._root.essential:
            # Nobody else hears of it before it has the permissions that are in force.
            self._root.send(self._root.essential["registry"], self._introduction("dispatcher"))
            self._plugins.ask_again()
        else:
            self._ready(role)

    def permissions_known(self, sender: Address) -> None:
        """The dispatcher that has been started again takes frames."""
        if self._is_present("dispatcher", sender):
            self._ready("dispatcher")

    def failed(self, role: str, sender: Address, reason: str) -> None:
        """One can't do its work: it ends, and is started again like any other."""
        if self._is_present(role, sender):
            self._troubles[role] = reason
            self._root.stop_child(sender)

    def exited(self, child: Address) -> bool:
        """Whether this was one of them."""
        role = next((role for role in self._root.essential if self._is_present(role, child)), None)
        if role is None:
            return False
        detail = self._troubles.pop(role, "")
        self._feed(s.Ended(role, time.monotonic(), random.random(), detail=detail))
        return True

    def alarm(self, what: str, role: str) -> None:
        """A backoff is over (``backoff``), or the time to stop (``budget``)."""
        self._feed(s.BackoffOver(role) if what == "backoff" else s.BudgetOver(role))

    # What follows.

    def _feed(self, event: s.Event) -> None:
        self._state, directives = s.step(self._state, event)
        for directive in directives:
            self._obey(directive)

    def _obey(self, directive: s.Directive) -> None:
        match directive:
            case s.Start():
                self._start(directive.name, directive.again)
            case s.StartIn():
                self._root.alarm(("backoff", directive.name), directive.after_s)
            case s.StopChild():
                self._root.stop_child(self._root.essential[directive.name])
                self._root.alarm(("budget", directive.name), directive.within_s)
            case s.Kill():
                kill(self._pids[directive.name])
            case s.Note():
                self._note(directive)
            case s.Up():
                self._root.send(self._root.essential["dispatcher"], self._introduction("guard"))
                self._listener.essentials_up()
            case s.Finished():
                killed = tuple(f"{role} ({self._pids[role]})" for role in directive.killed)
                self._listener.essentials_stopped(killed)
            case _:
                assert_never(directive)

    def _note(self, note: s.Note) -> None:
        self._root.publish(Event(_KINDS[note.decision], None, note.reason))
        if note.decision == "given up":
            self._listener.essentials_failed(note.reason)

    # Starting.

    def _start(self, role: str, again: bool) -> None:
        root = self._root
        root.epochs[role] = root.epochs.get(role, 0) + 1
        root.essential[role] = root.create(self._actors[role])
        self._pids[role] = root.pid_of_last_child()
        root.send(root.essential[role], self._orders[role](self, again))
        if again:
            if role == "dispatcher" and "guard" in root.essential:
                root.send(root.essential[role], self._introduction("guard"))
            self._plugins.tell_again(role)
            if role == "dispatcher" and "registry" in root.essential:
                root.send(root.essential[role], m.RoutesTold())

    def _start_dispatcher(self, again: bool) -> m.StartDispatcher:
        boot = self._root.boot
        epoch, sessions = self._root.epochs["dispatcher"], tuple(self._root.sessions.values())
        must_know = again and "registry" in self._root.essential
        rules, directory = frame_rules(boot.settings), boot.runtime_dir
        folder = letters_folder(boot)
        return m.StartDispatcher(rules, boot.host_pid, epoch, sessions, must_know, directory, folder)

    def _start_guard(self, again: bool) -> m.StartGuard:
        boot = self._root.boot
        return m.StartGuard(boot.settings, boot.host_pid, self._plugins.guarded())

    def _start_registry(self, again: bool) -> m.StartRegistry:
        boot = self._root.boot
        path = str(Path(boot.state_dir or boot.runtime_dir) / "registry.sqlite")
        rows = self._plugins.registrations()
        outlives_run = boot.state_dir is not None
        return m.StartRegistry(path, self._root.essential["dispatcher"], boot.host_pid, again, rows, outlives_run)

    # Introductions.

    def _ready(self, role: str) -> None:
        self._feed(s.Ready(role))
        if self._root.epochs[role] > 1:
            self._introduce(role)

    def _introduce(self, role: str) -> None:
        message = self._introduction(role)
        for joined in self._root.sessions.values():
            self._root.send(joined.address, message)
        self._plugins.tell_all(message)
        if role == "guard":
            self._root.send(self._root.essential["dispatcher"], message)

    def _introduction(self, role: str) -> m.Introduce:
        return m.Introduce(role, self._root.essential[role], self._root.epochs[role])

    def _is_present(self, role: str, address: Address) -> bool:
        """Whether this is who has the role now: there may be news of an earlier one."""
        return same(self._root.essential.get(role), address)

    _actors: ClassVar[dict[str, type[ActorProcess]]] = {
        "dispatcher": Dispatcher,
        "guard": Guard,
        "registry": Registry,
    }
    _orders: ClassVar[dict[str, Callable[[Essentials, bool], m.StartDispatcher | m.StartGuard | m.StartRegistry]]] = {
        "dispatcher": _start_dispatcher,
        "guard": _start_guard,
        "registry": _start_registry,
    }
