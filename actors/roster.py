"""The roster: all plugins of one system. It feeds their lives with what happened and has done what they say.

Part of the supervisor's process; it decides nothing itself.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable
from typing import Any

import attrs

from ..config.errors import NyxPluginError
from ..plugins.errors import PluginFailed, PluginNotFailed, PluginNotLoaded, PluginNotRegistered
from ..plugins.manifest import Manifest
from . import messages as m
from ._thespian import Address, same
from .changes import is_overtaken
from .deeds import Deeds
from .directives import Directive
from .lifecycle import PluginLife
from .loading import Loading
from .plugin_book import Plugin, PluginBook
from .precedence import bereft, dependents_loaded, loads_due, needed_by, unloads_due
from .removal import Removal
from .root import Root
from .stages import ENDING, GIVEN_UP, LOADING, Stage
from .swaps import Swaps
from .unanswered import Unanswered
from .word_book import WordBook


class Roster:
    """``when_empty`` is called whenever a plugin is gone: there may be none any more."""

    def __init__(self, root: Root, when_empty: Callable[[], None]) -> None:
        self._root = root
        self._plugins = PluginBook()
        self.removal = Removal(root)
        self._loading = Loading(root, self._plugins, self.removal)
        self.unanswered = Unanswered(root, self._plugins)
        self.swaps = Swaps(root, self, self.removal)
        self.words = WordBook()
        gone = self.swaps.plugin_gone
        self._deeds = Deeds(root, self._plugins, self._loading, self.unanswered, self.removal, gone, when_empty)
        self._going_on = False

    @property
    def plugins(self) -> PluginBook:
        """All of them by load id."""
        return self._plugins

    @property
    def is_stopping(self) -> bool:
        """Whether nothing new may be begun."""
        return self._plugins.stopping

    @property
    def version(self) -> int:
        """Of the routes that the dispatcher has confirmed."""
        return self._plugins.version

    def new_id(self) -> int:
        """An id that neither a load nor a swap has had."""
        return self._plugins.new_id()

    def give_session(self, plugin: Plugin, actor: Address, manifest: Manifest | None) -> None:
        """Let a plugin that depends on others send frames to them, if it could not before."""
        self._deeds.give_session(plugin, actor, manifest)

    def set_route(self, load_id: int, plugin: Plugin) -> None:
        """Let the dispatcher know how the plugin is now."""
        self._deeds.set_route(load_id, plugin)

    def __len__(self) -> int:
        return len(self._plugins)

    def tell_all(self, message: m.SessionJoined | m.SessionLeft | m.Introduce) -> None:
        """Send something to every plugin actor."""
        for plugin in self._plugins.values():
            if plugin.actor is not None:
                self._root.send(plugin.actor, message)

    # For essential actors that have been started again.

    def registrations(self) -> tuple[tuple[int, m.Registration], ...]:
        """Return the rows that the registry has to know, by load."""
        return self.unanswered.registrations()

    def guarded(self) -> tuple[m.GuardedPlugin, ...]:
        """Return what the guard has to know of plugins that have a policy."""
        return self.unanswered.guarded()

    def tell_again(self, role: str) -> None:
        """Tell this actor what the one before it knew, and what it has not answered."""
        self.unanswered.tell_again(role)
        if role != "dispatcher":
            self.swaps.tell_again(role)

    def ask_again(self) -> None:
        """Ask the registry anew for what the dispatcher answers, and what has no answer."""
        self.unanswered.forget_again()
        self.swaps.tell_again("dispatcher")

    # Facts about plugins.

    def note(self, message: Any, sender: Address) -> None:
        """Feed a fact about a plugin to its life, or one about a swap to that."""
        if message.load_id in self.swaps:
            self.swaps.note(message, sender)
            return
        plugin = self._plugins.get(message.load_id)
        if plugin is None or any(same(sender, former) for former in plugin.former):
            return
        if plugin.actor is not None and isinstance(message, m.PluginStarted):
            plugin.actor = sender
        if self.unanswered.is_answer(message, sender, plugin):
            self._obey(message.load_id, plugin, self._to_directives(message, plugin))

    def _to_directives(self, message: Any, plugin: Plugin) -> Iterable[Directive]:
        life = plugin.life
        match message:
            case m.BundlePrepared():
                return self._loading.prepared(message.load_id, plugin, message)
            case m.PolicyDecided():
                return life.policy_decided(message.policy) if message.policy else _failed(life, message.error)
            case m.PluginRegistered():
                return life.registered(message.registration)
            case m.StepFailed():
                if life.stage is Stage.PREPARING:
                    self._loading.bundle_done(plugin.order)
                return life.step_failed(_as_ours(life.plugin_id, message.error), refused=True)
            case m.PluginStarted():
                if plugin.announced:
                    return life.worker_restarted()
                plugin.announced = True
                return life.actor_ready(self._deeds.new_route(life))
            case m.PluginStartFailed():
                return life.restart_failed(_as_ours(life.plugin_id, message.error))
            case m.WorkerCrashed():
                return life.worker_crashed(message.reason, message.restart_in_s, message.restarts, message.given_up)
            case m.ThresholdPassed():
                return life.threshold_passed(message.reason)
            case m.PluginDrained():
                self._plugins.unloaded[life.plugin_id] = message.dead_lettered
                self.words.note(life.plugin_id, message.last_words, self._root.sessions)
                return life.plugin_drained(message.unload_error or "")
            case m.RouteSet():
                self._plugins.version = plugin.order.version = message.version
                self.swaps.route_set(message.load_id)
                return life.route_set(plugin.announced)
            case m.RouteDropped():
                plugin.told = None
                self._plugins.version = plugin.order.version = message.version
                return life.route_dropped()
            case m.PluginUnregistered():
                return life.unregistered()
        raise TypeError(f"unknown message {message!r}")

    def note_permissions(self, message: m.PermissionsNoted) -> None:
        """Remember what the registry has changed, for a registry that has lost it."""
        plugin = self._plugins.named(message.plugin_id)
        if plugin is not None and plugin.life.registration is not None:
            plugin.life.registration = attrs.evolve(plugin.life.registration, granted=message.granted)

    def note_violation(self, message: m.ViolationNoted) -> None:
        """Remember what a worker is to blame for, for a guard that has ended."""
        plugin = self._plugins.named(message.plugin_id)
        if plugin is not None and not message.by_sender:
            limits = self._root.boot.settings.supervision
            most, within_s = limits.max_violations, limits.within_s
            plugin.violations.note(message.count, time.monotonic(), most=most, within_s=within_s)

    # What follows.

    def _obey(self, load_id: int, plugin: Plugin, directives: Iterable[Directive]) -> None:
        self._deeds.obey(load_id, plugin, directives)
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
        self._loading.go_on()

    def _load_due(self) -> bool:
        due = loads_due(self._plugins, self._loading.room)
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
        self._obey(load_id, plugin, plugin.life.unload(keep_row=self._plugins.stopping))

    # Commands.

    def load(self, question: m.LoadPlugins) -> None:
        """Load all of these; the reply follows when the last one is ready or undone."""
        self._loading.take(question)

    def unload(self, question: m.UnloadPlugin) -> None:
        """Drain and remove one plugin, and with ``cascade`` those that need it before."""
        plugin = self._plugins.named(question.plugin_id)
        if plugin is None:
            self.unanswered.forget(question)
            return
        if plugin.life.state == "starting":
            self._refuse(question, PluginNotLoaded(question.plugin_id, plugin.life.state))
            return
        load_id = self._plugins.load_of(plugin)
        needed = needed_by(self._plugins, load_id)
        if needed and not question.cascade:
            self._refuse(question, dependents_loaded(self._plugins, load_id, needed))
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

    def pause(self, question: m.PausePlugin) -> None:
        """Pause or resume one plugin; its plugin actor answers."""
        plugin = self._plugins.named(question.plugin_id)
        if plugin is None:
            self._refuse(question, PluginNotRegistered(question.plugin_id))
        elif plugin.actor is None or plugin.life.stage not in (Stage.READY, Stage.PAUSED):
            self._refuse(question, PluginNotLoaded(question.plugin_id, plugin.life.state))
        elif self._may_change(plugin, question, is_so=plugin.life.is_paused == question.paused):
            self._obey(self._plugins.load_of(plugin), plugin, plugin.life.paused(question.paused))
            self._root.send(plugin.actor, question)

    def reset(self, question: m.ResetPlugin) -> None:
        """Bring a plugin back that was given up; the reply follows when it is ready, or has failed again."""
        plugin = self._plugins.named(question.plugin_id)
        if plugin is None:
            self._refuse(question, PluginNotRegistered(question.plugin_id))
        elif plugin.life.stage not in GIVEN_UP and not plugin.resets:
            self._refuse(question, PluginNotFailed(question.plugin_id, plugin.life.state))
        else:
            plugin.resets.append(question)
            self._obey(self._plugins.load_of(plugin), plugin, plugin.life.reset())

    def _refuse(self, question: m.Question, error: NyxPluginError) -> None:
        self._root.send(question.reply_to, m.Reply(question.request_id, error=error))

    def scale(self, question: m.ScalePlugin) -> None:
        """Change the number of workers of one plugin; its plugin actor answers."""
        plugin = self._plugins.named(question.plugin_id)
        if plugin is None:
            self._refuse(question, PluginNotRegistered(question.plugin_id))
        elif plugin.actor is None or plugin.life.stage not in (Stage.READY, Stage.RESTARTING):
            self._refuse(question, PluginNotLoaded(question.plugin_id, plugin.life.state))
        elif self._may_change(plugin, question, is_so=plugin.life.spec.instances == question.instances):
            plugin.life.scaled(question.instances)
            self._root.send(plugin.actor, question)

    def _may_change(self, plugin: Plugin, question: m.PausePlugin | m.ScalePlugin, *, is_so: bool) -> bool:
        """Whether this is to be done; a copy that comes too late is answered, and what was done since stands."""
        what = type(question).__name__
        if is_overtaken(question.asked_at, plugin.changes.at(what)):
            if not is_so:
                self._root.send(question.reply_to, m.Reply(question.request_id))
            return is_so
        plugin.changes.note(what, time.monotonic())
        return True

    # The end of the system.

    def unload_all(self, drain_s: float) -> None:
        """Unload everything because the system stops, the newest first; registrations stay."""
        self._plugins.begin_to_stop()
        for plugin in self._plugins.values():
            if plugin.life.stage in ENDING:
                plugin.life.unload(keep_row=True)
        self._send_away(reversed(self._plugins), drain_s)
        self._go_on()

    def unloaded(self) -> m.Unloaded:
        """Tell what became of the plugins since the system began to stop."""
        return self._plugins.report()

    def abandon(self) -> None:
        """Nothing can go on: ask all plugin actors to end, the newest first, whatever they have in hand."""
        for plugin in reversed(self._plugins.values()):
            if plugin.actor is not None:
                self._root.stop_child(plugin.actor)

    # Ends and alarms.

    def child_exited(self, child: Address) -> None:
        """Tell the ends of a remover, of a loader and of a plugin actor apart."""
        if self.removal.remover_exited(child) or self.swaps.loader_exited(child):
            return
        found = self._loading.loader_exited(child)
        if isinstance(found, tuple):
            load_id, error = found
            self._obey(load_id, self._plugins[load_id], self._plugins[load_id].life.step_failed(error))
        elif not found:
            self._actor_exited(child)

    def _actor_exited(self, child: Address) -> None:
        for load_id, plugin in list(self._plugins.items()):
            if same(plugin.actor, child):
                plugin.actor = None
                self._root.leave(plugin.session)
                plugin.session = 0
                plugin.former.append(child)
                self._root.cancel_alarm(("kill", load_id))
                self.swaps.actor_exited(load_id)
                self._obey(load_id, plugin, plugin.life.actor_exited(time.monotonic(), random.random()))
                return

    def alarm(self, what: str, load_id: int) -> None:
        """A backoff is over, or somebody has not answered in time."""
        if what == "swap":
            self.swaps.alarm(load_id)
            return
        plugin = self._plugins.get(load_id)
        if plugin is None:
            return
        match what:
            case "restart":
                self._obey(load_id, plugin, plugin.life.restart_due())
            case "drain":
                self._obey(load_id, plugin, plugin.life.drain_timed_out(plugin.pid > 0))
            case "load":
                self._obey(load_id, plugin, self._loading.timed_out(plugin))
            case "leave":
                self._unload_now(load_id, plugin)
            case "kill":
                self._deeds.kill(plugin)


def _failed(life: PluginLife, error: BaseException | None) -> Iterable[Directive]:
    return life.step_failed(_as_ours(life.plugin_id, error))


def _as_ours(plugin_id: int, error: BaseException | None) -> NyxPluginError:
    return error if isinstance(error, NyxPluginError) else PluginFailed(plugin_id, str(error), "load")
