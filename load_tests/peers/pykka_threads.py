"""Pykka: an actor is a thread of the same process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pykka

from .streams import StreamPeer
from .work import Receiver


class Taker(pykka.ThreadingActor):
    """The receiver: the last message of half a window is asked, which is its acknowledgement; the others are told."""

    def __init__(self) -> None:
        super().__init__()
        self._receiver = Receiver()

    def on_receive(self, message: Any) -> int:
        """Take one message."""
        return self._receiver.take(message)


class PykkaPeer(StreamPeer):
    """Tells an actor frames."""

    def start(self, directory: Path) -> None:
        """Start the actor."""
        self._actor = Taker.start()
        self._at_once, self._told = 1, 0
        self._asked: list[Any] = []
        self.processed()

    def send(self, message: Any) -> None:
        """Tell one message, or ask the last of as many as are to be acknowledged at once."""
        if isinstance(message, int):
            self._at_once, self._told = message, 0
            return
        self._told += 1
        if self._told < self._at_once:
            self._actor.tell(message)
        else:
            self._asked.append(self._actor.ask(message, block=False))
            self._told = 0

    def acknowledged(self) -> int:
        """Wait for the oldest answer."""
        return int(self._asked.pop(0).get())

    def stop(self) -> None:
        """Stop the actor."""
        self._actor.stop()
