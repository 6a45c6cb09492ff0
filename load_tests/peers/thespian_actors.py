"""Raw Thespian: a source and a sink that are actors, or a source, a dispatcher and several sinks."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, ClassVar

import attrs
from thespian.actors import Actor

from nyx_plugins.actors._thespian import Address
from nyx_plugins.load_tests.transports.bases import QUEUE, TCP, start

from .futures import rotation
from .work import FRAME_BYTES, Receiver, frames

SINKS = 10
START_S = 20.0
ANSWER_S = 30.0


@attrs.frozen
class Build:
    """Command to a source: create so many sinks, behind a dispatcher if there are several, and answer once all do."""

    sinks: int


@attrs.frozen
class Stream:
    """Command to a source: send so many messages, each a list of ``size`` frames, or one frame if ``size`` is 0."""

    count: int
    size: int
    window: int
    frame_bytes: int


@attrs.frozen
class Passed:
    """What a dispatcher passes on: a message, and who wants to know that it is done."""

    message: Any
    source: Address


class Sink(Actor):
    """Decodes, counts, and acknowledges each message."""

    def __init__(self) -> None:
        super().__init__()
        self._receiver = Receiver()

    def receiveMessage(self, message: Any, sender: Address) -> None:  # Thespian's name
        """Take one message."""
        match message:
            case bytes() | list():
                self.send(sender, self._receiver.take(message))
            case Passed(inner, source):
                self.send(source, self._receiver.take(inner))


class Dispatcher(Actor):
    """Passes messages on, to one sink after the other."""

    def receiveMessage(self, message: Any, sender: Address) -> None:  # Thespian's name
        """Pass on one message, or create the sinks."""
        match message:
            case Build(sinks):
                created = [self.createActor(Sink) for _ in range(sinks)]
                self._next = rotation(created)
                for sink in created:
                    self.send(sink, Passed([], sender))
            case bytes() | list():
                self.send(self._next(), Passed(message, sender))


class Source(Actor):
    """Sends what it is told to, and answers with the time that each message took, or all of them."""

    def receiveMessage(self, message: Any, sender: Address) -> None:  # Thespian's name
        """Begin, or go on after an acknowledgement."""
        match message:
            case Build(sinks):
                self._build(sinks, sender)
            case Stream():
                self._begin(message, sender)
            case int():
                self._acknowledged()

    def _build(self, sinks: int, requester: Address) -> None:
        self._requester, self._unsent, self._due = requester, 0, sinks
        self._times: list[float] = []
        self._sent_at = self._begun = time.perf_counter()
        self._target = self.createActor(Sink if sinks == 1 else Dispatcher)
        self.send(self._target, [] if sinks == 1 else Build(sinks))

    def _begin(self, stream: Stream, requester: Address) -> None:
        self._requester, self._unsent, self._due = requester, stream.count, stream.count
        self._times = []
        one, size = frames(min(stream.count, 1000), stream.frame_bytes), stream.size
        self._turn = rotation([frames(size, stream.frame_bytes)] if size else one)
        self._begun = time.perf_counter()
        for _ in range(min(stream.window, stream.count)):
            self._send()

    def _send(self) -> None:
        self._unsent -= 1
        self._sent_at = time.perf_counter()
        self.send(self._target, self._turn())

    def _acknowledged(self) -> None:
        now = time.perf_counter()
        self._due -= 1
        self._times.append(now - self._sent_at)
        if self._unsent:
            self._send()
        elif not self._due:
            self.send(self._requester, (now - self._begun, self._times))


class ThespianPeer:
    """Drives a source from outside; frames go from actor to actor."""

    base: ClassVar[str] = TCP
    sinks: ClassVar[int] = 1

    def __init__(self, frame_bytes: int = FRAME_BYTES) -> None:
        self._frame_bytes = frame_bytes

    def start(self, directory: Path) -> None:
        """Start the actor system, and the actors."""
        os.environ["THESPLOG_FILE"] = str(directory / "thespian.log")
        self._system = start(self.base, directory)
        self._source = self._system.createActor(Source)
        self._sent = 0
        self._ask(Build(self.sinks), START_S)

    def call(self, count: int) -> list[float]:
        """Send frames one at a time."""
        times: list[float] = self._stream(Stream(count, 0, 1, self._frame_bytes))[1]
        return times

    def pipeline(self, count: int, window: int) -> float:
        """Send one frame for each message."""
        return float(self._stream(Stream(count, 0, window, self._frame_bytes))[0])

    def batch(self, count: int, size: int, window: int) -> float:
        """Send lists."""
        return float(self._stream(Stream(count, size, window, self._frame_bytes))[0])

    def processed(self) -> int:
        """Return what sinks have acknowledged."""
        return self._sent

    def stop(self) -> None:
        """Shut the actor system down."""
        self._system.shutdown()

    def _stream(self, stream: Stream) -> Any:
        answer = self._ask(stream, ANSWER_S)
        self._sent += stream.count * max(1, stream.size)
        return answer

    def _ask(self, message: object, timeout_s: float) -> Any:
        answer = self._system.ask(self._source, message, timeout_s)
        if not isinstance(answer, tuple):
            raise TimeoutError(f"no answer of its actors within {timeout_s:g} s, but {answer!r}")
        return answer


class ThespianQueuePeer(ThespianPeer):
    """The same on Thespian's base of multiprocessing queues."""

    base = QUEUE


class ThespianDispatcherPeer(ThespianPeer):
    """A dispatcher between the source and several sinks."""

    sinks = SINKS
