"""What handlers raise beyond plain errors: which of it fails a frame, which ends the worker, and what senders hear."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nyx_plugins import PluginHeader, PluginSystem

from .conftest import DATA, outcomes, send

FINE = b"result = 'fine'"
LEAVE = b"raise SystemExit"


def run(system: PluginSystem, code: bytes) -> tuple[str, bytes | None, str]:
    """Run this in the handler; return what became of the frame."""
    outcome = system.dispatch_nowait(DATA, PluginHeader(1, 0, code)).outcome(30.0)
    return str(outcome.kind), outcome.reply, outcome.reason


@pytest.fixture
def executing(make_system: Callable[..., PluginSystem], fault: Callable[..., Path]) -> PluginSystem:
    """Return a system with the plugin that runs what it is sent, loaded."""
    system = make_system()
    system.load(fault("executing_plugin"))
    return system


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (b"raise GeneratorExit", "GeneratorExit: "),
        (b"import asyncio; raise asyncio.CancelledError('late')", "CancelledError: late"),
        (b"raise BaseExceptionGroup('several', [SystemExit(3)])", "BaseExceptionGroup: several (1 sub-exception)"),
        (b"raise type('Mine', (BaseException,), {})('own')", "Mine: own"),
        (
            b"def leave(self): raise SystemExit(3)\nraise type('Mute', (Exception,), {'__str__': leave})",
            "Mute: (its text can't be had: SystemExit)",
        ),
    ],
)
def test_all_but_what_ends_a_program_fails_its_frame(executing: PluginSystem, code: bytes, reason: str) -> None:
    """The frame fails with type and text, and the same worker takes the next."""
    assert run(executing, code) == ("failed", None, reason)
    assert run(executing, FINE) == ("processed", b"fine", "")
    assert executing.plugin_stats(1).restarts == 0


@pytest.mark.parametrize(
    ("code", "reason"),
    [(b"raise SystemExit(3)", "code 3"), (b"raise SystemExit('no key')", "code 1: SystemExit: no key")],
)
def test_an_exit_is_told_with_its_text(executing: PluginSystem, code: bytes, reason: str) -> None:
    """The outcome, and the last death, say what ended the worker, again and again; the next frame is processed."""
    for _ in range(3):
        assert run(executing, code) == ("dead_lettered", None, f"crash: worker exited with {reason}")
        assert run(executing, FINE) == ("processed", b"fine", "")
    stats = executing.plugin_stats(1)
    assert str(stats.last_death) == f"exited with {reason}"
    assert (stats.restarts, stats.state) == (3, "ready")


def test_frames_behind_an_exit_are_processed(executing: PluginSystem) -> None:
    """Frames that were in the mailbox with those that ended the worker need nobody to ask for them."""
    ends = ("dead_lettered", None)
    assert outcomes(send(executing, 1, LEAVE, LEAVE, FINE)) == [ends, ends, ("processed", b"fine")]


def test_an_interrupt_ends_the_worker_and_reaches_who_shares_its_process(
    executing: PluginSystem, transport: str
) -> None:
    """KeyboardInterrupt is told as what it is; on inline the program gets it too, and its frame's end is known."""
    if transport == "inline":
        with pytest.raises(KeyboardInterrupt):
            run(executing, b"raise KeyboardInterrupt")
    else:
        assert run(executing, b"raise KeyboardInterrupt")[2] == "crash: worker exited with code 1: KeyboardInterrupt"
    assert run(executing, FINE) == ("processed", b"fine", "")
    stats = executing.plugin_stats(1)
    assert (stats.processed, stats.dead_lettered, stats.in_mailbox) == (1, 1, 0)
    assert str(stats.last_death) == "exited with code 1: KeyboardInterrupt"
