"""The dispatcher is killed, alone or with others, while frames and questions are under way: only the clock notices."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from nyx_plugins import (
    AsyncPluginSystem,
    MailboxFull,
    NyxPluginError,
    PermissionDenied,
    PluginHeader,
    PluginSystem,
    Receipt,
    Settings,
)
from nyx_plugins.actors.service_file import Claim
from nyx_plugins.config.settings import LimitSettings, SupervisionSettings

pytestmark = pytest.mark.needs_worker(reason="on inline all actors are one process")

HANDSHAKE, DATA = 0x51, 0x52
P = 7
LONG_S = 30.0
KILLS = 3
SETTINGS = Settings(
    supervision=SupervisionSettings(max_restarts=1000, backoff_initial_s=0.001, backoff_max_s=0.001),
    limits=LimitSettings(mailbox_capacity=300),
)


def header(data: bytes = b"") -> bytes:
    """Encode a header."""
    return PluginHeader(P, 0, data).encode()


class Sender:
    """A thread that sends without pause until it is stopped; each of its calls is told of."""

    def __init__(self, system: PluginSystem, stop: threading.Event) -> None:
        self.receipts: list[Receipt] = []
        self.errors: Counter[str] = Counter()
        self._system, self._stop = system, stop
        self._calls = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def goes_on(self, calls: int = 3) -> None:
        """Wait until it has returned from so many more calls."""
        for _ in range(calls):
            assert self._calls.acquire(timeout=LONG_S)

    def join(self) -> None:
        """Wait for its end."""
        self._thread.join(LONG_S)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        for turn in itertools.count():
            if self._stop.is_set():
                return
            self._many() if turn % 2 else self._one()
            self._calls.release()

    def _many(self) -> None:
        for result in self._system.dispatch_many([(HANDSHAKE, header())] * 40, timeout=LONG_S):
            self._keep(result)

    def _one(self) -> None:
        try:
            self._keep(self._system.dispatch_nowait(HANDSHAKE, header()))
        except NyxPluginError as error:
            self._keep(error)

    def _keep(self, result: Receipt | NyxPluginError) -> None:
        if isinstance(result, Receipt):
            self.receipts.append(result)
        else:
            self.errors[type(result).__name__] += 1


class Crowd:
    """Senders of several programs."""

    def __init__(self, systems: Iterable[PluginSystem]) -> None:
        self._stop = threading.Event()
        self._systems = list(systems)
        self._senders = [Sender(system, self._stop) for system in self._systems]
        self.go_on()

    def go_on(self) -> None:
        """Wait until each of them gets on."""
        for sender in self._senders:
            sender.goes_on()

    def stop(self) -> tuple[list[list[Receipt]], Counter[str]]:
        """Wait for all; return the receipts of each, and what was refused at once."""
        self._stop.set()
        for sender in self._senders:
            sender.join()
        for system in self._systems:
            # What a program has to report of its refusals goes before what it asks.
            system.dispatch_stats()
        return [sender.receipts for sender in self._senders], sum((s.errors for s in self._senders), Counter())


@pytest.fixture
def owner(make_system: Callable[..., PluginSystem], fault: Callable[..., Path]) -> PluginSystem:
    """Return a system that starts its actors again at once, with the obedient plugin."""
    system = make_system(SETTINGS)
    system.load(fault("obedient_plugin", plugin_id=P))
    return system


@pytest.fixture
def place(owner: PluginSystem, runtime_base: Path) -> Iterator[Path]:
    """Return where other programs can connect to the system."""
    place = runtime_base / "nyx-plugins"
    claim = Claim(place)
    owner.publish(claim)
    yield place
    claim.release()
    (place / "service.lock").unlink()
    place.rmdir()


@pytest.fixture
def other(place: Path) -> Iterator[PluginSystem]:
    """Return the same system as a connected program has it."""
    with PluginSystem.connect(place) as connected:
        while not connected.is_plugin_loaded(P):
            connected.dispatch_stats()
        yield connected


@pytest.fixture
def kill(owner: PluginSystem, census: Callable[[PluginSystem], Any]) -> Callable[..., None]:
    """Return a function that kills the dispatcher, and whom else one names, at once."""

    def now(*roles: str) -> None:
        # All of them have to be there.
        while (plugin := owner.plugin_stats(P)).state not in ("ready", "paused") or plugin.worker_pid is None:
            pass
        there = {"dispatcher": census(owner).dispatcher, "actor": plugin.actor_pid, "worker": plugin.worker_pid}
        victims = [there[role] for role in ("dispatcher", *roles)]
        for pid in victims:
            os.kill(pid, signal.SIGSTOP)
        for pid in victims:
            os.kill(pid, signal.SIGKILL)

    return now


def books_agree(system: PluginSystem, receipts: list[Receipt], refused: Counter[str], others: int = 0) -> None:
    """Prove that the plugin's and the dispatcher's counters are what the senders know."""
    plugin, dispatcher = system.plugin_stats(P), system.dispatch_stats()
    accepted = others + sum(1 for receipt in receipts if receipt.accepted)
    late = Counter(type(receipt.error).__name__ for receipt in receipts if not receipt.accepted)
    assert plugin.accepted == accepted == plugin.processed + plugin.failed + plugin.dead_lettered
    assert (plugin.in_mailbox, dispatcher.frames_dispatched) == (0, accepted)
    assert (dispatcher.plugins_loaded, dispatcher.plugins_unloaded) == (1, 0)
    assert Counter(dispatcher.refused) == refused + late


def test_no_frame_is_lost_doubled_or_overtaken(
    owner: PluginSystem, other: PluginSystem, kill: Callable[..., None]
) -> None:
    """Threads of two programs send while it is killed again and again; the plugin numbers what it is given."""
    crowd = Crowd([owner, other, owner, other])
    for _ in range(KILLS):
        kill()
        crowd.go_on()
    by_sender, refused = crowd.stop()
    numbers = [[int(receipt.outcome(LONG_S).reply or b"") for receipt in receipts] for receipts in by_sender]
    assert all(mine == sorted(mine) for mine in numbers)
    assert sorted(itertools.chain(*numbers)) == list(range(1, sum(map(len, numbers)) + 1))
    assert set(refused) <= {MailboxFull.__name__}
    books_agree(owner, list(itertools.chain(*by_sender)), refused)


@pytest.mark.parametrize("roles", [("actor",), ("worker",), ("actor", "worker")])
def test_others_may_be_killed_with_it(
    owner: PluginSystem, other: PluginSystem, kill: Callable[..., None], roles: tuple[str, ...]
) -> None:
    """Each frame has one fate, and only what the worker was in the middle of is not processed."""
    crowd = Crowd([owner, other])
    for _ in range(KILLS):
        kill(*roles)
        crowd.go_on()
    by_sender, refused = crowd.stop()
    receipts = list(itertools.chain(*by_sender))
    kinds = Counter(str(receipt.outcome(LONG_S).kind) for receipt in receipts if receipt.accepted is not False)
    assert set(kinds) <= {"processed", "dead_lettered"}
    assert kinds["dead_lettered"] <= KILLS
    books_agree(owner, receipts, refused)


def test_what_is_revoked_while_it_is_killed_is_not_let_through(
    owner: PluginSystem, other: PluginSystem, kill: Callable[..., None]
) -> None:
    """When ``revoke`` has returned, no frame reaches the mailbox any more, whichever dispatcher had let it through."""
    crowd = Crowd([owner, other])
    for _ in range(KILLS):
        kill()
        other.revoke(P, "handshake")
        accepted = owner.plugin_stats(P).accepted
        crowd.go_on()
        assert owner.plugin_stats(P).accepted == accepted
        with pytest.raises(PermissionDenied):
            owner.dispatch(HANDSHAKE, header())
        kill()
        owner.grant(P, "handshake")
        crowd.go_on()
    by_sender, refused = crowd.stop()
    owner.drain(LONG_S)
    other.drain(LONG_S)
    books_agree(owner, list(itertools.chain(*by_sender)), refused + Counter(PermissionDenied=KILLS))


def test_tasks_that_wait_are_told_as_threads_are(owner: PluginSystem, place: Path, kill: Callable[..., None]) -> None:
    """A thousand tasks of a connected program send at once, through a mailbox of three hundred frames."""

    async def run() -> list[bytes | None]:
        async with await AsyncPluginSystem.connect(place) as system:
            while not system.is_plugin_loaded(P):
                await system.dispatch_stats()
            requests = [system.request(DATA, header(b"%d" % number), LONG_S) for number in range(1000)]
            replies = asyncio.gather(*requests)
            for _ in range(KILLS):
                await asyncio.to_thread(kill)
                await system.request(HANDSHAKE, header(), LONG_S)
            return await replies

    assert asyncio.run(run()) == [b"%d" % number for number in range(1000)]
    books_agree(owner, [], Counter(), others=1000 + KILLS)


def test_no_call_hangs_and_each_does_what_it_should(owner: PluginSystem, kill: Callable[..., None]) -> None:
    """Whatever is asked while there is no dispatcher is answered by the next one."""
    kill()
    assert owner.request(DATA, header(b"request"), LONG_S) == b"request"
    kill()
    results = owner.dispatch_many([(DATA, header(b"%d" % number)) for number in range(700)], timeout=LONG_S)
    kill()
    owner.drain(LONG_S)
    outcomes = [result.outcome(0.0).reply for result in results if isinstance(result, Receipt)]
    assert outcomes == [b"%d" % number for number in range(700)]
    kill()
    assert owner.plugin_stats(P).processed == 701
    kill()
    assert owner.dispatch_stats().frames_dispatched == 701
    kill()
    owner.pause(P)
    kill()
    owner.resume(P)
    kill()
    owner.unload(P, LONG_S)
    assert owner.loaded_plugins() == []
    assert owner.load("builtin:echo", plugin_id=P).plugin_id == P
    kill()
    assert owner.request(DATA, header(b"new"), LONG_S) == b"new"
    stats = owner.dispatch_stats()
    assert attrs.astuple(stats) == (2, 1, 702, 0, {})
