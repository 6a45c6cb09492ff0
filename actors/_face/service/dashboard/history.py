"""``History``: how the plugins did in the last ten minutes, in bounded memory."""

from __future__ import annotations

from collections import deque
from typing import Any

import attrs

from ..snapshot import Snapshot

SPAN_S = 600.0
POINTS = 600
SENT_POINTS = 150
"""How many points a browser gets when it comes; what follows it collects itself."""


@attrs.frozen
class Point:
    """One look: for each plugin the frames in its mailbox, and the frames accepted per second."""

    time_s: float
    plugins: dict[int, tuple[int, float]]


def point_of(snapshot: Snapshot) -> Point:
    """What is kept of a snapshot."""
    return Point(
        snapshot.time_s,
        {
            plugin.info.plugin_id: (plugin.stats.in_mailbox, plugin.rates.accepted_per_s if plugin.rates else 0.0)
            for plugin in snapshot.plugins
            if plugin.stats is not None
        },
    )


class History:
    """Points of the last ten minutes, oldest first."""

    def __init__(self) -> None:
        self._points: deque[Point] = deque(maxlen=POINTS)

    def add(self, point: Point) -> None:
        """Keep it, and forget what is too old."""
        self._points.append(point)
        while point.time_s - self._points[0].time_s > SPAN_S:
            self._points.popleft()

    def as_json(self) -> list[list[Any]]:
        """At most ``SENT_POINTS`` of them, evenly chosen, always with the last."""
        points = list(self._points)
        step = -(-len(points) // SENT_POINTS) or 1
        chosen = points[::-1][::step][::-1]
        return [[point.time_s, {str(n): [d, round(r, 1)] for n, (d, r) in point.plugins.items()}] for point in chosen]
