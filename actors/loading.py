"""The loads under way: in which order bundles are read, by whom, and the answers to whoever asked for them.

Part of the supervisor's process, for its roster.
"""

from __future__ import annotations

from collections import deque
from pathlib import Path

from ..config.errors import NyxPluginError
from ..plugins.errors import AlreadyLoaded, BundleError, PluginFailed, SystemStopped
from ..plugins.permissions import known_permissions
from . import messages as m
from . import plans
from ._thespian import Address, same
from .directives import Directive
from .lifecycle import PluginLife
from .loader import Loader
from .plugin_book import LoadOrder, Plugin, PluginBook
from .processes import kill
from .removal import Removal
from .root import Root
from .stages import LOADING, Stage
from .supervision import ChildSpec

# What may take its time gets this much more, in seconds, before whoever does it is ended.
GRACE_S = 2.0
# So many plugins are being loaded at the same time; more would only wait for each other's messages.
CONCURRENT_LOADS = 4
AT_WORK = LOADING - {Stage.WAITING}


class Loading:
    """One loader for each call of ``load``, which reads its bundles one after the other."""

    def __init__(self, root: Root, plugins: PluginBook, removal: Removal) -> None:
        self._root = root
        self._removal = removal
        self._plugins = plugins
        self._orders: list[LoadOrder] = []
        self._waiting: deque[int] = deque()

    @property
    def room(self) -> int:
        """How many more may be under way."""
        busy = sum(1 for plugin in self._plugins.values() if plugin.started and plugin.life.stage in AT_WORK)
        return max(0, CONCURRENT_LOADS - busy)

    def take(self, question: m.LoadPlugins) -> None:
        """Load all of these; the reply follows when the last one is ready or undone."""
        count = len(question.specs)
        order = LoadOrder(question, [None] * count, waiting=count, preparing=count)
        if not count or self._plugins.stopping:
            error = SystemStopped("it is stopping") if self._plugins.stopping else None
            self._root.send(question.reply_to, m.Reply(question.request_id, [], error))
            return
        self._orders.append(order)
        for index, spec in enumerate(question.specs):
            load_id = self._plugins.new_id()
            directory = str(Path(self._root.boot.runtime_dir) / "plugins" / str(load_id))
            life = PluginLife(spec, ChildSpec("plugin actor"), directory=directory)
            self._plugins[load_id] = Plugin(life, order, index)
            self._waiting.append(load_id)
        self.go_on()

    def go_on(self) -> None:
        """Begin to read as many bundles as may be under way at once."""
        while self._waiting and self.room:
            load_id = self._waiting.popleft()
            plugin = self._plugins.get(load_id)
            if plugin is not None and plugin.life.stage is Stage.PREPARING:
                self._read(load_id, plugin)

    def _read(self, load_id: int, plugin: Plugin) -> None:
        plugin.started = True
        order, life = plugin.order, plugin.life
        if order.loader is None:
            order.loader = self._root.create(Loader)
            order.loader_pid = self._root.pid_of_last_child()
        trusted = self._root.boot.settings.ceiling.trusted_keys
        known = known_permissions(self._root.boot.settings.frame_types)
        self._root.send(order.loader, m.PrepareBundle(load_id, life.spec.bundle, life.directory, trusted, known))
        self.expect_progress(load_id)

    def prepared(self, load_id: int, plugin: Plugin, message: m.BundlePrepared) -> list[Directive]:
        """A bundle's copy is in place."""
        self.bundle_done(plugin.order)
        life = plugin.life
        directives = life.bundle_prepared(message.manifest, message.digest, message.signed_by)
        life.child = plans.plugin_actor_spec(self._root.boot.settings, message.manifest.restart)
        rival = self._plugins.named(life.plugin_id, besides=load_id)
        if rival is not None:
            return life.step_failed(AlreadyLoaded(life.plugin_id, rival.life.state))
        return directives

    def bundle_done(self, order: LoadOrder) -> None:
        """One bundle was read, or can't be."""
        order.preparing -= 1
        if order.preparing == 0 and order.loader is not None:
            self._root.stop_child(order.loader)
            order.loader = None

    def answer(self, plugin: Plugin) -> None:
        """A load is done or undone: the last one of an order answers it."""
        life, order = plugin.life, plugin.order
        error = life.error or (SystemStopped("it is stopping") if life.stage is Stage.GONE else None)
        order.results[plugin.index] = error or life.registration
        if error is not None and life.manifest is not None:
            order.failed[life.manifest.name] = str(error)
        order.waiting -= 1
        self.go_on()
        if order.waiting == 0:
            self._orders.remove(order)
            question = order.question
            self._root.send(question.reply_to, m.Reply(question.request_id, order.results, version=order.version))

    # Loaders that end, and what takes too long.

    def loader_exited(self, child: Address) -> tuple[int, NyxPluginError] | bool:
        """Whether it was a loader; the load, if any, that is to blame, and what refuses it."""
        for order in self._orders:
            if same(order.loader, child):
                order.loader = None
                return self._blame(order) or True
        return False

    def _blame(self, order: LoadOrder) -> tuple[int, NyxPluginError] | None:
        """It read one bundle after the other: the first that is not prepared is to blame, the others try again."""
        unread = [
            (load_id, plugin)
            for load_id, plugin in self._plugins.items()
            if plugin.order is order and plugin.started and plugin.life.stage is Stage.PREPARING
        ]
        for load_id, plugin in reversed(unread[1:]):
            plugin.started = False
            self._root.cancel_alarm(("load", load_id))
            self._removal.remove(plugin.life.directory)
            self._waiting.appendleft(load_id)
        for load_id, plugin in unread[:1]:
            order.preparing -= 1
            return load_id, BundleError(plugin.life.spec.bundle, "the loader that was reading it ended")
        return None

    def expect_progress(self, load_id: int) -> None:
        """Reading a bundle and starting its plugin may take the configured time each, and some grace."""
        self._root.alarm(("load", load_id), self._root.boot.settings.system.load_timeout_s + GRACE_S)

    def timed_out(self, plugin: Plugin) -> list[Directive]:
        """A step of loading has taken too long."""
        life = plugin.life
        if life.stage is Stage.PREPARING:
            # A loader that does not answer can't be asked to end.
            kill(plugin.order.loader_pid)
            return []
        return life.step_failed(PluginFailed(life.plugin_id, "its plugin actor did not answer in time", life.stage))
