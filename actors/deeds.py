"""Doing what the lives of plugins say. Part of the supervisor's process, for its roster; it decides nothing itself."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from typing import ClassVar, assert_never

import attrs

from ..plugins.manifest import Manifest
from . import messages as m
from . import plans
from ._thespian import Address
from .directives import Directive, Do, Publish, RestartIn
from .events import Event
from .lifecycle import PluginLife
from .loading import GRACE_S, Loading
from .plugin_actor import PluginActor
from .plugin_book import Plugin, PluginBook
from .processes import kill
from .removal import Removal
from .root import Root
from .stages import Stage
from .unanswered import Unanswered
from .violations import ViolationLog

_ALARMS = ("restart", "drain", "kill", "load", "leave")


class Deeds:
    """``on_gone(load_id)`` is called for each plugin that is gone, and then ``when_empty``."""

    def __init__(
        self,
        root: Root,
        plugins: PluginBook,
        loading: Loading,
        unanswered: Unanswered,
        removal: Removal,
        on_gone: Callable[[int], None],
        when_empty: Callable[[], None],
    ) -> None:
        self._root = root
        self._plugins = plugins
        self._loading = loading
        self._unanswered = unanswered
        self._removal = removal
        self._on_gone = on_gone
        self._when_empty = when_empty
        self._epoch = 0

    def obey(self, load_id: int, plugin: Plugin, directives: Iterable[Directive]) -> None:
        """Do these, in order."""
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

    def new_route(self, life: PluginLife) -> m.Route:
        """The route to a plugin actor that is ready, with an epoch of its own."""
        self._epoch += 1
        return plans.route(life, self._root.boot, self._epoch)

    def kill(self, plugin: Plugin) -> None:
        """It was asked to end, and had its time."""
        plugin.life.actor_killed()
        self._plugins.killed.append(f"plugin actor of plugin {plugin.life.plugin_id} ({plugin.pid})")
        kill(plugin.pid)

    # Loading.

    def _await_dependencies(self, load_id: int, plugin: Plugin) -> None:
        # Those that it waits for have times of their own.
        self._root.cancel_alarm(("load", load_id))

    def _decide_policy(self, load_id: int, plugin: Plugin) -> None:
        self._loading.expect_progress(load_id)
        life = plugin.life
        assert life.manifest is not None
        question = m.DecidePolicy(load_id, life.plugin_id, life.manifest.sandbox, life.spec.sandbox)
        self._unanswered.ask("guard", plugin, question)

    def _register(self, load_id: int, plugin: Plugin) -> None:
        self._unanswered.ask("registry", plugin, m.Register(load_id, plans.registration(plugin.life)))

    def _spawn_actor(self, load_id: int, plugin: Plugin) -> None:
        actor = self._root.create(PluginActor)
        plugin.pid = self._root.pid_of_last_child()
        # Before it is told of anything: among the sessions that it is told of first is its own.
        self.give_session(plugin, actor, plugin.life.manifest)
        plugin.actor = actor
        plugin.announced = False
        self._loading.expect_progress(load_id)
        self._root.send(plugin.actor, plans.start(load_id, plugin.life, self._root))

    def give_session(self, plugin: Plugin, actor: Address, manifest: Manifest | None) -> None:
        """Let a plugin that depends on others send frames to them, if it could not before."""
        if not plugin.session and manifest is not None and (manifest.requires or manifest.optional):
            plugin.session = secrets.randbits(63) | 1
            self._root.join(m.SessionJoined(plugin.session, actor, (), False, plugin.life.plugin_id))

    def _answer_load(self, load_id: int, plugin: Plugin) -> None:
        # Somebody may have wished to unload it while its load was being undone.
        self._answer_unloads(plugin)
        self._loading.answer(plugin)

    # Running.

    def set_route(self, load_id: int, plugin: Plugin) -> None:
        """Let the dispatcher know how the plugin is now."""
        life = plugin.life
        if life.route is None:
            return
        if life.stage is Stage.CLOSING:
            # The answer has to travel through the plugin actor, which may never look at it, or has to come up first.
            start_s = GRACE_S if plugin.actor is not None and not plugin.announced else 0.0
            self._root.alarm(("drain", load_id), self._root.boot.settings.system.stop_timeout_s + start_s)
        if plugin.actor is not None and not plugin.announced:
            # It may never say that it is ready, and what its predecessor took along is sent again for a new epoch only.
            plugin.announced = True
            life.route = self.new_route(life)
        shown = "ready" if life.stage is Stage.OPENING else life.state
        stopping = self._plugins.stopping and shown == "draining"
        life.route = attrs.evolve(life.route, state=shown, stopping=stopping)
        self._unanswered.set_route(load_id, plugin, life.route)

    def _note_state(self, load_id: int, plugin: Plugin) -> None:
        self._root.send(self._root.essential["registry"], m.NoteState(plugin.life.plugin_id, plugin.life.state))

    def _quarantine(self, load_id: int, plugin: Plugin) -> None:
        self._root.cancel_alarm(("restart", load_id))
        if plugin.actor is None:
            return
        self._root.send(plugin.actor, m.Quarantine(plugin.life.quarantine_reason))

    def _forgive(self, load_id: int, plugin: Plugin) -> None:
        plugin.violations = ViolationLog()
        self._root.send(self._root.essential["guard"], m.ForgiveViolations(plugin.life.plugin_id))

    def _answer_reset(self, load_id: int, plugin: Plugin) -> None:
        error = plugin.life.reset_error
        for question in plugin.resets:
            self._root.send(question.reply_to, m.Reply(question.request_id, error=error, version=self._plugins.version))
        plugin.resets.clear()

    # Ending.

    def _drain(self, load_id: int, plugin: Plugin) -> None:
        reason = "system stopped" if self._plugins.stopping else "unloaded"
        self._root.send(plugin.actor, m.DrainPlugin(plugin.drain_s, reason, self._plugins.stopping))
        self._root.alarm(("drain", load_id), plugin.drain_s + self._root.boot.settings.system.stop_timeout_s + GRACE_S)

    def _stop_actor(self, load_id: int, plugin: Plugin) -> None:
        self._root.stop_child(plugin.actor)
        self._root.alarm(("kill", load_id), plugin.life.child.shutdown_s)

    def _kill_actor(self, load_id: int, plugin: Plugin) -> None:
        self.kill(plugin)

    def _drop_route(self, load_id: int, plugin: Plugin) -> None:
        life = plugin.life
        self._unanswered.ask("dispatcher", plugin, m.DropRoute(load_id, life.plugin_id, life.drained))

    def _unregister(self, load_id: int, plugin: Plugin) -> None:
        self._unanswered.ask("registry", plugin, m.Unregister(load_id, plugin.life.plugin_id))

    def _forget_policy(self, load_id: int, plugin: Plugin) -> None:
        self._root.send(self._root.essential["guard"], m.ForgetPolicy(load_id, plugin.life.plugin_id))

    def _remove_files(self, load_id: int, plugin: Plugin) -> None:
        self._removal.remove(plugin.life.directory)
        if plugin.life.bundle_directory:
            self._removal.remove(plugin.life.bundle_directory)
        durable = plans.durable_folder(self._root.boot, plugin.life)
        if durable and plugin.life.is_forsaken:
            # Its senders were told that they are dead letters.
            self._removal.remove(durable)

    def _answer_unload(self, load_id: int, plugin: Plugin) -> None:
        self._plugins.unloaded.setdefault(plugin.life.plugin_id, 0)
        self._answer_unloads(plugin)

    def _answer_unloads(self, plugin: Plugin) -> None:
        for question in plugin.unloads:
            self._root.send(question.reply_to, m.Reply(question.request_id, version=self._plugins.version))
        plugin.unloads.clear()

    def _forget(self, load_id: int, plugin: Plugin) -> None:
        del self._plugins[load_id]
        self._on_gone(load_id)
        for name in _ALARMS:
            self._root.cancel_alarm((name, load_id))
        self._loading.go_on()
        self._when_empty()

    _actions: ClassVar[dict[Do, Callable[[Deeds, int, Plugin], None]]] = {
        Do.AWAIT_DEPENDENCIES: _await_dependencies,
        Do.DECIDE_POLICY: _decide_policy,
        Do.REGISTER: _register,
        Do.SPAWN_ACTOR: _spawn_actor,
        Do.SET_ROUTE: set_route,
        Do.NOTE_STATE: _note_state,
        Do.QUARANTINE: _quarantine,
        Do.FORGIVE: _forgive,
        Do.ANSWER_RESET: _answer_reset,
        Do.DRAIN: _drain,
        Do.STOP_ACTOR: _stop_actor,
        Do.KILL_ACTOR: _kill_actor,
        Do.DROP_ROUTE: _drop_route,
        Do.UNREGISTER: _unregister,
        Do.FORGET_POLICY: _forget_policy,
        Do.REMOVE_FILES: _remove_files,
        Do.ANSWER_LOAD: _answer_load,
        Do.ANSWER_UNLOAD: _answer_unload,
        Do.FORGET: _forget,
    }
