"""A plugin's frames for the plugins that it depends on: a session of its own, kept by its plugin actor.

Each frame is checked here (is it declared, is it permitted), spends credit and waits for room like everybody's, and is
answered to the worker exactly once: accepted, replied to, or refused with the error that an application would get.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from functools import partial
from typing import Any, Protocol

import attrs

from ..config.errors import NyxPluginError
from ..config.settings import Settings
from ..plugins.errors import (
    DependencyMissing,
    DependencyUndeclared,
    DispatchTimeout,
    PermissionDenied,
    PluginNotLoaded,
    SystemStopped,
)
from ..plugins.manifest import Manifest
from ..plugins.permissions import INTER_PLUGIN
from ..plugins.wire import PluginHeader
from ..plugins.worker.answers import Send
from . import messages as m
from ._thespian import Address
from .dependencies import STARTING, Node, best, fits
from .frame_rules import frame_rules
from .receipt import Receipt, reply_of
from .traffic import Traffic
from .waiting import Waiter

ALARM = "correspondence"


class Asker(Protocol):
    """Whose frames these are: a worker's link."""

    def answer(self, request_id: int, answer: bytes | NyxPluginError | None) -> None:
        """Hand over a reply (``None``: accepted, or no reply), or what refuses the frame."""


class Owner(Protocol):
    """What a correspondence needs of its actor."""

    def send(self, target: Address, message: Any) -> None:
        """Send a message."""

    def alarm(self, name: object, after_s: float) -> None:
        """Call :meth:`Correspondence.expire` after so many seconds when ``name`` is ``ALARM``."""


@attrs.define(eq=False)
class _Letter:
    """One frame under way, for whoever waits for it."""

    frame: Send
    asker: Asker
    timeout_s: float
    deadline: float
    sent: Receipt | Waiter | None = None


class Correspondence:
    """Of one plugin: its own session, and the letters under way. It serves all workers of the plugin."""

    def __init__(
        self, plugin_id: int, manifest: Manifest, settings: Settings, owner: Owner, supervisor: Address = None
    ) -> None:
        self._plugin_id = plugin_id
        self._manifest = manifest
        self._settings = settings
        self._owner = owner
        self._supervisor = supervisor
        self._early: list[m.SessionMessage] = []
        self.traffic: Traffic | None = None
        self._letters: dict[int, _Letter] = {}
        self._count = 0

    def join(self, session: int, dispatcher: Address, epoch: int) -> None:
        """Everybody has been told of this session, which is the plugin's from now on."""
        self.traffic = Traffic(session, frame_rules(self._settings), threading.Condition(), self._supervisor)
        self.traffic.join(dispatcher, epoch)
        early, self._early = self._early, []
        for message in early:
            self.note(message)

    def introduce(self, dispatcher: Address, epoch: int) -> None:
        """The dispatcher was started again."""
        if self.traffic is not None:
            self.traffic.rejoin(dispatcher, epoch)
            self._flush()

    def under_way(self, asker: Asker) -> int:
        """How many frames of one worker are not answered."""
        return sum(1 for letter in self._letters.values() if letter.asker is asker)

    # What the plugin wants.

    def take(self, frame: Send, asker: Asker) -> None:
        """Begin with a frame; it is answered in its time, which may be at once."""
        if self.traffic is None:
            asker.answer(frame.request_id, DependencyUndeclared(self._plugin_id, frame.plugin))
            return
        timeout_s = self._settings.limits.dispatch_timeout_s if frame.timeout_ms is None else frame.timeout_ms / 1000
        self._count += 1
        letter = _Letter(frame, asker, timeout_s, time.monotonic() + timeout_s)
        self._letters[self._count] = letter
        if self.traffic.version >= 0:
            self._begin(self._count, letter, self.traffic)
        self._flush()
        self._set_alarm()

    def change(self, manifest: Manifest) -> None:
        """From now on another version of the plugin is there, which depends on others."""
        self._manifest = manifest

    def forget(self, asker: Asker) -> None:
        """Whoever asked is gone: what waits for room is given up, and of what is under way nobody is told any more."""
        for number, letter in list(self._letters.items()):
            if letter.asker is asker:
                self._let_go(self._letters.pop(number))
        self._flush()

    def expire(self) -> None:
        """Answer what has not been done in time."""
        now = time.monotonic()
        for number, letter in list(self._letters.items()):
            if letter.deadline <= now:
                self._answer(number, self._too_late(letter))
        self._flush()
        self._set_alarm()

    def give_up(self) -> None:
        """Nothing more can come: where all actors run on one thread, whoever waits here holds all of them up."""
        for number, letter in list(self._letters.items()):
            self._answer(number, self._too_late(letter))
        self._flush()

    # What the others say.

    def note(self, message: m.SessionMessage) -> None:
        """Take in routes, credit, acceptances and outcomes."""
        if self.traffic is None:
            # From the dispatcher, which has heard of the session earlier.
            self._early.append(message)
            return
        if isinstance(message, m.SystemStopping):
            self.traffic.stop(SystemStopped(message.reason))
        else:
            self.traffic.note(message)
        if self.traffic.version >= 0:
            for number, letter in list(self._letters.items()):
                if letter.sent is None:
                    self._begin(number, letter, self.traffic)
        self._flush()

    # Parts.

    def _begin(self, number: int, letter: _Letter, traffic: Traffic) -> None:
        try:
            letter.sent = self._enter(letter.frame, traffic)
        except NyxPluginError as error:
            self._answer(number, error)
            return
        self._follow(number, letter)

    def _enter(self, frame: Send, traffic: Traffic) -> Receipt | Waiter:
        traffic.check()
        target = self._target(frame.plugin, traffic.routes)
        self._check_permission(frame.frame_type, traffic)
        header = PluginHeader(target.plugin_id, frame.flags, frame.data).encode()
        return traffic.enter(frame.frame_type, header, is_awaited=False)

    def _target(self, plugin: str | int, routes: Mapping[int, m.Route]) -> Node:
        """Return the plugin that is meant, if it is one to depend on and there. Raises what is against it."""
        wanted = {**self._manifest.optional, **self._manifest.requires}
        if isinstance(plugin, int):
            return self._by_id(plugin, wanted, routes)
        if plugin not in wanted:
            raise DependencyUndeclared(self._plugin_id, plugin)
        found = best(routes.values(), plugin, wanted[plugin])
        if found is None:
            raise DependencyMissing(self._plugin_id, [f"{plugin} {wanted[plugin]} (not loaded)"])
        return found

    def _by_id(self, plugin_id: int, wanted: Mapping[str, str], routes: Mapping[int, m.Route]) -> Node:
        route = routes.get(plugin_id)
        if route is None or route.name not in wanted:
            raise DependencyUndeclared(self._plugin_id, plugin_id)
        if not fits(wanted[route.name], route.version):
            missing = f"{route.name} {wanted[route.name]} (plugin {plugin_id} is {route.version})"
            raise DependencyMissing(self._plugin_id, [missing])
        return route

    def _check_permission(self, frame_type: int, traffic: Traffic) -> None:
        own = traffic.routes.get(self._plugin_id)
        if own is None:
            raise PluginNotLoaded(self._plugin_id, STARTING)
        if INTER_PLUGIN not in own.permissions:
            error = PermissionDenied(self._plugin_id, INTER_PLUGIN, frame_type)
            traffic.outbox.refuse(error, self._plugin_id)
            raise error

    def _follow(self, number: int, letter: _Letter) -> None:
        """Answer when there is something to say, which may be now."""
        news = partial(self._news, number)
        if isinstance(letter.sent, Waiter):
            letter.sent.tell(news)
        elif letter.sent is not None:
            letter.sent.tell(news)
            self._news(number)

    def _news(self, number: int) -> None:
        letter = self._letters.get(number)
        if letter is None:
            return
        try:
            if isinstance(letter.sent, Waiter):
                letter.sent = letter.sent.result()
                self._follow(number, letter)
            elif letter.sent is not None:
                self._read(number, letter, letter.sent)
        except NyxPluginError as error:
            self._answer(number, error)

    def _read(self, number: int, letter: _Letter, receipt: Receipt) -> None:
        receipt.raise_refusal()
        if letter.frame.wants_reply and receipt.done:
            self._answer(number, reply_of(receipt.plugin_id, receipt.result()))
        elif not letter.frame.wants_reply and receipt.accepted:
            self._answer(number, None)

    def _answer(self, number: int, answer: bytes | NyxPluginError | None) -> None:
        letter = self._letters.pop(number)
        self._let_go(letter)
        letter.asker.answer(letter.frame.request_id, answer)

    def _let_go(self, letter: _Letter) -> None:
        if isinstance(letter.sent, Waiter) and not letter.sent.done and self.traffic is not None:
            self.traffic.leave(letter.sent)

    def _too_late(self, letter: _Letter) -> DispatchTimeout:
        match letter.sent:
            case Waiter() if self.traffic is not None:
                return self.traffic.too_late(letter.sent, letter.timeout_s)
            case Receipt():
                what = "an outcome" if letter.frame.wants_reply else "acceptance"
                return DispatchTimeout(letter.sent.plugin_id, what, letter.timeout_s)
        return DispatchTimeout(None, "an answer of the system", letter.timeout_s)

    def _flush(self) -> None:
        while self.traffic is not None and (work := self.traffic.outbox.next()) is not None:
            self._owner.send(*work)

    def _set_alarm(self) -> None:
        if self._letters:
            first = min(letter.deadline for letter in self._letters.values())
            self._owner.alarm(ALARM, first - time.monotonic())
