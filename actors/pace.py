"""How many frames a worker gets at once: what it does in a few milliseconds, by how long it took lately. Pure."""

from __future__ import annotations

# A worker has two batches in hand; what overtakes them waits for both.
BATCH_S = 0.005
# As long as nothing is known of the handlers.
FIRST_FRAMES = 8


class Pace:
    """Of one worker and class of frames; told when frames come back, and counts the later ones more."""

    def __init__(self, most_frames: int) -> None:
        self._most_frames = most_frames
        self._since = 0.0
        self._frames = 0.0
        self._seconds = 0.0

    def begin(self, now: float) -> None:
        """Frames are handed to a worker that had none, at ``now`` (monotonic seconds)."""
        self._since = now

    def finished(self, frames: int, now: float) -> None:
        """So many frames have come back since the last ones."""
        self._frames = self._frames / 2 + frames
        self._seconds = self._seconds / 2 + max(now - self._since, 0.0)
        self._since = now

    @property
    def frames(self) -> int:
        """How many frames to hand out at once: at least 1."""
        if not self._frames:
            return min(FIRST_FRAMES, self._most_frames)
        if self._seconds <= 0:
            return self._most_frames
        return max(1, int(min(self._frames / self._seconds * BATCH_S, self._most_frames)))
