"""The roster: all plugins of one system. It feeds their lives with what happened and does what they say.

Part of the supervisor's process; it decides nothing itself.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar, assert_never

import attrs

from ..config.errors import NyxPluginError
from ..plugins.errors import (
    AlreadyLoaded,
    BundleError,
    PluginFailed,
    PluginNotLoaded,
    PluginNotRegistered,
    SystemStopped,
)
from ..plugins.permissions import known_permissions
from . import messages as m
from . import plans
from ._thespian import Address, same
from .events import Event
from .lifecycle import ENDING, LOADING, Directive, Do, PluginLife, Publish, RestartIn, Stage
from .loader import Loader
from .plugin_actor import PluginActor
from .precedence import bereft, dependents_loaded, loads_due, needed_by, unloads_due
from .processes import kill
from .restart import RestartPolicy
from .root import Root
from .swaps import Swaps
from .trees import remove

# After its own budget an actor that does not answer gets this long, in seconds, before it is killed.
GRACE_S = 2.0
# So many plugins are being loaded at the same time; more would only wait for each other's messages.
CONCURRENT_LOADS = 4
AT_WORK = LOADING - {Stage.WAITING}


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
    drain_s: float = 0.0
    leaves_by: float | None = None
    """When it is to be drained (monotonic), once those that need it are gone; ``None``: it stays."""
    unloads: list[m.UnloadPlugin] = attrs.field(factory=list)
    first_epoch: int = 0
    """Of its first route."""
    told: m.SetRoute | None = None
    """What the dispatcher was told last of its route."""
    waiting: dict[str, Any] = attrs.field(factory=dict)
    """What an essential actor, by role, has not answered yet; it is told again if it has been restarted."""


class Roster:
    """The plugins by load id, which tells two incarnations of a plugin id apart."""

    def __init__(self, root: Root, when_empty: Callable[[], None]) -> None:
        self._root = root
        self._when_empty = when_empty
        self._plugins: dict[int, Plugin] = {}
        self._orders: list[LoadOrder] = []
        self._waiting: deque[int] = deque()
        self._next_id = 0
        self._epoch = 0
        self._version = 0
        self._asked = 0
        self._stopping = False
        self._going_on = False
        self._killed: list[str] = []
        self._unloaded: dict[int, int] = {}
        """Since the system began to stop: the plugins that were unloaded, and how many frames they did not finish."""
        self.swaps = Swaps(root, self)

    @property
    def plugins(self) -> dict[int, Plugin]:
        """All of them by load id."""
        return self._plugins

    @property
    def is_stopping(self) -> bool:
        """Whether nothing new may be begun."""
        return self._stopping

    @property
    def version(self) -> int:
        """Of the routes that the dispatcher has confirmed."""
        return self._version

    def new_id(self) -> int:
        """An id that neither a load nor a swap has had."""
        self._next_id += 1
        return self._next_id

    def __len__(self) -> int:
        return len(self._plugins)

    def tell_all(self, message: m.SessionJoined | m.SessionLeft | m.Introduce) -> None:
        """Send something to every plugin actor."""
        for plugin in self._plugins.values():
            if plugin.actor is not None:
                self._root.send(plugin.actor, message)

    # Essential actors that have been started again.

    def registrations(self) -> tuple[m.Registration, ...]:
        """Return the rows that the registry has to know."""
        lives = [plugin.life for plugin in self._plugins.values() if "registry" not in plugin.waiting]
        return tuple(
            attrs.evolve(life.registration, state=life.state) for life in lives if life.registration is not None
        )

    def policies(self) -> dict[int, int]:
        """Return the loads of the plugins that the guard has to know, by plugin id."""
        plugins = self._plugins.items()
        return {
            plugin.life.plugin_id: load_id
            for load_id, plugin in plugins
            if plugin.life.policy is not None and plugin.life.stage not in (Stage.UNDOING, Stage.GONE)
        }

    def quarantined(self) -> frozenset[int]:
        """Return the ids of the plugins in quarantine."""
        lives = [plugin.life for plugin in self._plugins.values()]
        return frozenset(life.plugin_id for life in lives if life.stage is Stage.QUARANTINED)

    def tell_again(self, role: str) -> None:
        """Tell this actor what the one before it knew, and what it has not answered."""
        to = self._root.essential[role]
        for plugin in self._plugins.values():
            waiting = plugin.waiting.get(role)
            if role == "dispatcher" and plugin.told is not None and waiting is not plugin.told:
                self._root.send(to, attrs.evolve(plugin.told, number=0, again=True))
            if waiting is not None:
                self._root.send(to, waiting)
        self.swaps.tell_again(role)

    def _ask(self, role: str, plugin: Plugin, question: Any) -> None:
        """Ask an essential actor for something that is waited for."""
        plugin.waiting[role] = question
        self._root.send(self._root.essential[role], question)

    def _is_answer(self, message: Any, sender: Address, plugin: Plugin) -> bool:
        """Whether it answers what was asked last, and comes from the present holder of the role."""
        role = _ANSWERED_BY.get(type(message))
        if role is None or (isinstance(message, m.StepFailed) and plugin.life.stage is Stage.PREPARING):
            return True
        waiting = plugin.waiting.get(role)
        if waiting is None or not same(sender, self._root.essential[role]):
            return False
        if isinstance(message, m.RouteSet) and getattr(waiting, "number", None) != message.number:
            return False
        del plugin.waiting[role]
        return True

    # Loading.

    def load(self, question: m.LoadPlugins) -> None:
        """Load all of these; the reply follows when the last one is ready or undone."""
        count = len(question.specs)
        order = LoadOrder(question, [None] * count, waiting=count, preparing=count)
        if not count or self._stopping:
            error = SystemStopped("it is stopping") if self._stopping else None
            self._root.send(question.reply_to, m.Reply(question.request_id, [], error))
            return
        self._orders.append(order)
        for index, spec in enumerate(question.specs):
            self._next_id += 1
            directory = str(Path(self._root.boot.runtime_dir) / "plugins" / str(self._next_id))
            life = PluginLife(spec, RestartPolicy(), directory=directory)
            self._plugins[self._next_id] = Plugin(life, order, index)
            self._waiting.append(self._next_id)
        self._start_waiting()

    def _start_waiting(self) -> None:
        """Begin to load as many as may be under way at once."""
        while self._waiting and self._under_way() < CONCURRENT_LOADS:
            load_id = self._waiting.popleft()
            plugin = self._plugins.get(load_id)
            if plugin is None or plugin.life.stage is not Stage.PREPARING:
                continue
            plugin.started = True
            if plugin.order.loader is None:
                plugin.order.loader = self._root.create(Loader)
                plugin.order.loader_pid = self._root.pid_of_last_child()
            life = plugin.life
            trusted = self._root.boot.settings.ceiling.trusted_keys
            known = known_permissions(self._root.boot.settings.frame_types)
            message = m.PrepareBundle(load_id, life.spec.bundle, life.directory, trusted, known)
            self._root.send(plugin.order.loader, message)
            self._expect_progress(load_id)

    def _under_way(self) -> int:
        return sum(1 for plugin in self._plugins.values() if plugin.started and plugin.life.stage in AT_WORK)

    def _prepared(self, load_id: int, plugin: Plugin, message: m.BundlePrepared) -> list[Directive]:
        life = plugin.life
        directives = life.bundle_prepared(message.manifest, message.digest, message.signed_by)
        life.restart_policy = plans.restart_policy(message.manifest.restart, self._root.boot.settings.supervision)
        rival = self._find(life.plugin_id, besides=load_id)
        if rival is not None:
            return life.step_failed(AlreadyLoaded(life.plugin_id, rival.life.state))
        return directives

    def _loader_done_with_one(self, order: LoadOrder) -> None:
        order.preparing -= 1
        if order.preparing == 0 and order.loader is not None:
            self._root.stop_child(order.loader)
            order.loader = None

    def _find(self, plugin_id: int, besides: int = 0) -> Plugin | None:
        for load_id, plugin in self._plugins.items():
            if load_id != besides and plugin.life.manifest is not None and plugin.life.plugin_id == plugin_id:
                return plugin
        return None

    # Facts about plugins.

    def note(self, message: Any, sender: Address) -> None:
        """Feed a fact about a plugin to its life, or one about a swap to that."""
        if message.load_id in self.swaps:
            self.swaps.note(message, sender)
            return
        plugin = self._plugins.get(message.load_id)
        if plugin is None:
            return
        if plugin.actor is not None and isinstance(message, m.PluginStarted):
            plugin.actor = sender
        if self._is_answer(message, sender, plugin):
            self._obey(message.load_id, plugin, self._to_directives(message, plugin))

    def _to_directives(self, message: Any, plugin: Plugin) -> Iterable[Directive]:
        life = plugin.life
        match message:
            case m.BundlePrepared():
                self._loader_done_with_one(plugin.order)
                return self._prepared(message.load_id, plugin, message)
            case m.PolicyDecided():
                return life.policy_decided(message.policy) if message.policy else self._failed(life, message.error)
            case m.PluginRegistered():
                return life.registered(message.registration)
            case m.StepFailed():
                if life.stage is Stage.PREPARING:
                    self._loader_done_with_one(plugin.order)
                return self._failed(life, message.error)
            case m.PluginStarted():
                if plugin.announced:
                    return life.worker_restarted()
                plugin.announced = True
                return life.actor_ready(self._new_route(life))
            case m.PluginStartFailed():
                return life.restart_failed(_as_ours(life.plugin_id, message.error))
            case m.WorkerCrashed():
                return life.worker_crashed(message.reason, message.restart_in_s)
            case m.ThresholdPassed():
                return life.threshold_passed(message.reason)
            case m.PluginDrained():
                self._unloaded[life.plugin_id] = message.dead_lettered
                return life.plugin_drained(message.unload_error or "")
            case m.RouteSet():
                self._version = plugin.order.version = message.version
                self.swaps.route_set(message.load_id)
                return life.route_set()
            case m.RouteDropped():
                plugin.told = None
                self._version = plugin.order.version = message.version
                return life.route_dropped()
            case m.PluginUnregistered():
                return life.unregistered()
        raise TypeError(f"unknown message {message!r}")

    def _failed(self, life: PluginLife, error: BaseException | None) -> Iterable[Directive]:
        return life.step_failed(_as_ours(life.plugin_id, error))

    def _new_route(self, life: PluginLife) -> m.Route:
        self._epoch += 1
        return plans.route(life, self._root.boot.settings.limits, self._epoch)

    # Doing what a life says.

    def _obey(self, load_id: int, plugin: Plugin, directives: Iterable[Directive]) -> None:
        for directive in directives:
            match directive:
                case Publish():
                    self._root.publish(Event(directive.kind, plugin.life.plugin_id, directive.reason))
                case RestartIn():
                    self._root.alarm(("restart", load_id), directive.after_s)
                case Do():
                    self._actions[directive](self, load_id, plugin)
                case _:
                    assert_never(directive)
        self._go_on()

    def _go_on(self) -> None:
        """Let those go on whose dependencies are there, or will never be, and those go whom nobody needs any more."""
        if self._going_on:
            return
        self._going_on = True
        try:
            while self._load_due() or self._unload_due():
                pass
        finally:
            self._going_on = False
        self._start_waiting()

    def _load_due(self) -> bool:
        due = loads_due(self._plugins, CONCURRENT_LOADS - self._under_way())
        for load_id, error in due:
            plugin = self._plugins[load_id]
            self._obey(load_id, plugin, plugin.life.step_failed(error) if error else plugin.life.dependencies_met())
        return bool(due)

    def _unload_due(self) -> bool:
        due = unloads_due(self._plugins)
        for load_id in due:
            self._unload_now(load_id, self._plugins[load_id])
        return bool(due)

    def _unload_now(self, load_id: int, plugin: Plugin) -> None:
        self._root.cancel_alarm(("leave", load_id))
        plugin.drain_s = max(0.0, (plugin.leaves_by or 0.0) - time.monotonic())
        self._obey(load_id, plugin, plugin.life.unload(keep_row=self._stopping))

    def _await_dependencies(self, load_id: int, plugin: Plugin) -> None:
        # Those that it waits for have times of their own.
        self._root.cancel_alarm(("load", load_id))

    def _decide_policy(self, load_id: int, plugin: Plugin) -> None:
        self._expect_progress(load_id)
        life = plugin.life
        assert life.manifest is not None
        question = m.DecidePolicy(load_id, life.plugin_id, life.manifest.sandbox, life.spec.sandbox)
        self._ask("guard", plugin, question)

    def _register(self, load_id: int, plugin: Plugin) -> None:
        life = plugin.life
        assert life.manifest is not None
        self._ask("registry", plugin, m.Register(load_id, plans.registration(life)))

    def _spawn_actor(self, load_id: int, plugin: Plugin) -> None:
        plugin.actor = self._root.create(PluginActor)
        plugin.pid = self._root.pid_of_last_child()
        plugin.announced = False
        self._expect_progress(load_id)
        sessions = tuple(self._root.sessions.values())
        self._root.send(
            plugin.actor,
            plans.start(
                load_id,
                plugin.life,
                self._root.boot,
                self._root.essential,
                sessions,
                self._root.epochs["dispatcher"],
            ),
        )

    def set_route(self, load_id: int, plugin: Plugin) -> None:
        """Let the dispatcher know how the plugin is now."""
        self._set_route(load_id, plugin)

    def _set_route(self, load_id: int, plugin: Plugin) -> None:
        life = plugin.life
        if life.route is None:
            return
        if life.stage is Stage.CLOSING:
            # The answer has to travel through the plugin actor, which may never look at it.
            self._root.alarm(("drain", load_id), self._root.boot.settings.system.stop_timeout_s)
        shown = "ready" if life.stage is Stage.OPENING else life.state
        life.route = attrs.evolve(life.route, state=shown)
        self._asked += 1
        plugin.first_epoch = plugin.first_epoch or life.route.epoch
        plugin.told = m.SetRoute(load_id, life.route, plugin.actor, self._asked, first_epoch=plugin.first_epoch)
        self._ask("dispatcher", plugin, plugin.told)

    def _note_state(self, load_id: int, plugin: Plugin) -> None:
        self._root.send(self._root.essential["registry"], m.NoteState(plugin.life.plugin_id, plugin.life.state))

    def _quarantine(self, load_id: int, plugin: Plugin) -> None:
        self._root.cancel_alarm(("restart", load_id))
        if plugin.actor is None:
            return
        self._root.send(plugin.actor, m.Quarantine(plugin.life.quarantine_reason))
        if not plugin.announced:
            # It will not say any more that it is ready, and frames for the epoch of the last one would wait for ever.
            plugin.announced = True
            plugin.life.route = self._new_route(plugin.life)

    def _drain(self, load_id: int, plugin: Plugin) -> None:
        reason = "system stopped" if self._stopping else "unloaded"
        self._root.send(plugin.actor, m.DrainPlugin(plugin.drain_s, reason))
        self._root.alarm(("drain", load_id), plugin.drain_s + self._root.boot.settings.system.stop_timeout_s + GRACE_S)

    def _stop_actor(self, load_id: int, plugin: Plugin) -> None:
        self._root.stop_child(plugin.actor)
        self._root.alarm(("kill", load_id), GRACE_S)

    def _drop_route(self, load_id: int, plugin: Plugin) -> None:
        self._ask("dispatcher", plugin, m.DropRoute(load_id, plugin.life.plugin_id, plugin.life.drained))

    def _unregister(self, load_id: int, plugin: Plugin) -> None:
        self._ask("registry", plugin, m.Unregister(load_id, plugin.life.plugin_id))

    def _forget_policy(self, load_id: int, plugin: Plugin) -> None:
        self._root.send(self._root.essential["guard"], m.ForgetPolicy(plugin.life.plugin_id))

    def _remove_files(self, load_id: int, plugin: Plugin) -> None:
        remove(plugin.life.directory)
        if plugin.life.bundle_directory:
            remove(plugin.life.bundle_directory)

    def _answer_load(self, load_id: int, plugin: Plugin) -> None:
        life, order = plugin.life, plugin.order
        error = life.error or (SystemStopped("it is stopping") if life.stage is Stage.GONE else None)
        order.results[plugin.index] = error or life.registration
        if error is not None and life.manifest is not None:
            order.failed[life.manifest.name] = str(error)
        order.waiting -= 1
        # Somebody may have wished to unload it while its load was being undone.
        self._answer_questions(plugin)
        self._start_waiting()
        if order.waiting == 0:
            self._orders.remove(order)
            question = order.question
            self._root.send(question.reply_to, m.Reply(question.request_id, order.results, version=order.version))

    def _answer_unload(self, load_id: int, plugin: Plugin) -> None:
        self._unloaded.setdefault(plugin.life.plugin_id, 0)
        self._answer_questions(plugin)

    def _answer_questions(self, plugin: Plugin) -> None:
        for question in plugin.unloads:
            self._root.send(question.reply_to, m.Reply(question.request_id, version=self._version))
        plugin.unloads.clear()

    def _forget(self, load_id: int, plugin: Plugin) -> None:
        del self._plugins[load_id]
        self.swaps.plugin_gone(load_id)
        for name in ("restart", "drain", "kill", "load", "leave"):
            self._root.cancel_alarm((name, load_id))
        self._start_waiting()
        self._when_empty()

    _actions: ClassVar[dict[Do, Callable[[Roster, int, Plugin], None]]] = {
        Do.AWAIT_DEPENDENCIES: _await_dependencies,
        Do.DECIDE_POLICY: _decide_policy,
        Do.REGISTER: _register,
        Do.SPAWN_ACTOR: _spawn_actor,
        Do.SET_ROUTE: _set_route,
        Do.NOTE_STATE: _note_state,
        Do.QUARANTINE: _quarantine,
        Do.DRAIN: _drain,
        Do.STOP_ACTOR: _stop_actor,
        Do.DROP_ROUTE: _drop_route,
        Do.UNREGISTER: _unregister,
        Do.FORGET_POLICY: _forget_policy,
        Do.REMOVE_FILES: _remove_files,
        Do.ANSWER_LOAD: _answer_load,
        Do.ANSWER_UNLOAD: _answer_unload,
        Do.FORGET: _forget,
    }

    # Commands about loaded plugins.

    def unload(self, question: m.UnloadPlugin) -> None:
        """Drain and remove one plugin, and with ``cascade`` those that need it before."""
        plugin = self._find(question.plugin_id)
        if plugin is None:
            forget = m.ForgetRegistration(question.request_id, question.reply_to, question.plugin_id)
            self._root.send(self._root.essential["registry"], forget)
            return
        if plugin.life.state == "starting":
            error = PluginNotLoaded(question.plugin_id, plugin.life.state)
            self._root.send(question.reply_to, m.Reply(question.request_id, error=error))
            return
        load_id = self._load_id(plugin)
        needed = needed_by(self._plugins, load_id)
        if needed and not question.cascade:
            refusal = dependents_loaded(self._plugins, load_id, needed)
            self._root.send(question.reply_to, m.Reply(question.request_id, error=refusal))
            return
        plugin.unloads.append(question)
        for other in needed:
            if self._plugins[other].life.stage in LOADING:
                self._obey(other, self._plugins[other], bereft(self._plugins, other, load_id))
        self._send_away([load_id, *needed], question.drain_s)
        self._go_on()

    def _send_away(self, load_ids: Iterable[int], drain_s: float) -> None:
        """Let these go, each as soon as those are gone that need it, and at the latest when it should be drained."""
        now = time.monotonic()
        for load_id in load_ids:
            plugin = self._plugins.get(load_id)
            if plugin is not None and plugin.life.stage not in ENDING:
                plugin.leaves_by = now + drain_s
                self._root.alarm(("leave", load_id), drain_s + self._root.boot.settings.system.stop_timeout_s)

    def _load_id(self, plugin: Plugin) -> int:
        return next(load_id for load_id, other in self._plugins.items() if other is plugin)

    def pause(self, question: m.PausePlugin) -> None:
        """Pause or resume one plugin; its plugin actor answers."""
        plugin = self._find(question.plugin_id)
        if plugin is None or plugin.actor is None or plugin.life.stage not in (Stage.READY, Stage.PAUSED):
            error: NyxPluginError = PluginNotRegistered(question.plugin_id)
            if plugin is not None:
                error = PluginNotLoaded(question.plugin_id, plugin.life.state)
            self._root.send(question.reply_to, m.Reply(question.request_id, error=error))
            return
        self._obey(self._load_id(plugin), plugin, plugin.life.paused(question.paused))
        self._root.send(plugin.actor, question)

    def unload_all(self, drain_s: float) -> None:
        """Unload everything because the system stops; registrations stay."""
        self._stopping = True
        self._killed.clear()
        self._unloaded.clear()
        for plugin in self._plugins.values():
            if plugin.life.stage in ENDING:
                plugin.life.unload(keep_row=True)
        self._send_away(list(self._plugins), drain_s)
        self._go_on()

    def unloaded(self) -> m.Unloaded:
        """Tell what became of the plugins since the system began to stop."""
        return m.Unloaded(tuple(sorted(self._unloaded)), sum(self._unloaded.values()), tuple(self._killed))

    # Ends and alarms.

    def child_exited(self, child: Address) -> None:
        """Tell a loader's end and a plugin actor's apart."""
        if self.swaps.loader_exited(child):
            return
        for order in self._orders:
            if same(order.loader, child):
                order.loader = None
                self._loader_died(order)
                return
        for load_id, plugin in list(self._plugins.items()):
            if same(plugin.actor, child):
                plugin.actor = None
                self._root.cancel_alarm(("kill", load_id))
                self.swaps.actor_exited(load_id)
                self._obey(load_id, plugin, plugin.life.actor_exited(time.monotonic(), random.random()))
                return

    def _loader_died(self, order: LoadOrder) -> None:
        """It read one bundle after the other: the first that is not prepared is to blame, the others try again."""
        unread = [
            (load_id, plugin)
            for load_id, plugin in self._plugins.items()
            if plugin.order is order and plugin.started and plugin.life.stage is Stage.PREPARING
        ]
        for load_id, plugin in reversed(unread[1:]):
            plugin.started = False
            self._root.cancel_alarm(("load", load_id))
            remove(plugin.life.directory)
            self._waiting.appendleft(load_id)
        for load_id, plugin in unread[:1]:
            order.preparing -= 1
            error = BundleError(plugin.life.spec.bundle, "the loader that was reading it ended")
            self._obey(load_id, plugin, plugin.life.step_failed(error))

    def alarm(self, what: str, load_id: int) -> None:
        """A backoff is over, or somebody has not answered in time."""
        if what == "swap":
            self.swaps.alarm(load_id)
            return
        plugin = self._plugins.get(load_id)
        if plugin is None:
            return
        if what == "restart":
            self._obey(load_id, plugin, plugin.life.restart_due())
        elif what == "drain":
            self._obey(load_id, plugin, plugin.life.drain_timed_out())
        elif what == "load":
            self._load_timed_out(load_id, plugin)
        elif what == "leave":
            self._unload_now(load_id, plugin)
        else:
            plugin.life.actor_killed()
            self._killed.append(f"plugin actor of plugin {plugin.life.plugin_id} ({plugin.pid})")
            kill(plugin.pid)

    def _expect_progress(self, load_id: int) -> None:
        """Reading a bundle and starting its plugin may take the configured time each, and some grace."""
        self._root.alarm(("load", load_id), self._root.boot.settings.system.load_timeout_s + GRACE_S)

    def _load_timed_out(self, load_id: int, plugin: Plugin) -> None:
        if plugin.life.stage is Stage.PREPARING:
            # A loader that does not answer can't be asked to end.
            kill(plugin.order.loader_pid)
        elif plugin.life.stage in LOADING:
            error = PluginFailed(plugin.life.plugin_id, "its plugin actor did not answer in time", plugin.life.stage)
            self._obey(load_id, plugin, plugin.life.step_failed(error))


_ANSWERED_BY: dict[type, str] = {
    m.PolicyDecided: "guard",
    m.PluginRegistered: "registry",
    m.StepFailed: "registry",
    m.PluginUnregistered: "registry",
    m.RouteSet: "dispatcher",
    m.RouteDropped: "dispatcher",
}


def _as_ours(plugin_id: int, error: BaseException | None) -> NyxPluginError:
    return error if isinstance(error, NyxPluginError) else PluginFailed(plugin_id, str(error), "load")
