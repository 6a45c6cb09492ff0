"""The kernel's list of children leaves some out while others end: nobody who is there may be missed."""

from __future__ import annotations

import itertools

import pytest

from nyx_plugins.actors import processes


def kernel_says(monkeypatch: pytest.MonkeyPatch, *moments: dict[int, list[int]]) -> None:
    """Let each look at process 1 be the next moment, the last of them for ever."""
    coming = itertools.chain(moments, itertools.repeat(moments[-1]))
    now: dict[int, list[int]] = {}

    def listed(pid: int) -> list[int]:
        if pid == 1:
            now.clear()
            now.update(next(coming))
        return list(now.get(pid, []))

    monkeypatch.setattr(processes, "_listed", listed)


def test_a_child_that_the_kernel_skipped_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """2 ends while the list is read, and the kernel counts on from a place that has moved: 3 is left out."""
    kernel_says(monkeypatch, {1: [2, 4]}, {1: [3, 4]})
    assert processes.children(1) == [3, 4]


def test_an_orphan_that_moved_up_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """2 ends after its parent has been looked at and before itself: its child has a parent that was done with."""
    kernel_says(monkeypatch, {1: [2]}, {1: [3]})
    assert processes.descendants(1) == [3]


def test_whoever_starts_processes_without_end_is_not_looked_at_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look differs from the one before: the last one counts."""
    kernel_says(monkeypatch, *({1: [number]} for number in range(2, 2 + processes.LOOKS + 1)), {1: []})
    assert processes.children(1) == [2 + processes.LOOKS]


def test_the_spared_are_left_out_with_all_below_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parents come before their children."""
    kernel_says(monkeypatch, {1: [2, 3], 2: [4], 3: [5], 5: [6]})
    assert processes.descendants(1) == [2, 3, 4, 5, 6]
    assert processes.descendants(1, spare=frozenset({2})) == [3, 5, 6]
