"""Wall time per frame, watched from outside: pure, fed with what the worker's mark page says and with the time."""

from __future__ import annotations

RUN_S = 60.0
"""What a run of frames that a plugin takes as one may take in all, in seconds; more only where one frame may."""


class Deadline:
    """Notices that a worker has been at the same frames for too long.

    Looked at every ``interval_s`` seconds, it strikes between one and one and a half times the wall time. For frames
    taken as one run it allows the wall time once for each, but no more than ``RUN_S`` seconds or one wall time.
    """

    def __init__(self, wall_time_s: float, most_frames: int) -> None:
        self.wall_time_s = wall_time_s
        self._most_frames = most_frames
        self._seen = (0, 0)
        self._since = 0.0

    @property
    def interval_s(self) -> float:
        """How often to look, in seconds."""
        return min(max(self.wall_time_s / 4, 0.01), 1.0)

    @property
    def most_s(self) -> float:
        """The most that it allows for one run, in seconds."""
        return max(self.wall_time_s, RUN_S)

    def begin(self, now: float) -> None:
        """Frames were handed to a worker that had none."""
        self._seen = (-1, -1)
        self._since = now

    def exceeded(self, index: int, count: int, finished: int, now: float) -> float | None:
        """Return the seconds that were allowed if they are used up, else ``None``.

        ``index`` and ``count`` are the worker's mark, moved into the frames that it was given; ``finished`` is how many
        frames have an outcome.
        """
        # Only what moves on counts: a worker could change its mark for ever.
        if index > self._seen[0] or finished > self._seen[1]:
            self._seen = (max(index, self._seen[0]), finished)
            self._since = now
            return None
        allowed = min(self.wall_time_s * max(1, min(count, self._most_frames)), self.most_s)
        return allowed if now - self._since >= allowed else None
