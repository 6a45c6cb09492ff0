"""What the host's processes print: actors that crash, libraries, Thespian. All of it goes through one pipe.

It is cut into records, bounded in length and in number, and handed on as it comes; nobody who prints ever waits long.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import select
import threading
import time
from collections.abc import Callable, Iterator

from .log_lines import HostLine

MAX_LINE_CHARS = 4096
# Of a record, such as a traceback.
MAX_RECORD_CHARS = 16_384
# Records that may come at once, and in each second after that.
BURST = 200
PER_SECOND = 50
# A record is complete when nothing has followed for so long, in seconds.
QUIET_S = 0.05
_CLOSE_S = 2.0
_READ_BYTES = 1 << 16

LOG_FORMAT = "%(levelname)s pid=%(process)d %(name)s: %(message)s"
"""How the records of the actors' own loggers are printed."""
_LOGGED = re.compile(r"(DEBUG|INFO|WARNING|ERROR|CRITICAL) pid=(\d+) (.*)", re.DOTALL)
# As Thespian writes its own log.
_THESPIAN = re.compile(r"\d{4}-\d\d-\d\d \S+ p(\d+) (dbg|I|Warn|ERR|CRIT|\?\?) +(.*)", re.DOTALL)
_THESPIAN_LEVELS = {"dbg": 10, "I": 20, "Warn": 30, "ERR": 40, "CRIT": 50}
_TRACEBACK = "Traceback (most recent call last)"
_CHAINED = ("During handling of the above exception", "The above exception was the direct cause")


class Records:
    """Puts lines together that belong together: indented ones to the one before, and tracebacks with their heading."""

    def __init__(self) -> None:
        self._rest = b""
        self._lines: list[str] = []

    def feed(self, data: bytes) -> Iterator[HostLine]:
        """Take what was read, and yield the records that are complete."""
        *lines, rest = (self._rest + data).split(b"\n")
        # A character has four bytes at the most. What is longer than a line may be is not kept.
        self._rest = rest[: 4 * MAX_LINE_CHARS]
        for line in lines:
            yield from self._add(line.decode("utf-8", "replace").rstrip("\r"))

    def finish(self) -> Iterator[HostLine]:
        """Yield what there is: nothing follows for now. A line without its end stays, until there is one or ``end``."""
        while self._lines and not self._lines[-1].strip():
            self._lines.pop()
        if self._lines:
            yield parse("\n".join(self._lines))
        self._lines.clear()

    def end(self) -> Iterator[HostLine]:
        """Yield all that is left."""
        yield from self.feed(b"\n")
        yield from self.finish()

    def _add(self, line: str) -> Iterator[HostLine]:
        line = line if len(line) <= MAX_LINE_CHARS else f"{line[:MAX_LINE_CHARS]} ... (cut)"
        if not self._continues(line) or sum(map(len, self._lines)) + len(line) > MAX_RECORD_CHARS:
            yield from self.finish()
        self._lines.append(line)

    def _continues(self, line: str) -> bool:
        if not self._lines:
            return False
        last = self._lines[-1]
        if line.startswith(_TRACEBACK):
            return last.endswith(":") or not last
        in_traceback = any(text.startswith(_TRACEBACK) for text in self._lines)
        return line[:1] in (" ", "\t") or (
            in_traceback and (not line or last[:1] == " " or (not last and line.startswith(_CHAINED)))
        )


def parse(text: str) -> HostLine:
    """Find level and process in what was printed. What has none was not meant to be printed: a crash, or a warning."""
    if found := _LOGGED.fullmatch(text):
        return HostLine(found[3], logging.getLevelNamesMapping()[found[1]], int(found[2]))
    if found := _THESPIAN.fullmatch(text):
        return HostLine(found[3], _THESPIAN_LEVELS.get(found[2], logging.WARNING), int(found[1]))
    return HostLine(text, logging.ERROR if _TRACEBACK in text else logging.WARNING)


class Quota:
    """At most :data:`BURST` records at once, and :data:`PER_SECOND` in the long run; the rest is counted."""

    def __init__(self, now: float) -> None:
        self.dropped = 0
        self._left = float(BURST)
        self._last = now

    def take(self, now: float) -> bool:
        """Whether one more may go."""
        self._left = min(BURST, self._left + (now - self._last) * PER_SECOND)
        self._last = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Output:
    """The pipe that is standard output and standard error of all actors, and the thread that reads it.

    ``hand_on`` takes a record, or refuses it by returning false. It may not block.
    """

    def __init__(self, hand_on: Callable[[HostLine], bool]) -> None:
        self._hand_on = hand_on
        self._records = Records()
        self._quota = Quota(time.monotonic())
        self._thread = threading.Thread(target=self._run, name="nyx-plugins-output", daemon=True)
        self._pipe, output = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._pipe, False)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)

    def take(self) -> None:
        """Hand on what is there already, before :meth:`start`."""
        with contextlib.suppress(BlockingIOError):
            self._pass_on(self._records.feed(os.read(self._pipe, _READ_BYTES)))
        self._pass_on(self._records.finish())

    def start(self) -> None:
        """Read from now on. Call it after the last fork from here, which a thread would not survive."""
        self._thread.start()

    def close(self) -> None:
        """Hand on all that was printed, by processes that have ended and by this one, which prints no more."""
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        if self._thread.ident is None:
            self._thread.start()
        self._thread.join(_CLOSE_S)

    def _run(self) -> None:
        while self._read():
            pass
        self._pass_on(self._records.end())
        self._say_dropped()

    def _read(self) -> bool:
        """Wait for something and take it; returns whether there can be more."""
        ready, _, _ = select.select([self._pipe], [], [], QUIET_S)
        if not ready:
            self._pass_on(self._records.finish())
            self._say_dropped()
            select.select([self._pipe], [], [], 1.0 if self._quota.dropped else None)
            return True
        data = os.read(self._pipe, _READ_BYTES)
        self._pass_on(self._records.feed(data))
        return bool(data)

    def _pass_on(self, records: Iterator[HostLine]) -> None:
        for record in records:
            if not self._quota.take(time.monotonic()) or not self._hand_on(record):
                self._quota.dropped += 1

    def _say_dropped(self) -> None:
        dropped = self._quota.dropped
        if dropped and self._hand_on(HostLine(f"{dropped:,} records dropped: they came faster than they were taken")):
            self._quota.dropped = 0
