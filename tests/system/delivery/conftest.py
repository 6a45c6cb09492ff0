"""For tests of delivery: a system for all of them, the obedient plugin, a crowd that sends, and books that are kept."""

from __future__ import annotations

import itertools
import os
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nyx_plugins import MailboxFull, NyxPluginError, PluginHeader, PluginSystem, Receipt, Settings
from nyx_plugins.config.sandbox import Ceiling
from nyx_plugins.config.settings import SystemSettings

HANDSHAKE, DATA = 0x51, 0x52
P = 7
LONG_S = 30.0


def header(data: bytes = b"") -> bytes:
    """Encode a header."""
    return PluginHeader(P, 0, data).encode()


class Counted:
    """What the dispatcher has counted since this was made."""

    def __init__(self, system: PluginSystem) -> None:
        self._system = system
        self._before = system.dispatch_stats()

    @property
    def dispatched(self) -> int:
        """How many frames were accepted."""
        return self._system.dispatch_stats().frames_dispatched - self._before.frames_dispatched

    @property
    def refused(self) -> dict[str, int]:
        """How many frames were refused, by the name of the error."""
        return dict(Counter(self._system.dispatch_stats().refused) - Counter(self._before.refused))


class Hammer:
    """Threads that send without pause until they have been refused for this cause often enough."""

    def __init__(self, system: PluginSystem, until: type[NyxPluginError], threads: int = 4, times: int = 50) -> None:
        self.receipts: list[list[Receipt]] = [[] for _ in range(threads)]
        self.errors: list[Counter[str]] = [Counter() for _ in range(threads)]
        self._system, self._until, self._times = system, until, times
        self._at_it = threading.Barrier(threads + 1)
        self._threads = [threading.Thread(target=self._send, args=(number,)) for number in range(threads)]
        for thread in self._threads:
            thread.start()
        self._at_it.wait(LONG_S)

    def join(self) -> tuple[list[Receipt], Counter[str]]:
        """Wait for all threads; return every receipt, and the errors that were raised at once."""
        for thread in self._threads:
            thread.join(LONG_S)
        return list(itertools.chain(*self.receipts)), sum(self.errors, Counter())

    def _send(self, number: int) -> None:
        self.receipts[number].append(self._system.dispatch(DATA, header(b"first"), LONG_S))
        self._at_it.wait(LONG_S)
        while self.errors[number][self._until.__name__] < self._times:
            try:
                self.receipts[number].append(self._system.dispatch_nowait(DATA, header(b"more")))
            except NyxPluginError as error:
                self.errors[number][type(error).__name__] += 1


class Gate:
    """Holds the plugin's handler where it reads the pipe, from ``with`` to its end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)

    def __enter__(self) -> None:
        # Returns when the handler has opened the other end.
        self._file = self.path.open("wb")

    def __exit__(self, *_: object) -> None:
        self._file.close()


@pytest.fixture(scope="module")
def running(short_folder: Callable[[], Path]) -> Iterator[Callable[[str], PluginSystem]]:
    """Return what gives the one system of each transport that the tests here share."""
    base, systems = short_folder(), {}

    def on(transport: str) -> PluginSystem:
        if transport not in systems:
            ceiling = Ceiling(read_paths=(tempfile.gettempdir(),))
            settings = Settings(SystemSettings(runtime_dir=str(base)), ceiling=ceiling)
            systems[transport] = PluginSystem(settings, transport=transport)
        return systems[transport]

    yield on
    for system in systems.values():
        system.close(timeout=1.0)
    assert list(base.iterdir()) == []


@pytest.fixture
def shared(running: Callable[[str], PluginSystem], transport: str) -> Iterator[PluginSystem]:
    """Return a system that other tests have used before, and will; what a test loads is unloaded after it."""
    system = running(transport)
    yield system
    for plugin_id in system.loaded_plugins():
        system.unload(plugin_id, timeout=1.0)


@pytest.fixture
def load(shared: PluginSystem, fault: Callable[..., Path]) -> Callable[..., PluginSystem]:
    """Return a function that loads the obedient plugin as plugin ``P`` and returns the system."""

    def one(manifest: str = "", **options: Any) -> PluginSystem:
        shared.load(fault("obedient_plugin", manifest, plugin_id=P), **options)
        return shared

    return one


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    """Return the gate at which the obedient plugin waits."""
    return Gate(tmp_path / "gate")


@pytest.fixture
def counted() -> type[Counted]:
    """Return what keeps the dispatcher's books from now on."""
    return Counted


@pytest.fixture
def hammer() -> type[Hammer]:
    """Return what starts a crowd of senders."""
    return Hammer


@pytest.fixture
def fates() -> Callable[[list[Receipt]], Counter[str]]:
    """Return a function that waits for the end of each frame, and counts kinds of outcomes and names of refusals."""

    def count(receipts: list[Receipt]) -> Counter[str]:
        found: Counter[str] = Counter()
        for receipt in receipts:
            try:
                found[str(receipt.outcome(LONG_S).kind)] += 1
            except NyxPluginError as error:
                found[type(error).__name__] += 1
        return found

    return count


@pytest.fixture
def has_room_for() -> Callable[[PluginSystem, int], None]:
    """Return a function that proves that exactly so many frames fit, and then the largest that there is."""

    def prove(system: PluginSystem, capacity: int) -> None:
        system.pause(P)
        results = system.dispatch_many([(HANDSHAKE, header())] * (capacity + 1), wait=False)
        assert [type(result) for result in results] == [Receipt] * capacity + [MailboxFull]
        system.resume(P)
        system.drain(LONG_S)
        largest = header(bytes(65_536 - len(header(bytes(4000))) + 4000))
        assert len(largest) == 65_536
        assert system.dispatch(DATA, largest, LONG_S).outcome(LONG_S).kind == "processed"

    return prove
