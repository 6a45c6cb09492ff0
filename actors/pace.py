"""How many frames a worker gets at once: what it does in a few milliseconds, by how long it took lately. Pure."""

from __future__ import annotations

# A worker has two batches in hand; what overtakes them waits for both.
BATCH_S = 0.005
# A frame that takes no longer than this is done in a moment.
QUICK_S = 0.0005
# As long as nothing is known of the handlers.
FIRST_FRAMES = 8


class Pace:
    """Of one worker and class of frames; told what each frame took, and counts the later ones more.

    What a frame took is what its worker says. Seen from here it would be what the machine was at besides: where that is
    much, batches would become small, and each costs as much again. A worker that lies is given too many or too few.
    """

    def __init__(self, most_frames: int) -> None:
        self._most_frames = most_frames
        self._frames = 0.0
        self._seconds = 0.0

    def finished(self, frames: int, seconds: float) -> None:
        """So many frames took so long."""
        self._frames = self._frames / 2 + frames
        self._seconds = self._seconds / 2 + seconds

    @property
    def is_quick(self) -> bool:
        """Whether a frame takes no time to speak of, as far as is known."""
        return self._frames > 0 and self._seconds <= self._frames * QUICK_S

    @property
    def frames(self) -> int:
        """How many frames to hand out at once: at least 1."""
        if not self._frames:
            return min(FIRST_FRAMES, self._most_frames)
        if self._seconds <= 0:
            return self._most_frames
        return max(1, int(min(self._frames / self._seconds * BATCH_S, self._most_frames)))
