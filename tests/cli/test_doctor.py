"""``nyx-plugins doctor``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nyx_plugins.plugins.worker.jail import LAYERS, landlock, plan

Invoke = Callable[..., Any]


@pytest.fixture
def lacking(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that makes this machine lack layers."""

    def lack(**reasons: str) -> None:
        monkeypatch.setattr("nyx_plugins.plugins.worker.jail.level.unavailable", lambda: reasons)

    return lack


def test_a_machine_that_can_do_all_is_told_so(invoke: Invoke, lacking: Callable[..., None]) -> None:
    """Every layer has its line, the level is full, and the exit code is 0."""
    lacking()
    result = invoke("doctor")
    assert (result.exit_code, result.stderr) == (0, "")
    assert all(f"\n{name.replace('_', ' ')} " in result.stdout for name in LAYERS)
    assert result.stdout.endswith("Policies are enforced at level full; full is required.\n")


def test_a_machine_that_can_not_is_told_why(invoke: Invoke, lacking: Callable[..., None]) -> None:
    """The layer has its reason, the level is named, and the exit code is 1."""
    lacking(landlock="the kernel is old")
    result = invoke("doctor")
    assert (result.exit_code, result.stderr) == (1, "")
    assert any(
        line.split() == ["landlock", "no", *["the", "kernel", "is", "old"]] for line in result.stdout.split("\n")
    )
    assert "Policies are enforced at level partial; full is required.\n" in result.stdout
    assert result.stdout.endswith("raise the level, or lower system.require_enforcement.\n")


def test_the_configuration_says_what_is_enough(
    invoke: Invoke, lacking: Callable[..., None], config: Callable[[str], Path]
) -> None:
    """With a lower level required the same machine is good enough."""
    lacking(landlock="the kernel is old")
    result = invoke("doctor", "--config", config('[system]\nrequire_enforcement = "partial"\n'))
    assert result.exit_code == 0


def test_programs_get_json(invoke: Invoke, lacking: Callable[..., None]) -> None:
    """--json prints the same as one object."""
    lacking(seccomp="no such thing")
    result = invoke("doctor", "--json")
    facts = json.loads(result.stdout)
    assert (facts["level"], facts["required"], facts["sufficient"]) == ("partial", "full", False)
    assert facts["layers"]["seccomp"] == "no such thing"
    assert list(facts["layers"]) == list(LAYERS)
    assert result.exit_code == 1


def test_an_older_landlock_is_noted(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a later version would cover besides is said, because then one layer stands alone."""
    monkeypatch.setattr(landlock, "version", lambda: 4)
    plan.unavailable.cache_clear()
    result = invoke("doctor")
    plan.unavailable.cache_clear()
    assert "Landlock 4\n" in result.stdout
    assert "Note: seccomp alone keeps a plugin from ioctl on devices (Landlock 5 covers it too).\n" in result.stdout
    assert "from TCP" not in result.stdout


def test_a_landlock_that_is_too_old_is_none(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """Version 2 lets a plugin cut files short: it does not count."""
    monkeypatch.setattr(landlock, "version", lambda: 2)
    plan.unavailable.cache_clear()
    result = invoke("doctor")
    plan.unavailable.cache_clear()
    assert result.exit_code == 1
    assert "the kernel's Landlock is of version 2, and 3 is needed" in result.stdout
