"""The actors that are measured: one that echoes, one that creates many, and a source with its sink."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import attrs
from thespian.actors import Actor

from nyx_plugins.actors._thespian import Address

from .tally import Tally

FRAME_BYTES = 204
FLOOD_FRAME = bytes(200)
# What the sink of a flood does for each message, in seconds: it is to be slower than its source.
SINK_NAP_S = 50e-6


@attrs.frozen
class CreateMany:
    """Command to a :class:`Crowd`: create so many actors; answered with their number once each has answered a ping."""

    actors: int


@attrs.frozen
class Stream:
    """Command to a :class:`Pair`: send messages of so many frames each, at most ``window`` unacknowledged.

    Answered with :class:`Streamed`.
    """

    messages: int
    frames: int
    window: int


@attrs.frozen
class Streamed:
    """From a source: every message was acknowledged, the last one ``seconds`` after the first was sent."""

    seconds: float
    source_pid: int
    sink_pid: int


@attrs.frozen
class Flood:
    """Command to a :class:`Pair`: send so many messages at once; the sink counts them in the file ``tally``."""

    messages: int
    tally: str


@attrs.frozen
class Order:
    """From a pair to its source: what to send, to whom, and who wants to know when it is done."""

    command: Stream | Flood
    sink: Address
    requester: Address


class Echo(Actor):
    """Sends back whatever bytes it gets."""

    def receiveMessage(self, message: Any, sender: Address) -> None:  # Thespian's name
        """Answer one message."""
        if isinstance(message, bytes):
            self.send(sender, message)


class Crowd(Actor):
    """Creates many actors and pings each."""

    def receiveMessage(self, message: Any, sender: Address) -> None:  # Thespian's name
        """Create them, or note the answer of one."""
        match message:
            case CreateMany():
                self._requester, self._wanted, self._there = sender, message.actors, 0
                for child in [self.createActor(Echo) for _ in range(message.actors)]:
                    self.send(child, b"ping")
            case bytes():
                self._there += 1
                if self._there == self._wanted:
                    self.send(self._requester, self._there)


class Pair(Actor):
    """Owns a source and a sink, which it creates with the first command."""

    def __init__(self) -> None:
        super().__init__()
        self._source: Address = None
        self._sink: Address = None

    def receiveMessage(self, message: Any, sender: Address) -> None:  # Thespian's name
        """Hand a command on to the source."""
        if not isinstance(message, Stream | Flood):
            return
        if self._source is None:
            self._source, self._sink = self.createActor(Source), self.createActor(Sink)
        self.send(self._source, Order(message, self._sink, sender))


class Source(Actor):
    """Sends what it is told to: with a window, or all at once."""

    def receiveMessage(self, message: Any, sender: Address) -> None:  # Thespian's name
        """Begin, or go on after an acknowledgement (the sink's process id)."""
        match message:
            case Order(Stream() as stream, sink, requester):
                self._sink, self._requester = sink, requester
                self._begin(stream)
            case Order(Flood() as flood, sink):
                self._flood(flood, sink)
            case int():
                self._acknowledged(message)

    def _begin(self, stream: Stream) -> None:
        self._unsent = self._unacknowledged = stream.messages
        self._frames = distinct_frames(stream.frames)
        self._started = time.perf_counter()
        for _ in range(min(stream.window, stream.messages)):
            self._send_one()

    def _send_one(self) -> None:
        self._unsent -= 1
        self.send(self._sink, self._frames)

    def _acknowledged(self, sink_pid: int) -> None:
        self._unacknowledged -= 1
        if self._unsent:
            self._send_one()
        elif not self._unacknowledged:
            seconds = time.perf_counter() - self._started
            self.send(self._requester, Streamed(seconds, os.getpid(), sink_pid))

    def _flood(self, flood: Flood, sink: Address) -> None:
        self.send(sink, flood)
        for number in range(flood.messages):
            self.send(sink, (number, FLOOD_FRAME))


class Sink(Actor):
    """Acknowledges lists of frames; counts the numbered frames of a flood, and takes its time over each."""

    def __init__(self) -> None:
        super().__init__()
        self._tally: Tally | None = None

    def receiveMessage(self, message: Any, sender: Address) -> None:  # Thespian's name
        """Take one message."""
        match message:
            case list():
                self.send(sender, os.getpid())
            case int(number), bytes() if self._tally is not None:
                self._tally.add(number)
                time.sleep(SINK_NAP_S)
            case Flood():
                self._tally = Tally(Path(message.tally), message.messages)


def distinct_frames(count: int) -> list[bytes]:
    """Make frames that are objects of their own: a pickle holds a repeated object only once."""
    return [os.urandom(FRAME_BYTES) for _ in range(count)]
