"""Which lane of several a frame goes to. Pure, and the same in every process and at every time."""

from __future__ import annotations

from collections.abc import Sequence


def lane_of(seq: int, key: int | None, lanes: int) -> int:
    """The lane for a frame with this key, or else with this sequence number."""
    return (seq if key is None else key) % lanes


def runs(depths: Sequence[int], count: int) -> list[tuple[int, int]]:
    """Spread ``count`` frames so that the lanes' depths become as equal as they can: (lane, frames), emptiest first."""
    order = sorted(range(len(depths)), key=depths.__getitem__)
    level = _level([depths[lane] for lane in order], count)
    given: list[tuple[int, int]] = []
    for lane in order:
        share = min(count, max(0, level - depths[lane]))
        if share:
            given.append((lane, share))
            count -= share
    return given


def _level(depths: Sequence[int], count: int) -> int:
    """The depth that the emptiest lanes would have with ``count`` frames more; ``depths`` ascend."""
    held = 0
    for lanes, depth in enumerate(depths, 1):
        held += depth
        level = -(-(held + count) // lanes)
        if lanes == len(depths) or level <= depths[lanes]:
            return level
    raise ValueError("there is no lane")
