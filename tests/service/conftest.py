"""A system that answers what a test wants, for what only reads systems."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from nyx_plugins import DispatchStats, PluginInfo, PluginStats, Settings
from nyx_plugins.actors.events import Notice
from nyx_plugins.actors.latency import LatencyHistogram
from nyx_plugins.actors.subscription import Subscription
from nyx_plugins.plugins.worker.jail.level import Enforcement

NO_PROCESS = 2**22 + 1  # above any pid that Linux gives

Answer = PluginStats | BaseException | Callable[[], PluginStats]


@attrs.define(slots=False)
class FakeSystem:
    """Plugins by id, each with what asking for its statistics gives, raises or calls."""

    infos: dict[int, PluginInfo] = attrs.field(factory=dict)
    answers: dict[int, Answer] = attrs.field(factory=dict)
    dispatch: DispatchStats = attrs.field(factory=lambda: DispatchStats(0, 0, 0, 0, {}))
    stopped: BaseException | None = None
    host_pid: int = NO_PROCESS
    subscriptions: list[Subscription] = attrs.field(factory=list)
    done: list[tuple[Any, ...]] = attrs.field(factory=list)
    refusal: BaseException | None = None
    enforcement: Enforcement = attrs.field(factory=lambda: Enforcement("full", {}))
    settings: Settings = attrs.field(factory=Settings)

    def add(self, plugin_id: int, answer: Answer, name: str = "echo", state: str = "ready") -> None:
        """Have one more plugin, or this one changed."""
        info = PluginInfo(plugin_id, name, "1.0.0", "d", state, frozenset(), frozenset({"control"}), None, 100)
        self.infos[plugin_id], self.answers[plugin_id] = info, answer

    def plugins(self) -> list[PluginInfo]:
        """All of them."""
        if self.stopped is not None:
            raise self.stopped
        return [self.infos[plugin_id] for plugin_id in sorted(self.infos)]

    def plugin_stats(self, plugin_id: int) -> PluginStats:
        """What the test has prepared."""
        answer = self.answers[plugin_id]
        if isinstance(answer, BaseException):
            raise answer
        return answer if isinstance(answer, PluginStats) else answer()

    def dispatch_stats(self) -> DispatchStats:
        """What the test has prepared."""
        return self.dispatch

    def subscribe(self) -> Subscription:
        """A queue of what the test publishes."""
        self.subscriptions.append(Subscription(100, lambda closed: None))
        return self.subscriptions[-1]

    def pause(self, plugin_id: int) -> None:
        """Note it."""
        self._note("pause", plugin_id)

    def reset(self, plugin_id: int) -> None:
        """Bring back."""
        self._note("reset", plugin_id)

    def resume(self, plugin_id: int) -> None:
        """Note it."""
        self._note("resume", plugin_id)

    def unload(self, plugin_id: int) -> None:
        """Note it."""
        self._note("unload", plugin_id)

    def grant(self, plugin_id: int, permission: str) -> None:
        """Note it."""
        self._note("grant", plugin_id, permission)

    def revoke(self, plugin_id: int, permission: str) -> None:
        """Note it."""
        self._note("revoke", plugin_id, permission)

    def _note(self, *what: Any) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.done.append(what)

    def publish(self, *notices: Notice, dropped: int = 0) -> None:
        """Have this happen."""
        for subscription in self.subscriptions:
            subscription._put(notices, dropped)


@pytest.fixture
def fake() -> FakeSystem:
    """Return a system without plugins."""
    return FakeSystem()


@pytest.fixture
def stats() -> Callable[..., PluginStats]:
    """Return a function that makes statistics: all zero, with those changes."""

    def make(**changes: Any) -> PluginStats:
        numbers = {field.name: 0 for field in attrs.fields(PluginStats)}
        values = {"state": "ready", "latency": LatencyHistogram(), "instances": ()}
        values |= {"actor_pid": NO_PROCESS, "worker_pid": None}
        return PluginStats(**{**numbers, **values, **changes})

    return make
