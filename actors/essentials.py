"""The essential actors: dispatcher, guard and registry. Started one after the other, and again when one has ended.

Part of the supervisor's process.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Protocol

from . import messages as m
from ._thespian import ActorProcess, Address, same
from .dispatcher import Dispatcher
from .events import Event, EventKind
from .frame_rules import frame_rules
from .guard import Guard
from .registry import Registry
from .restart import Restart, RestartPolicy, RestartState, decide
from .root import Root

ROLES = ("dispatcher", "guard", "registry")
"""In the order in which they are started."""


class Plugins(Protocol):
    """What is asked of the roster for an essential actor that has been started again."""

    def registrations(self) -> tuple[m.Registration, ...]:
        """Return the rows of the plugins that the registry has to know."""

    def policies(self) -> dict[int, int]:
        """Return the loads of the plugins that the guard has to know, by plugin id."""

    def quarantined(self) -> frozenset[int]:
        """Return the ids of the plugins in quarantine."""

    def tell_again(self, role: str) -> None:
        """Tell this actor what the one before it knew, and what it has not answered."""

    def tell_all(self, message: m.Introduce) -> None:
        """Send something to every plugin actor."""


class Essentials:
    """Their addresses and epochs; ``on_up`` is called when all are there, ``on_end(reason)`` when it can't go on."""

    def __init__(self, root: Root, plugins: Plugins, on_up: Callable[[], None], on_end: Callable[[str], None]) -> None:
        self._root = root
        self._plugins = plugins
        self._on_up = on_up
        self._on_end = on_end
        self._restarts = dict.fromkeys(ROLES, RestartState())
        self._waiting: set[str] = set()
        """Those that have ended, and whose backoff is not over."""
        self._up = False

    def start(self) -> None:
        """Start the first; the others follow."""
        self._start(ROLES[0])

    def ready(self, role: str, sender: Address) -> None:
        """One has started."""
        if not same(sender, self._root.essential.get(role)):
            return
        if self._root.epochs[role] > 1:
            self._ready_again(role)
        if self._up:
            return
        missing = [name for name in ROLES if name not in self._root.essential]
        if missing:
            self._start(missing[0])
        elif not self._up:
            self._up = True
            self._root.send(self._root.essential["dispatcher"], self._introduction("guard"))
            self._on_up()

    def permissions_known(self, sender: Address) -> None:
        """The dispatcher that has been started again takes frames."""
        if same(sender, self._root.essential["dispatcher"]):
            self._introduce("dispatcher")

    def exited(self, child: Address) -> bool:
        """Whether this was one of them; it is started again, or else nothing can go on."""
        role = next((role for role, address in self._root.essential.items() if same(address, child)), None)
        if role is None:
            return False
        settings = self._root.boot.settings.supervision
        policy = RestartPolicy(
            "permanent",
            settings.max_restarts,
            settings.within_s,
            settings.backoff_initial_s,
            settings.backoff_max_s,
            settings.jitter,
        )
        now = time.monotonic()
        self._restarts[role], verdict = decide(policy, self._restarts[role], now, False, random.random())
        if isinstance(verdict, Restart):
            self._waiting.add(role)
            self._root.alarm(("essential", role), verdict.after_s)
        else:
            self._on_end(f"its {role} ended")
        return True

    def due(self, role: str) -> None:
        """The backoff of one is over."""
        if role in self._waiting:
            self._waiting.discard(role)
            self._start(role)

    # Parts.

    def _start(self, role: str) -> None:
        root = self._root
        root.epochs[role] = root.epochs.get(role, 0) + 1
        root.essential[role] = root.create(self._actors[role])
        root.send(root.essential[role], self._orders[role](self, root.epochs[role] > 1))
        if root.epochs[role] > 1:
            if role == "dispatcher" and "guard" in root.essential:
                root.send(root.essential[role], self._introduction("guard"))
            self._plugins.tell_again(role)

    def _start_dispatcher(self, again: bool) -> m.StartDispatcher:
        boot = self._root.boot
        epoch, sessions = self._root.epochs["dispatcher"], tuple(self._root.sessions.values())
        must_know = again and "registry" in self._root.essential
        rules, directory = frame_rules(boot.settings), boot.runtime_dir
        return m.StartDispatcher(rules, boot.host_pid, epoch, sessions, must_know, directory)

    def _start_guard(self, again: bool) -> m.StartGuard:
        boot = self._root.boot
        return m.StartGuard(boot.settings, boot.host_pid, self._plugins.policies(), self._plugins.quarantined())

    def _start_registry(self, again: bool) -> m.StartRegistry:
        boot = self._root.boot
        path = str(Path(boot.state_dir or boot.runtime_dir) / "registry.sqlite")
        rows = self._plugins.registrations()
        return m.StartRegistry(path, self._root.essential["dispatcher"], boot.host_pid, again, rows)

    def _ready_again(self, role: str) -> None:
        self._root.publish(Event(EventKind.ACTOR_RESTARTED, None, f"{role} ended"))
        if role == "dispatcher" and "registry" in self._root.essential:
            # Nobody else hears of it before it has the permissions that are in force.
            self._root.send(self._root.essential["registry"], self._introduction("dispatcher"))
        else:
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
