"""A pair of ``multiprocessing.Queue``: one for frames, one for acknowledgements."""

from __future__ import annotations

from multiprocessing import get_context
from pathlib import Path
from typing import Any

from .streams import StreamPeer, receive


class QueuePeer(StreamPeer):
    """Puts messages into a queue, which a process of its own reads."""

    def start(self, directory: Path) -> None:
        """Fork the receiver."""
        context = get_context("fork")
        self._frames, self._answers = context.Queue(), context.Queue()
        self._process = context.Process(target=receive, args=(self._frames.get, self._answers.put), daemon=True)
        self._process.start()
        self.processed()

    def send(self, message: Any) -> None:
        """Put one message."""
        self._frames.put(message)

    def acknowledged(self) -> int:
        """Get an acknowledgement."""
        return int(self._answers.get())

    def stop(self) -> None:
        """End the receiver."""
        self._process.terminate()
        self._process.join()
