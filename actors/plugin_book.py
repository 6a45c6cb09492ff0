"""The book of a roster: what is held for each plugin besides its life."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

import attrs

from ..plugins.manifest import Manifest
from . import messages as m
from ._thespian import Address
from .changes import Changes
from .lifecycle import PluginLife
from .violations import ViolationLog

# So many plugin actors of one plugin are remembered after their end.
FORMER = 16


@attrs.define(eq=False)
class LoadOrder:
    """One ``LoadPlugins`` under way: its loader, and the results so far."""

    question: m.LoadPlugins
    results: list[Any]
    waiting: int
    preparing: int
    loader: Address | None = None
    loader_pid: int = 0
    version: int = 0
    failed: dict[str, str] = attrs.field(factory=dict)
    """Why plugins, by name, were not loaded."""


@attrs.define(eq=False)
class Plugin:
    """What is held for one plugin besides its life."""

    life: PluginLife
    order: LoadOrder
    index: int
    actor: Address | None = None
    pid: int = 0
    started: bool = False
    announced: bool = False
    """Whether the dispatcher knows of the present plugin actor."""
    session: int = 0
    """That of its plugin actor, if it may send frames to other plugins."""
    former: deque[Address] = attrs.field(factory=lambda: deque(maxlen=FORMER))
    """The plugin actors that have ended: what they said last may come after the news of it."""
    drain_s: float = 0.0
    successor: Manifest | None = None
    """What is being put in its place, once nothing is against that: others have to get on with both."""
    leaves_by: float | None = None
    """When it is to be drained (monotonic), once those that need it are gone; ``None``: it stays."""
    unloads: list[m.UnloadPlugin] = attrs.field(factory=list)
    resets: list[m.ResetPlugin] = attrs.field(factory=list)
    """Who waits for it to be ready again."""
    first_epoch: int = 0
    """Of its first route."""
    told: m.SetRoute | None = None
    """What the dispatcher was told last of its route."""
    waiting: dict[str, Any] = attrs.field(factory=dict)
    """What an essential actor, by role, has not answered yet; it is told again if it has been restarted."""
    violations: ViolationLog = attrs.field(factory=ViolationLog)
    changes: Changes = attrs.field(factory=lambda: Changes(time.monotonic()))


class PluginBook(dict[int, Plugin]):
    """The plugins by load id, which tells two incarnations of a plugin id apart."""

    def __init__(self) -> None:
        super().__init__()
        self._last_id = 0
        self.version = 0
        """Of the routes, as the dispatcher said last."""
        self.stopping = False
        self.killed: list[str] = []
        self.unloaded: dict[int, int] = {}
        """Since the system began to stop: the plugins that were unloaded, and how many frames they did not finish."""

    def new_id(self) -> int:
        """An id that neither a load nor a swap has had."""
        self._last_id += 1
        return self._last_id

    def named(self, plugin_id: int, besides: int = 0) -> Plugin | None:
        """The plugin with this id, if there is one (``besides`` this load)."""
        for load_id, plugin in self.items():
            if load_id != besides and plugin.life.manifest is not None and plugin.life.plugin_id == plugin_id:
                return plugin
        return None

    def load_of(self, plugin: Plugin) -> int:
        """The load id of a plugin."""
        return next(load_id for load_id, other in self.items() if other is plugin)

    def begin_to_stop(self) -> None:
        """The system stops: from now on it is noted what becomes of the plugins."""
        self.stopping = True
        self.killed.clear()
        self.unloaded.clear()

    def report(self) -> m.Unloaded:
        """Tell what became of the plugins since the system began to stop."""
        return m.Unloaded(tuple(sorted(self.unloaded)), sum(self.unloaded.values()), tuple(self.killed))
