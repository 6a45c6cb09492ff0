"""The client processes of a load test: started together, given phases together, and gone in the end."""

from __future__ import annotations

import contextlib
import json
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import attrs
import cattrs

from nyx_plugins.config.errors import StartupError

from .client import CONNECT_S, READY, STOP
from .interruption import HEARD
from .phase import Phase
from .recorder import Tally

# How much longer than it may take a client is waited for.
GRACE_S = 30.0
LOOK_S = 0.2


@attrs.frozen
class Heard:
    """What clients have counted, and why some of them have not."""

    tallies: tuple[Tally, ...]
    lost: Mapping[int, str]
    """By the place of their phase."""


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    """What is started meanwhile never hears of what ends a run, from its first moment on: that is for the harness."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Client:
    """One process."""

    def __init__(self, number: int, service: Path, errors: Path) -> None:
        self.number = number
        self._errors = errors
        with errors.open("wb") as file, _deaf():
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "nyx_plugins.load_tests.client", str(service)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
            )
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def tell(self, line: str) -> None:
        """Send it a line; one that has ended hears nothing."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()

    def hear(self, patience_s: float) -> str:
        """Wait for its next line; raises :class:`StartupError` if there is none in time, with what it has to say."""
        try:
            line = self._lines.get(timeout=max(0.0, patience_s))
        except queue.Empty:
            raise StartupError(f"client {self.number} has not answered within {patience_s:.0f} s") from None
        if not line:
            self._lines.put("")  # whoever asks again is told the same
            raise StartupError(f"client {self.number} {self._last_words()}")
        return line

    def end(self) -> None:
        """Let it come to its end, or kill it."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _last_words(self) -> str:
        """Say how it has ended: its output has."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(GRACE_S)
        code = self._process.returncode
        if code is not None and code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        said = self._errors.read_text(errors="replace").strip().splitlines() or ["nothing"]
        return f"has ended; it said: {said[-1]}"

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for line in output:
                self._lines.put(line.strip())
        self._lines.put("")


class Clients:
    """Several of them; use it as a context manager. Raises :class:`StartupError` when one does not come up."""

    def __init__(self, count: int, service: Path, folder: Path) -> None:
        self._all: list[Client] = []
        try:
            for number in range(1, count + 1):
                self._all.append(Client(number, service, folder / f"client-{number}.errors"))
            for client in self._all:
                if (word := client.hear(CONNECT_S + GRACE_S)) != READY:
                    raise StartupError(f"client {client.number} said {word!r:.100}")
        except BaseException:
            self.end()
            raise

    def __enter__(self) -> Clients:
        return self

    def __exit__(self, *error: object) -> None:
        self.end()

    @property
    def roles(self) -> dict[int, str]:
        """Their processes, by what they are called in a result."""
        return {client.pid: f"client {client.number}" for client in self._all}

    def run(self, phases: Sequence[Phase], stop: threading.Event) -> Heard:
        """Let each do its phase, and return what they have counted; ``stop`` ends it early.

        Raises :class:`StartupError` when none has counted anything.
        """
        for client, phase in zip(self._all, phases, strict=True):
            client.tell(json.dumps(attrs.asdict(phase)))
        over = threading.Event()
        watch = threading.Thread(target=self._watch, args=(stop, over), daemon=True)
        watch.start()
        try:
            return self._heard(phases)
        finally:
            over.set()
            watch.join()

    def end(self) -> None:
        """Let all come to their ends."""
        for client in self._all:
            client.end()

    def _heard(self, phases: Sequence[Phase]) -> Heard:
        tallies, lost = list[Tally](), dict[int, str]()
        for place, (client, phase) in enumerate(zip(self._all, phases, strict=True)):
            try:
                tallies.append(self._tally(client, phase))
            except StartupError as error:
                lost[place] = error.reason
        if not tallies:
            raise StartupError("; ".join(lost.values()))
        return Heard(tuple(tallies), lost)

    def _tally(self, client: Client, phase: Phase) -> Tally:
        patience_s = phase.drained / 1e9 - time.monotonic() + GRACE_S
        return cattrs.structure(json.loads(client.hear(patience_s)), Tally)

    def _watch(self, stop: threading.Event, over: threading.Event) -> None:
        while not over.is_set():
            if stop.wait(LOOK_S):
                for client in self._all:
                    client.tell(STOP)
                return
