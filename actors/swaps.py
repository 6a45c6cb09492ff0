"""The swaps under way in one system: it feeds their lives with what happened and does what they say.

Part of the roster, and so of the supervisor's process; it decides nothing itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import attrs

from ..config.errors import NyxPluginError
from ..plugins.errors import BundleError, PluginNotLoaded, PluginNotRegistered, SwapFailed, SwapRefused, SystemStopped
from ..plugins.manifest import Manifest
from ..plugins.permissions import known_permissions
from . import messages as m
from . import plans
from ._thespian import Address, same
from .dependencies import PluginNode, check_swap
from .events import Event, EventKind
from .lifecycle import PluginLife
from .loader import Loader
from .precedence import node, others
from .processes import kill
from .removal import Removal
from .root import Root
from .swap_life import SWAPPABLE, DoSwap, Record, Step, SwapLife

if TYPE_CHECKING:
    from .plugin_book import Plugin

# Beyond the times that the plugin actor keeps to, in seconds.
GRACE_S = 2.0
# Starting the new workers, waiting for the end of what the old ones have in hand, and moving over.
TIMEOUTS = 3


class Plugins(Protocol):
    """The roster, as swaps see it."""

    @property
    def plugins(self) -> dict[int, Plugin]:
        """All of them by load id."""

    @property
    def is_stopping(self) -> bool:
        """Whether nothing new may be begun."""

    @property
    def version(self) -> int:
        """Of the routes that the dispatcher has confirmed."""

    def new_id(self) -> int:
        """An id that neither a load nor a swap has had."""

    def give_session(self, plugin: Plugin, actor: Address, manifest: Manifest | None) -> None:
        """Let a plugin that depends on others send frames to them, if it could not before."""

    def set_route(self, load_id: int, plugin: Plugin) -> None:
        """Let the dispatcher know how the plugin is now; :meth:`Swaps.route_set` follows."""


@attrs.define(eq=False)
class Swap:
    """What is held for one swap besides its life."""

    life: SwapLife
    plugin: Plugin
    load_id: int
    question: m.SwapPluginFor
    loader: Address | None = None
    loader_pid: int = 0
    asked: dict[str, Any] = attrs.field(factory=dict)
    """What an essential actor, by role, has not answered yet; it is told again if one has been restarted."""


class Swaps:
    """Those under way, by an id that no load has."""

    def __init__(self, root: Root, plugins: Plugins, removal: Removal) -> None:
        self._root = root
        self._removal = removal
        self._plugins = plugins
        self._swaps: dict[int, Swap] = {}
        self._ending: list[tuple[Address, str]] = []
        """Loaders that were killed at work, and where they wrote: that goes when they have ended."""

    def __contains__(self, swap_id: object) -> bool:
        return swap_id in self._swaps

    def begin(self, question: m.SwapPluginFor) -> None:
        """Begin with a swap, unless it can't be."""
        load_id, plugin = self._find(question.plugin_id)
        refusal = self._refusal(question.plugin_id, plugin)
        if refusal is not None or plugin is None:
            self._root.send(question.reply_to, m.Reply(question.request_id, error=refusal))
            return
        swap_id = self._plugins.new_id()
        directory = str(Path(self._root.boot.runtime_dir) / "plugins" / str(swap_id))
        life = SwapLife(plugin.life, question.bundle, directory, question.allow_widen, question.dry_run)
        self._swaps[swap_id] = Swap(life, plugin, load_id, question)
        self._obey(swap_id, life.begin())

    def _find(self, plugin_id: int) -> tuple[int, Plugin | None]:
        for load_id, plugin in self._plugins.plugins.items():
            if plugin.life.manifest is not None and plugin.life.plugin_id == plugin_id:
                return load_id, plugin
        return 0, None

    def _refusal(self, plugin_id: int, plugin: Plugin | None) -> NyxPluginError | None:
        if self._plugins.is_stopping:
            return SystemStopped("it is stopping")
        if plugin is None:
            return PluginNotRegistered(plugin_id)
        if plugin.life.stage not in SWAPPABLE:
            return PluginNotLoaded(plugin_id, plugin.life.state)
        if any(swap.plugin is plugin for swap in self._swaps.values()):
            return SwapRefused(plugin_id, ("another swap of it is under way",))
        return None

    # Facts.

    def note(self, message: Any, sender: Address) -> None:
        """Feed a fact about a swap to its life."""
        swap = self._swaps[message.load_id]
        self._obey(message.load_id, self._to_directives(message, swap))

    def _to_directives(self, message: Any, swap: Swap) -> Iterable[DoSwap]:
        life = swap.life
        match message:
            case m.BundlePrepared():
                self._dismiss_loader(swap)
                return life.prepared(message.manifest, message.digest, message.signed_by)
            case m.PolicyDecided():
                swap.asked.pop("guard", None)
                return life.decided(message.policy) if message.policy else self._failed(life, message.error)
            case m.ReplacementPlanned():
                swap.asked.pop("registry", None)
                return self._planned(swap, message)
            case m.StepFailed():
                self._dismiss_loader(swap)
                return self._failed(life, message.error)
            case m.PluginSwapped():
                return life.switched(message.pause_s, message.state_carried)
            case m.SwapAbandoned():
                return self._failed(life, message.error)
            case m.OldVersionStopped():
                return life.recorded(Record.RETIRED)
            case m.RegistrationReplaced():
                swap.plugin.life.registration = message.registration
                return life.recorded(Record.ROW)
            case m.PermissionsInForce():
                # The registry's own answer may have been lost with it: then the next one is asked.
                return life.recorded(Record.PERMISSIONS)
        raise TypeError(f"unknown message {message!r}")

    def _planned(self, swap: Swap, message: m.ReplacementPlanned) -> Iterable[DoSwap]:
        """Nobody may have come or gone that the new version could not do with."""
        new = _node(swap.life)
        try:
            check_swap(node(swap.plugin), new, list(others(self._plugins.plugins, swap.load_id).values()))
        except NyxPluginError as error:
            return swap.life.failed(error)
        swap.plugin.successor = swap.life.manifest
        return swap.life.planned(message.before, message.after)

    def _failed(self, life: SwapLife, error: BaseException | None) -> Iterable[DoSwap]:
        if not isinstance(error, NyxPluginError):
            error = SwapFailed(life.plugin_id, life.step, str(error))
        return life.failed(error)

    def route_set(self, load_id: int) -> None:
        """The dispatcher knows the plugin as it is now."""
        self._each_of(load_id, lambda life: life.recorded(Record.ROUTE))

    def actor_exited(self, load_id: int) -> None:
        """The plugin actor has ended, and its workers with it: up to the switch, the old version is started again."""
        self._each_of(load_id, _without_actor)

    def plugin_gone(self, load_id: int) -> None:
        """The plugin is not there any more."""
        self._each_of(load_id, lambda life: life.plugin_ends("it was unloaded"))

    def _each_of(self, load_id: int, event: Callable[[SwapLife], Iterable[DoSwap]]) -> None:
        for swap_id, swap in list(self._swaps.items()):
            if swap.load_id == load_id:
                self._obey(swap_id, event(swap.life))

    def tell_again(self, role: str) -> None:
        """Ask this actor, which was started again, what the one before it has not answered."""
        for swap in self._swaps.values():
            # What the registry is asked is answered by the dispatcher in the end.
            roles = ("registry",) if role == "dispatcher" else (role,)
            for other in roles:
                if other in swap.asked:
                    self._root.send(self._root.essential[other], swap.asked[other])

    def loader_exited(self, child: Address) -> bool:
        """Whether it was the loader of a swap, and at work: the swap has failed, if it is not over anyway."""
        for loader, directory in self._ending:
            if same(loader, child):
                self._ending.remove((loader, directory))
                self._removal.remove(directory)
                return True
        for swap_id, swap in list(self._swaps.items()):
            if swap.loader is not None and same(swap.loader, child):
                swap.loader = None
                error = BundleError(swap.life.bundle, "the loader that was reading it ended")
                self._obey(swap_id, swap.life.failed(error))
                return True
        return False

    def alarm(self, swap_id: int) -> None:
        """Somebody has not answered in time, and is ended: that fails the swap."""
        swap = self._swaps.get(swap_id)
        if swap is not None and swap.life.step is Step.PREPARING:
            kill(swap.loader_pid)
        elif swap is not None and swap.life.step is Step.SWITCHING:
            kill(swap.plugin.pid)

    # Doing what a life says.

    def _obey(self, swap_id: int, directives: Iterable[DoSwap]) -> None:
        for directive in directives:
            self._actions[directive](self, swap_id, self._swaps[swap_id])

    def _prepare(self, swap_id: int, swap: Swap) -> None:
        settings = self._root.boot.settings
        swap.loader = self._root.create(Loader)
        swap.loader_pid = self._root.pid_of_last_child()
        trusted, known = settings.ceiling.trusted_keys, known_permissions(settings.frame_types)
        self._root.send(swap.loader, m.PrepareBundle(swap_id, swap.life.bundle, swap.life.directory, trusted, known))
        self._root.alarm(("swap", swap_id), settings.system.load_timeout_s + GRACE_S)

    def _decide_policy(self, swap_id: int, swap: Swap) -> None:
        assert swap.life.manifest is not None
        override = swap.plugin.life.spec.sandbox
        question = m.DecidePolicy(swap_id, swap.life.plugin_id, swap.life.manifest.sandbox, override, for_swap=True)
        self._ask(swap, "guard", question)

    def _dismiss_loader(self, swap: Swap) -> None:
        if swap.loader is not None:
            self._root.stop_child(swap.loader)
            swap.loader = None

    def _plan(self, swap_id: int, swap: Swap) -> None:
        self._ask(swap, "registry", m.PlanReplacement(swap_id, _row(swap)))

    def _ask(self, swap: Swap, role: str, question: Any) -> None:
        swap.asked[role] = question
        self._root.send(self._root.essential[role], question)

    def _switch(self, swap_id: int, swap: Swap) -> None:
        life, timeout_s = swap.life, swap.question.timeout_s
        assert life.manifest is not None and life.policy is not None
        self._plugins.give_session(swap.plugin, swap.plugin.actor, life.manifest)
        order = m.SwapPlugin(swap_id, life.manifest, life.policy, life.digest, life.directory, timeout_s)
        self._root.send(swap.plugin.actor, order)
        self._root.alarm(("swap", swap_id), TIMEOUTS * timeout_s + GRACE_S)

    def _adopt(self, swap_id: int, swap: Swap) -> None:
        self._root.cancel_alarm(("swap", swap_id))
        old, new = swap.plugin.life, swap.life
        assert new.manifest is not None and new.policy is not None
        old.become(new.bundle, new.directory, new.manifest, new.digest, new.signed_by, new.policy)
        old.restarts = ()
        old.child = plans.plugin_actor_spec(self._root.boot.settings, new.manifest.restart)

    def _record(self, swap_id: int, swap: Swap) -> None:
        self._ask(swap, "registry", m.ReplaceRegistration(swap_id, _row(swap)))

    def _set_route(self, swap_id: int, swap: Swap) -> None:
        # Where there is no plugin actor, the next one brings the route along.
        if swap.plugin.actor is not None and swap.plugin.announced:
            self._plugins.set_route(swap.load_id, swap.plugin)

    def _remove_old(self, swap_id: int, swap: Swap) -> None:
        for path in _left_behind(swap.plugin.life):
            self._removal.remove(path)

    def _remove_new(self, swap_id: int, swap: Swap) -> None:
        if swap.loader is None:
            self._removal.remove(swap.life.directory)
            return
        self._ending.append((swap.loader, swap.life.directory))
        swap.loader = None
        kill(swap.loader_pid)

    def _publish(self, swap_id: int, swap: Swap) -> None:
        report, error = swap.life.report, swap.life.error
        if report is None:
            self._root.publish(Event(EventKind.SWAP_FAILED, swap.life.plugin_id, str(error)))
        else:
            what = f"{report.old_version} -> {report.new_version}"
            self._root.publish(Event(EventKind.SWAPPED, swap.life.plugin_id, what))

    def _answer(self, swap_id: int, swap: Swap) -> None:
        question, life = swap.question, swap.life
        reply = m.Reply(question.request_id, life.report, life.error, self._plugins.version)
        self._root.send(question.reply_to, reply)

    def _forget(self, swap_id: int, swap: Swap) -> None:
        self._root.cancel_alarm(("swap", swap_id))
        swap.plugin.successor = None
        del self._swaps[swap_id]

    _actions: ClassVar[dict[DoSwap, Callable[[Swaps, int, Swap], None]]] = {
        DoSwap.PREPARE: _prepare,
        DoSwap.DECIDE_POLICY: _decide_policy,
        DoSwap.PLAN: _plan,
        DoSwap.SWITCH: _switch,
        DoSwap.ADOPT: _adopt,
        DoSwap.RECORD: _record,
        DoSwap.SET_ROUTE: _set_route,
        DoSwap.REMOVE_OLD: _remove_old,
        DoSwap.REMOVE_NEW: _remove_new,
        DoSwap.PUBLISH: _publish,
        DoSwap.ANSWER: _answer,
        DoSwap.FORGET: _forget,
    }


def _without_actor(life: SwapLife) -> Iterable[DoSwap]:
    if life.step is Step.SWITCHING:
        return life.plugin_ends("its plugin actor ended", goes_on=True)
    return life.recorded(Record.RETIRED)


def _row(swap: Swap) -> m.Registration:
    """The new version's row; which permissions are granted, the registry knows."""
    life = swap.life
    assert life.manifest is not None
    wanted = attrs.evolve(swap.plugin.life.spec, plugin_id=life.plugin_id)
    new = PluginLife(wanted, swap.plugin.life.child, manifest=life.manifest)
    new.digest, new.signed_by, new.stage = life.digest, life.signed_by, swap.plugin.life.stage
    return plans.registration(new)


def _node(life: SwapLife) -> PluginNode:
    assert life.manifest is not None
    manifest = life.manifest
    return PluginNode(life.plugin_id, manifest.name, manifest.version, "ready", manifest.requires, manifest.optional)


def _left_behind(life: PluginLife) -> list[Path]:
    """What is there of the version before the present one."""
    if life.former_directory:
        return [Path(life.former_directory)]
    return [path for path in Path(life.directory).glob("*") if path.name.startswith(("bundle", "scratch"))]
