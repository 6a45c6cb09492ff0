"""The sandbox guard: decides what each plugin may touch, and counts what its worker tries beyond it."""

from __future__ import annotations

import time
from typing import assert_never

from ..config.settings import Settings
from ..plugins.errors import EnforcementTooWeak, PolicyRefused
from ..plugins.policy import Policy, decide
from ..plugins.worker.jail.level import enforcement
from . import messages as m
from ._thespian import ActorProcess, Address
from .violations import ViolationLog


class Guard(ActorProcess):
    """Policies are published as data with the routes; checking a frame against one happens where the frame is."""

    def __init__(self) -> None:
        super().__init__()
        self._settings: Settings
        self._parent: Address = None
        self._loads: dict[int, int] = {}
        """The load of each plugin that has a policy."""
        self._violations: dict[int, ViolationLog] = {}
        self._quarantined: set[int] = set()

    def receive(self, message: m.GuardMessage, sender: Address) -> None:
        """Handle one message."""
        match message:
            case m.StartGuard():
                self._settings, self._parent = message.settings, sender
                for plugin in message.guarded:
                    self._know(plugin)
                self.end_with_host(message.host_pid)
                self.send(sender, m.ChildReady("guard"))
            case m.SettingsChanged():
                self._settings = message.settings
            case m.DecidePolicy():
                self.send(sender, self._decide(message))
            case m.ForgetPolicy():
                self._forget(message)
            case m.ForgiveViolations():
                self._violations.pop(message.plugin_id, None)
                self._quarantined.discard(message.plugin_id)
            case m.ReportViolation():
                self._report(message)
                if message.number:
                    self.send(sender, m.ViolationSeen(message.number))
            case m.Introduce():
                """Whom it tells does not change."""
            case _:
                assert_never(message)

    def _know(self, plugin: m.GuardedPlugin) -> None:
        """Take over what another guard knew of it."""
        self._loads[plugin.plugin_id] = plugin.load_id
        self._violations[plugin.plugin_id] = ViolationLog(plugin.violations)
        if plugin.quarantined:
            self._quarantined.add(plugin.plugin_id)

    def _decide(self, message: m.DecidePolicy) -> m.PolicyDecided:
        weakness = self._weakness(message.plugin_id)
        if weakness is not None:
            return m.PolicyDecided(message.load_id, None, weakness)
        limits = self._settings.limits
        verdict = decide(
            message.request,
            self._settings.ceiling,
            override=message.override,
            default_wall_time_s=limits.wall_time_s,
        )
        if not isinstance(verdict, Policy):
            return m.PolicyDecided(message.load_id, None, PolicyRefused(message.plugin_id, verdict))
        if not message.for_swap:
            self._loads[message.plugin_id] = message.load_id
        return m.PolicyDecided(message.load_id, verdict, None)

    def _forget(self, message: m.ForgetPolicy) -> None:
        if self._loads.get(message.plugin_id) == message.load_id:
            del self._loads[message.plugin_id]
            self._violations.pop(message.plugin_id, None)
            self._quarantined.discard(message.plugin_id)

    def _weakness(self, plugin_id: int) -> EnforcementTooWeak | None:
        """Why this machine can't confine the plugin as required. On ``inline`` nobody promises that anything is."""
        required, found = self._settings.system.require_enforcement, enforcement()
        if self._settings.system.transport == "inline" or found.reaches(required):
            return None
        return EnforcementTooWeak(plugin_id, found.level, required, found.reasons())

    def _report(self, message: m.ReportViolation) -> None:
        plugin_id = message.plugin_id
        if plugin_id in self._quarantined:
            return
        self.send(self._parent, m.ViolationNoted(plugin_id, message.request, message.count, message.by_sender))
        if message.by_sender or plugin_id not in self._loads:
            return
        limits = self._settings.supervision
        log = self._violations.setdefault(plugin_id, ViolationLog())
        if log.note(message.count, time.monotonic(), most=limits.max_violations, within_s=limits.within_s):
            self._quarantined.add(plugin_id)
            too_many = f"more than {limits.max_violations:,} violations within {limits.within_s:g} s"
            reason = f"{too_many}, the last being {message.request!r}"
            self.send(self._parent, m.ThresholdPassed(self._loads[plugin_id], reason))
