"""For tests of swaps: versions of one plugin that counts its frames, and a sender that checks the order."""

from __future__ import annotations

import os
import tempfile
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nyx_plugins import PluginHeader, PluginSystem, Receipt, Settings
from nyx_plugins.actors.processes import children, process_name
from nyx_plugins.config.sandbox import Ceiling
from nyx_plugins.config.settings import LimitSettings, SystemSettings

from ..conftest import workers_of

P = 7
DATA = 0x52
LONG_S = 30.0

COUNTER = '''
import os, sys, time
from nyx_plugins.plugins import Plugin

class Counter(Plugin):
    """Insists on being given 0, 1, 2 and so on, over all its versions; replies with version and number."""

    def on_load(self, ctx):
        self.last = -1

    def on_data(self, frame):
        number = int(frame.data)
        if number != self.last + 1:
            raise ValueError(f"{number} came after {self.last}")
        self.last = number
        return b"VERSION %d" % number

    def on_control(self, frame):
        return b"VERSION"

    def snapshot(self):
        return {"last": self.last}

    def restore(self, state, version):
        self.last = state["last"]
'''

MakeVersion = Callable[..., Path]


@pytest.fixture
def version(tmp_path: Path) -> MakeVersion:
    """Return a function that makes a version of the plugin, with methods of its own and lines for its manifest.

    It may read the test's folder, unless told otherwise.
    """

    def make(
        number: str,
        body: str = "",
        manifest: str = "",
        permissions: str = '"data_access"',
        name: str = "counter",
        reads: bool = True,
    ) -> Path:
        sandbox = f'[sandbox]\nread_paths = ["{tmp_path}"]' if reads else ""
        bundle = tmp_path / f"{name}-{number}"
        bundle.mkdir(exist_ok=True)
        source = COUNTER.replace("VERSION", number) + textwrap.indent(textwrap.dedent(body), "    ")
        (bundle / "plugin.py").write_text(source)
        (bundle / "plugin.toml").write_text(
            f'id = {P}\nname = "{name}"\nversion = "{number}"\napi_version = 1\nentry_point = "plugin:Counter"\n'
            f"permissions = [{permissions}]\n{manifest}\n{sandbox}\n"
        )
        return bundle

    return make


@pytest.fixture
def settings() -> Settings:
    """Return settings in which what hangs is given up within a second, and everything may be read."""
    return Settings(
        SystemSettings(stop_timeout_s=0.5),
        LimitSettings(
            mailbox_capacity=5000,
            dispatch_timeout_s=LONG_S,
            drain_timeout_s=LONG_S,
            snapshot_bytes=10_000,
            wall_time_s=30.0,
        ),
        ceiling=Ceiling(read_paths=(tempfile.gettempdir(),)),
    )


@pytest.fixture
def system(lend: Callable[[Settings], PluginSystem], settings: Settings) -> PluginSystem:
    """Return a running system with these settings, which others have used before."""
    return lend(settings)


class Sender:
    """A thread that sends 0, 1, 2 and so on until it is stopped."""

    def __init__(self, system: PluginSystem) -> None:
        self._system = system
        self._receipts: list[Receipt] = []
        self._stop = threading.Event()
        self._several = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._send)
        self._thread.start()

    def await_more(self, batches: int = 3) -> None:
        """Wait until it has sent so many batches more."""
        while self._several.acquire(blocking=False):
            pass
        for _ in range(batches):
            assert self._several.acquire(timeout=LONG_S)

    def stop(self) -> list[str]:
        """Stop, and return the version that has processed each frame; none may be lost, doubled or out of order."""
        self._stop.set()
        self._thread.join(LONG_S)
        outcomes = [receipt.outcome(LONG_S) for receipt in self._receipts]
        replies = [(outcome.reply or b"").decode().split() for outcome in outcomes]
        assert [(outcome.kind, outcome.reason) for outcome in outcomes] == [("processed", "")] * len(outcomes)
        assert [int(number) for _, number in replies] == list(range(len(outcomes)))
        return [version for version, _ in replies]

    def end(self) -> None:
        """Stop, whatever became of the frames."""
        self._stop.set()
        self._thread.join(LONG_S)

    def _send(self) -> None:
        while not self._stop.is_set():
            first = len(self._receipts)
            frames = [(DATA, PluginHeader(P, 0, b"%d" % number)) for number in range(first, first + 32)]
            sent = self._system.dispatch_many(frames, timeout=LONG_S)
            self._receipts += [item for item in sent if isinstance(item, Receipt)]
            self._several.release()


@pytest.fixture
def sending() -> Iterator[Callable[[PluginSystem], Sender]]:
    """Return a function that starts a sender; it ends with the test."""
    senders: list[Sender] = []

    def start(system: PluginSystem) -> Sender:
        senders.append(Sender(system))
        return senders[-1]

    yield start
    for sender in senders:
        sender.end()


class Pipe:
    """A named pipe at which plugin code stops: opening it for reading waits for :meth:`let_go`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._write_end = -1
        os.mkfifo(path)

    @property
    def stop(self) -> str:
        """The statement that stops there."""
        return f"open({str(self.path)!r}, 'rb').read()"

    def await_stop(self) -> None:
        """Wait until somebody has stopped there."""
        self._write_end = os.open(self.path, os.O_WRONLY)

    def let_go(self) -> None:
        """Let it go on. Idempotent."""
        if self._write_end >= 0:
            os.close(self._write_end)
            self._write_end = -1


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Pipe]:
    """Return a pipe at which plugin code stops."""
    pipe = Pipe(tmp_path / "pipe")
    yield pipe
    pipe.let_go()


@pytest.fixture
def aside() -> Iterator[Callable[[Callable[[], Any]], Any]]:
    """Return a function that runs something in a thread; calling its result waits for what it returned or raised."""
    threads: list[threading.Thread] = []

    def start(work: Callable[[], Any]) -> Callable[[], Any]:
        found: list[Any] = []

        def run() -> None:
            try:
                found.append(work())
            except Exception as error:
                found.append(error)

        threads.append(threading.Thread(target=run))
        threads[-1].start()

        def result() -> Any:
            threads[-1].join(LONG_S)
            [value] = found
            return value

        return result

    yield start
    for thread in threads:
        thread.join(LONG_S)


class Traces:
    """The files and processes of a plugin, as they are seen from outside."""

    def __init__(self, base: Path, system: PluginSystem) -> None:
        self._base = base
        self._system = system

    def files(self) -> list[str]:
        """All that lies below the folder of plugins, without the numbers in their names."""
        [folder] = self._base.glob("*/plugins")
        return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))

    def workers(self) -> list[int]:
        """The workers of the plugin, those of both versions."""
        return workers_of(self._system.plugin_stats(P).actor_pid)

    def loaders(self) -> list[int]:
        """The loaders that are at work."""
        supervisor = int(Path(f"/proc/{self._system.plugin_stats(P).actor_pid}/stat").read_text().split()[3])
        return [pid for pid in children(supervisor) if process_name(pid) == "nyx-Loader"]


@pytest.fixture
def traces(system: PluginSystem) -> Traces:
    """Return what looks for the plugin's files and processes."""
    return Traces(Path(system.settings.system.runtime_dir or ""), system)
