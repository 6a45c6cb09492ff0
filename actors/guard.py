"""The sandbox guard: decides what each plugin may touch, and keeps count of what was asked for beyond it."""

from __future__ import annotations

from collections import Counter
from typing import assert_never

from ..config.settings import Settings
from ..plugins.errors import PolicyRefused
from ..plugins.policy import Policy, decide
from . import messages as m
from ._thespian import ActorProcess, Address


class Guard(ActorProcess):
    """Policies are published as data with the routes; checking a frame against one happens where the frame is."""

    def __init__(self) -> None:
        super().__init__()
        self._settings: Settings
        self._parent: Address = None
        self._policies: dict[int, Policy] = {}
        self._violations: Counter[int] = Counter()

    def receive(self, message: m.GuardMessage, sender: Address) -> None:
        """Handle one message."""
        match message:
            case m.StartGuard():
                self._settings, self._parent = message.settings, sender
                self.end_with_host(message.host_pid)
                self.send(sender, m.ChildReady("guard"))
            case m.SettingsChanged():
                self._settings = message.settings
            case m.DecidePolicy():
                self.send(sender, self._decide(message))
            case m.ForgetPolicy():
                self._policies.pop(message.plugin_id, None)
                self._violations.pop(message.plugin_id, None)
            case m.ReportViolation():
                self._report(message)
            case _:
                assert_never(message)

    def _decide(self, message: m.DecidePolicy) -> m.PolicyDecided:
        limits = self._settings.limits
        verdict = decide(
            message.request,
            self._settings.ceiling,
            override=message.override,
            default_wall_time_s=limits.wall_time_s,
        )
        if not isinstance(verdict, Policy):
            return m.PolicyDecided(message.load_id, None, PolicyRefused(message.plugin_id, verdict))
        self._policies[message.plugin_id] = verdict
        return m.PolicyDecided(message.load_id, verdict, None)

    def _report(self, message: m.ReportViolation) -> None:
        self._violations[message.plugin_id] += message.count
        self.send(self._parent, m.ViolationNoted(message.plugin_id, message.request, message.count))
