"""How a client sends: in an open loop, at times that were fixed before, or in a closed one, when there is room."""

from __future__ import annotations

import resource
import threading
import time
from collections.abc import Iterator, Sequence
from itertools import islice

from nyx_plugins import NyxPluginError, PluginSystem, Receipt, SystemStopped

from . import arrivals
from .phase import Phase
from .recorder import Tally
from .underway import Underway, clock

NS = arrivals.NS
# How often a client that has nothing to do looks whether it is to stop.
LOOK_NS = 100_000_000
# How long one whose frames were refused waits for an outcome before it sends again.
PAUSE_S = 0.01


class Sender:
    """Sends the ``frames`` of one phase through any system's face."""

    def __init__(self, system: PluginSystem, phase: Phase, frames: Iterator[tuple[int, bytes]]) -> None:
        self._system, self._phase, self._frames = system, phase, frames
        self._underway = Underway(phase)
        self._cpu: list[float] = []

    def run(self, stop: threading.Event) -> Tally:
        """Send until the end, or until told to stop; then wait for the last outcomes."""
        self._stop = stop
        unsent, error = 0, ""
        _sleep_until(self._phase.begin, stop)
        try:
            unsent = self._open() if self._phase.mode == "open" else self._closed()
        except SystemStopped as stopped:
            error = str(stopped)
        until = min(clock(), self._phase.end)
        self._look_at_cpu(until, ended=True)
        self._drain(min(self._phase.drained, clock() + self._phase.drained - self._phase.end))
        if not error and (ended := self._system.stopped) is not None:
            error = str(ended)
        return self._underway.tally(unsent, self._cpu[1] - self._cpu[0], until, error)

    # Open.

    def _open(self) -> int:
        phase = self._phase
        due = arrivals.Due(self._times(), phase.begin, phase.end)
        while (at := due.next) is not None and not self._is_over(phase.drained):
            now = clock()
            if at > now:
                self._idle(at)
            else:
                self._send(due.take(now, 1 if self._waits_for_each else phase.batch))
            self._underway.take()
        # After an interruption, what was due later was never offered.
        return due.rest(phase.measured, min(phase.end, clock()))

    @property
    def _waits_for_each(self) -> bool:
        """Each frame then is sent when the one before has found room, and not when all that are due have begun to."""
        return self._phase.call == "one" and self._phase.when_full == "wait"

    def _times(self) -> Iterator[int]:
        if self._phase.arrivals == "constant":
            return arrivals.constant(self._phase.rate, arrivals.phase_of(self._phase.seed))
        return arrivals.poisson(self._phase.rate, self._phase.seed)

    def _idle(self, until: int) -> None:
        self._look_at_cpu(clock())
        time.sleep(max(0, min(until - clock(), LOOK_NS)) / NS)

    # Closed.

    def _closed(self) -> int:
        send = self._request if self._phase.call == "request" else self._fill
        while not self._is_over(self._phase.end):
            send()
            self._underway.take()
        return 0

    def _request(self) -> None:
        sent, error = clock(), None
        try:
            self._system.request(*next(self._frames), timeout=self._patience_s())
        except SystemStopped:
            raise
        except NyxPluginError as raised:
            error = raised
        self._underway.answered(sent, error)

    def _fill(self) -> None:
        phase, count = self._phase, self._phase.batch
        if len(self._underway) and len(self._underway) + count > phase.window:
            self._underway.wait(1, LOOK_NS / NS)
        elif self._send([clock()] * count):
            # Some have found no room, and the next would not either.
            self._underway.wait(1, PAUSE_S)

    # Both.

    def _send(self, due: Sequence[int]) -> int:
        now = clock()
        self._look_at_cpu(now)
        if self._phase.call == "one" or len(due) == 1:
            return self._underway.add([self._one() for _ in due], due, now)
        # A list: those of any other iterable go one by one.
        frames = list(islice(self._frames, len(due)))
        wait = self._phase.when_full == "wait"
        entries = self._system.dispatch_many(frames, wait=wait, timeout=self._patience_s())
        return self._underway.add(entries, due, now)

    def _one(self) -> Receipt | NyxPluginError:
        kind, header = next(self._frames)
        try:
            if self._phase.when_full == "wait":
                return self._system.dispatch(kind, header, self._patience_s())
            return self._system.dispatch_nowait(kind, header)
        except SystemStopped:
            raise
        except NyxPluginError as error:
            return error

    def _patience_s(self) -> float:
        return max(0.0, self._phase.drained - clock()) / NS

    def _is_over(self, end: int) -> bool:
        return clock() >= end or self._stop.is_set() or self._underway.frames >= self._phase.most_frames

    def _look_at_cpu(self, now: int, ended: bool = False) -> None:
        """Note what was used when the measured time begins, and when it ends."""
        for at in (self._phase.measured, self._phase.end)[len(self._cpu) :]:
            if ended or now >= at:
                self._cpu.append(_cpu_s())

    def _drain(self, until: int) -> None:
        while len(self._underway) and clock() < until and self._system.stopped is None:
            self._underway.wait(1, LOOK_NS / NS)
            self._underway.take()


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _sleep_until(at: int, stop: threading.Event) -> None:
    if (left := at - clock()) > 0:
        stop.wait(left / NS)
