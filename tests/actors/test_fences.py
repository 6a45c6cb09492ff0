"""Fences between the frames of a plugin."""

from __future__ import annotations

from nyx_plugins.actors.fences import Fences


def test_a_fence_is_passed_when_all_before_it_are_finished() -> None:
    """It waits for each mailbox, and is passed once."""
    fences = Fences()
    fences.add(1, {"data": 3, "control": 1})
    fences.add(2, {})
    fences.add(3, {"data": 5})
    assert fences.pass_by(lambda: {"data": 2, "control": 1}) == [2]
    assert fences.pass_by(lambda: {"data": 3}) == []
    assert fences.pass_by(lambda: {"data": 5, "control": 1}) == [1, 3]
    assert fences.pass_by(lambda: {"data": 9}) == []
