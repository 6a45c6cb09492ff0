"""Plugins that take runs of data frames at once: on_batch, on each transport."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nyx_plugins import FrameType, PluginHeader, PluginSystem

CODE = """
import time

from nyx_plugins.plugins import Plugin


class Batches(Plugin):
    def on_batch(self, frames):
        first = frames[0].data
        if first == b"short":
            return frames[1:]
        if first == b"mixed":
            return [b"bytes", None, "text"]
        while first == b"hang":
            time.sleep(1)
        return (b"%d of %d" % (place, len(frames)) for place, _ in enumerate(frames, 1))

    def on_control(self, frame):
        return b"alone"
"""


@pytest.fixture
def batches(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes the bundle, with a wall time."""

    def write(wall_time_s: float = 30.0) -> Path:
        (tmp_path / "plugin.py").write_text(CODE)
        (tmp_path / "plugin.toml").write_text(
            'id = 1\nname = "batches"\nversion = "1.0.0"\napi_version = 1\nentry_point = "plugin:Batches"\n'
            f'permissions = ["data_access", "control"]\n[sandbox]\nwall_time_s = {wall_time_s}\n'
        )
        return tmp_path

    return write


def sent(system: PluginSystem, *datas: bytes) -> list[bytes | str | None]:
    """Send data frames together; return what became of each, its reply or the reason."""
    frames = [(FrameType.DATA, PluginHeader(1, 0, data)) for data in datas]
    outcomes = [result.outcome(30.0) for result in system.dispatch_many(frames)]
    return [outcome.reason or outcome.reply for outcome in outcomes]


def test_a_run_of_data_frames_is_taken_at_once(system: PluginSystem, batches: Callable[..., Path]) -> None:
    """Each frame of it gets its reply, a single one too; frames of other types have their own handlers."""
    system.load(batches())
    assert sent(system, b"a", b"b", b"c") == [b"1 of 3", b"2 of 3", b"3 of 3"]
    assert sent(system, b"a") == [b"1 of 1"]
    assert system.request(FrameType.CONTROL, PluginHeader(1, 0, b""), 30.0) == b"alone"


def test_what_on_batch_must_not_return_fails_its_frames(system: PluginSystem, batches: Callable[..., Path]) -> None:
    """A wrong number of replies fails the whole run, a reply that is none only its frame."""
    system.load(batches())
    assert sent(system, b"short", b"b") == ["ValueError: on_batch returned 1 replies for 2 frames"] * 2
    mixed = [b"bytes", None, "TypeError: handler returned str: expected bytes or None"]
    assert sent(system, b"mixed", b"b", b"c") == mixed


@pytest.mark.needs_worker(reason="no deadline applies there")
def test_a_run_that_hangs_is_ended_with_all_its_frames(system: PluginSystem, batches: Callable[..., Path]) -> None:
    """It has the wall time of each of its frames, and the reason says so."""
    system.load(batches(0.1))
    reason = "worker exceeded its wall time of 0.3 s for a run of 3 frames (0.1 s for each, at most 60 s)"
    assert sent(system, b"hang", b"b", b"c") == [f"deadline: {reason}"] * 3
