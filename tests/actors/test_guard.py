"""The guard by itself: what it decides, whom it blames, and when it has enough."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest

from nyx_plugins.actors import messages as m
from nyx_plugins.actors.guard import Guard
from nyx_plugins.config import SandboxOverride, SandboxRequest, Settings, SupervisionSettings

SETTINGS = Settings(supervision=SupervisionSettings(max_violations=2, within_s=3600))


class Probe(Guard):
    """Keeps what it would send."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[Any] = []
        self.receive(m.StartGuard(SETTINGS, os.getpid()), "supervisor")
        self.decide(31, 7)
        self.sent.clear()

    def send(self, address: str, message: Any) -> None:
        """Send nothing."""
        self.sent.append(message)

    def decide(self, load_id: int, plugin_id: int, **override: Any) -> m.PolicyDecided:
        """Decide the policy of a plugin that asks for nothing."""
        question = m.DecidePolicy(load_id, plugin_id, SandboxRequest(), SandboxOverride(**override))
        self.receive(question, "supervisor")
        decided: m.PolicyDecided = self.sent[-1]
        return decided

    def report(self, times: int, **options: Any) -> list[m.ThresholdPassed]:
        """Report so many violations of plugin 7; returns what followed."""
        before = len(self.sent)
        for _ in range(times):
            self.receive(m.ReportViolation(7, "it", 1, **options), "actor")
        return [message for message in self.sent[before:] if isinstance(message, m.ThresholdPassed)]

    @property
    def published(self) -> int:
        """How many violations it has told of."""
        return sum(isinstance(message, m.ViolationNoted) for message in self.sent)


@pytest.fixture
def guard() -> Probe:
    """Return a guard that knows plugin 7 and allows two violations."""
    return Probe()


def test_the_entry_of_a_plugin_counts(guard: Probe) -> None:
    """What the configuration says of one plugin is in its policy, or a reason against it."""
    policy = guard.decide(32, 8, threads=3).policy
    assert policy is not None
    assert (policy.threads, policy.origins["threads"]) == (3, "plugin entry")
    refused = guard.decide(33, 9, threads=65)
    assert refused.policy is None
    assert "threads (plugin entry): 65 is above the ceiling's 64" in str(refused.error)


def test_a_worker_that_passes_the_threshold_is_told_of_once(guard: Probe) -> None:
    """The load is named, with the limit and the last straw; then there is silence."""
    assert guard.report(2) == []
    [passed] = guard.report(1)
    assert passed == m.ThresholdPassed(31, "more than 2 violations within 3600 s, the last being 'it'")
    assert guard.report(10_000) == []
    assert guard.published == 3


def test_denied_control_frames_are_their_senders_fault(guard: Probe) -> None:
    """However many frames are refused, the plugin that they were for is not to blame."""
    assert guard.report(100, by_sender=True) == []
    assert guard.report(2) == []
    assert guard.published == 102


def test_a_plugin_that_is_loaded_anew_begins_anew(guard: Probe) -> None:
    """Unloading forgets what was counted, quarantine included."""
    assert len(guard.report(3)) == 1
    guard.receive(m.ForgetPolicy(31, 7), "supervisor")
    assert guard.report(5) == []
    guard.decide(34, 7)
    assert guard.report(2) == []
    assert [passed.load_id for passed in guard.report(1)] == [34]


def test_a_load_that_failed_late_takes_no_policy_of_another(guard: Probe) -> None:
    """What is forgotten is the policy of one load of a plugin."""
    guard.receive(m.ForgetPolicy(30, 7), "supervisor")
    assert len(guard.report(3)) == 1


def test_a_changed_threshold_counts_at_once(guard: Probe) -> None:
    """The operator need not restart anything."""
    guard.report(1)
    stricter = Settings(supervision=SupervisionSettings(max_violations=1, within_s=3600))
    guard.receive(m.SettingsChanged(stricter), "supervisor")
    assert len(guard.report(1)) == 1


def test_a_guard_that_follows_another_goes_on_counting(guard: Probe) -> None:
    """What it is told of is what it knows: loads, recent violations, and who is in quarantine."""
    recent = ((time.monotonic(), 2),)
    guarded = (m.GuardedPlugin(41, 7, False, recent), m.GuardedPlugin(42, 9, True, ()))
    guard.receive(m.StartGuard(SETTINGS, os.getpid(), guarded), "supervisor")
    assert [passed.load_id for passed in guard.report(1)] == [41]
    published = guard.published
    guard.receive(m.ReportViolation(9, "it", 1), "actor")
    assert guard.published == published


def test_a_plugin_that_is_forgiven_begins_anew(guard: Probe) -> None:
    """It keeps its load, and nothing that was counted."""
    assert len(guard.report(3)) == 1
    guard.receive(m.ForgiveViolations(7), "supervisor")
    assert guard.report(2) == []
    assert [passed.load_id for passed in guard.report(1)] == [31]


def test_a_report_with_a_number_is_confirmed(guard: Probe) -> None:
    """Also when there is nothing left to count, so that nobody keeps it for the next guard."""
    for number in range(1, 6):
        guard.receive(m.ReportViolation(7, "it", 1, number=number), "actor")
    seen = [message.number for message in guard.sent if isinstance(message, m.ViolationSeen)]
    assert seen == [1, 2, 3, 4, 5]
