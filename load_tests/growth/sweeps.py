"""What is varied, and what a scenario is told for each value: pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import attrs

Changes: TypeAlias = Mapping[str, Any]
KIB, MIB = 1024, 1024 * 1024
BATCH, WINDOW = 256, 4096
# Of frames that are under way, and of one call, while the length of frames is varied.
MOST_BYTES, CALL_BYTES = 32 * MIB, 4 * MIB
# The length of a frame needs room for what is around it.
LARGEST_HEADER = 2 * MIB


@attrs.frozen
class Sweep:
    """One thing that is varied, others being as in the scenario."""

    name: str
    title: str
    axis: str
    values: Sequence[int]
    changes: Callable[[int], Changes]
    factors: bool = False
    """Whether costs differ by factors from one end to the other, so that only a logarithmic scale shows all."""

    def point(self, value: int) -> str:
        """Return the name of a point."""
        return f"{self.name} {value}"


def _batch(frames: int) -> Changes:
    return {"batch": frames, "window": max(WINDOW, frames)}


def _frame(size: int) -> Changes:
    return {
        "frame_bytes": size,
        "batch": max(1, min(BATCH, CALL_BYTES // size)),
        "window": max(1, min(WINDOW, MOST_BYTES // size)),
        "plugins": {"work": {"capacity_bytes": 2 * MOST_BYTES}},
        "settings": {"limits": {"max_header_bytes": LARGEST_HEADER}},
    }


def _plugins(count: int) -> Changes:
    return {"plugins": {"work": {"count": count, "capacity": WINDOW}}}


def _clients(count: int) -> Changes:
    return {"clients": count, "window": max(BATCH, WINDOW // count)}


def _capacity(frames: int) -> Changes:
    under_way = min(WINDOW, frames)
    return {"batch": min(BATCH, under_way), "window": under_way, "plugins": {"work": {"capacity": frames}}}


SWEEPS: Mapping[str, Sweep] = {
    sweep.name: sweep
    for sweep in (
        Sweep(
            "batch", "Batches", "frames in each call of dispatch_many", (1, 4, 16, 64, 256, 1024, 4096), _batch, True
        ),
        Sweep(
            "frame",
            "Frames",
            "bytes of data in each frame",
            (16, 64, 256, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB),
            _frame,
            True,
        ),
        Sweep("plugins", "Plugins", "plugins, each of which gets its share", (1, 2, 5, 10, 25, 50, 100, 200), _plugins),
        Sweep("clients", "Clients", "processes that send", (1, 2, 4, 8, 16), _clients),
        Sweep(
            "capacity",
            "Mailboxes",
            "frames that the mailbox holds",
            (16, 64, 256, 1024, 4096, 16_384),
            _capacity,
            True,
        ),
    )
}
