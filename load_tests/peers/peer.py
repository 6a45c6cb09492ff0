"""``Peer``: what each system that is compared has to be able to do."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class Peer(Protocol):
    """A sender and a receiver. All times are in seconds, taken where the sender is, until everything is acknowledged.

    A receiver may acknowledge several messages at once where the system leaves that to its user: at the latest when
    half of the window is full. Counts are multiples of the window.
    """

    def start(self, directory: Path) -> None:
        """Start the receiver, and return once it has answered; files may go into ``directory``."""

    def call(self, count: int) -> list[float]:
        """Send so many frames, each once the one before it is acknowledged; return the time of each."""

    def pipeline(self, count: int, window: int) -> float:
        """Send so many messages of one frame each, at most ``window`` not acknowledged; return the time."""

    def batch(self, count: int, size: int, window: int) -> float:
        """Send so many lists of ``size`` frames each, at most ``window`` not acknowledged; return the time."""

    def processed(self) -> int:
        """Ask the receiver how many frames it has decoded."""

    def stop(self) -> None:
        """End what was started, as a user of the system would."""
