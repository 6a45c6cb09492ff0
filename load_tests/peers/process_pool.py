"""``concurrent.futures.ProcessPoolExecutor`` with one worker."""

from __future__ import annotations

from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from .futures import FuturesPeer
from .work import Receiver

RECEIVER = Receiver()


class ProcessPoolPeer(FuturesPeer):
    """Submits each message as a call."""

    def start(self, directory: Path) -> None:
        """Start the pool, whose worker is forked at the first call."""
        self._pool = ProcessPoolExecutor(1, mp_context=get_context("fork"))
        self.processed()

    def submit(self, message: bytes | list[bytes]) -> Future[int]:
        """Call the receiver with one message."""
        return self._pool.submit(take, message)

    def processed(self) -> int:
        """Ask the worker."""
        return self._pool.submit(take, []).result()

    def stop(self) -> None:
        """Shut the pool down."""
        self._pool.shutdown()


def take(message: bytes | list[bytes]) -> int:
    """Take one message, in the worker."""
    return RECEIVER.take(message)
