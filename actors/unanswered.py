"""What the essential actors were asked and have not answered: whoever follows one that ended is asked again.

Part of the supervisor's process, for its roster.
"""

from __future__ import annotations

from typing import Any

import attrs

from . import messages as m
from ._thespian import Address, same
from .plugin_book import Plugin, PluginBook
from .root import Root
from .stages import Stage

# By whom a question of which kind is answered with what.
_ANSWERS: dict[type, tuple[str, type]] = {
    m.PolicyDecided: ("guard", m.DecidePolicy),
    m.PluginRegistered: ("registry", m.Register),
    m.StepFailed: ("registry", m.Register),
    m.PluginUnregistered: ("registry", m.Unregister),
    m.RouteSet: ("dispatcher", m.SetRoute),
    m.RouteDropped: ("dispatcher", m.DropRoute),
}


class Unanswered:
    """At most one question for each plugin and role: a later one replaces it."""

    def __init__(self, root: Root, plugins: PluginBook) -> None:
        self._root = root
        self._plugins = plugins
        self._routes_asked = 0
        self._forgetting: dict[int, m.ForgetRegistration] = {}
        self._forgets_asked = 0

    def ask(self, role: str, plugin: Plugin, question: Any) -> None:
        """Ask an essential actor for something that is waited for."""
        plugin.waiting[role] = question
        self._root.send(self._root.essential[role], question)

    def set_route(self, load_id: int, plugin: Plugin, route: m.Route) -> None:
        """Ask the dispatcher to set a route."""
        self._routes_asked += 1
        plugin.first_epoch = plugin.first_epoch or route.epoch
        first = plugin.first_epoch
        plugin.told = m.SetRoute(load_id, route, plugin.actor, self._routes_asked, first_epoch=first)
        self.ask("dispatcher", plugin, plugin.told)

    def is_answer(self, message: Any, sender: Address, plugin: Plugin) -> bool:
        """Whether it answers what was asked last and comes from who has the role now, if it is an answer at all."""
        answers = _ANSWERS.get(type(message))
        if answers is None or (isinstance(message, m.StepFailed) and plugin.life.stage is Stage.PREPARING):
            return True
        role, kind = answers
        waiting = plugin.waiting.get(role)
        if not isinstance(waiting, kind) or not same(sender, self._root.essential[role]):
            return False
        if isinstance(message, m.RouteSet) and getattr(waiting, "number", None) != message.number:
            return False
        del plugin.waiting[role]
        return True

    # Registrations without a plugin: the registry forgets them, and the dispatcher answers.

    def forget(self, question: m.UnloadPlugin) -> None:
        """Ask for the end of a registration whose plugin is not loaded."""
        self._forgets_asked += 1
        forget = m.ForgetRegistration(
            question.request_id, question.reply_to, question.plugin_id, number=self._forgets_asked
        )
        self._forgetting[forget.number] = forget
        self._root.send(self._root.essential["registry"], forget)

    def forgotten(self, answer: m.Forgotten) -> None:
        """Pass the answer on: an actor that ends could take its own along."""
        asked = self._forgetting.pop(answer.number, None)
        if asked is not None:
            self._root.send(asked.reply_to, m.Reply(asked.request_id, error=answer.error, version=answer.version))

    def forget_again(self) -> None:
        """Ask anew: what it passed through may have been lost."""
        for forget in self._forgetting.values():
            self._root.send(self._root.essential["registry"], attrs.evolve(forget, again=True))

    # For those that have been started again.

    def tell_again(self, role: str) -> None:
        """Tell this actor what the one before it knew, and what it has not answered."""
        to = self._root.essential[role]
        for plugin in self._plugins.values():
            waiting = plugin.waiting.get(role)
            if role == "dispatcher" and plugin.told is not None and waiting is not plugin.told:
                self._root.send(to, attrs.evolve(plugin.told, number=0, again=True))
            if waiting is not None:
                self._root.send(to, waiting)
        if role == "registry":
            self.forget_again()

    def registrations(self) -> tuple[tuple[int, m.Registration], ...]:
        """Return the rows that the registry has to know, by load: what is being registered or removed is asked anew."""
        return tuple(
            (load_id, row)
            for load_id, plugin in self._plugins.items()
            if (row := plugin.life.row) is not None and "registry" not in plugin.waiting
        )

    def guarded(self) -> tuple[m.GuardedPlugin, ...]:
        """Return what the guard has to know of plugins that have a policy."""
        return tuple(
            m.GuardedPlugin(
                load_id,
                plugin.life.plugin_id,
                plugin.life.stage is Stage.QUARANTINED,
                plugin.violations.recent,
            )
            for load_id, plugin in self._plugins.items()
            if plugin.life.policy is not None and plugin.life.stage not in (Stage.UNDOING, Stage.GONE)
        )
