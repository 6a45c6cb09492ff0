"""A plugin actor's broker: each request has one answer, in time, and nothing is left open."""

from __future__ import annotations

import errno
import os
import select
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from nyx_plugins.actors import broker as module
from nyx_plugins.actors.broker import THREADS, Broker
from nyx_plugins.actors.outside import Place
from nyx_plugins.plugins.policy import Policy
from nyx_plugins.plugins.worker.answers import Connect
from nyx_plugins.plugins.worker.outside import Refusal
from nyx_plugins.plugins.worker.protocol import BY_POLICY, BY_SYSTEM, MAX_REQUESTS, ProtocolError

WAIT_S = 60.0
POLICY = Policy(network=("localhost", "slow.localhost"))
TIMED_OUT = Refusal(BY_SYSTEM, errno.ETIMEDOUT, "Connection timed out")


class Link:
    """A worker's link, which keeps its answers."""

    def __init__(self) -> None:
        self.answers_waiting = 0
        self.answers: dict[int, int | Refusal] = {}

    def answer(self, request_id: int, answer: int | Refusal) -> None:
        """Keep an answer; a second one to the same request would be a fault."""
        assert request_id not in self.answers
        self.answers[request_id] = answer


class Actor:
    """The broker's actor: watches its descriptor when it is told to, on a clock of its own."""

    def __init__(self) -> None:
        self.link = Link()
        self.denied: list[str] = []
        self.alarm_after_s = 0.0
        self.now = 1000.0
        self.gate = threading.Event()
        self.begun = threading.Semaphore(0)
        self.addresses = ["127.0.0.1"]
        self.broker = Broker(self, self._resolve)
        self._watched: dict[int, Callable[[int], None]] = {}

    def _resolve(self, host: str, port: int) -> list[Place]:
        if host == "slow.localhost":
            self.begun.release()
            assert self.gate.wait(WAIT_S)
        return [(socket.AF_INET, (address, port)) for address in self.addresses]

    def watch(self, fd: int, watcher: Callable[[int], None]) -> None:
        """Remember a descriptor."""
        self._watched[fd] = watcher

    def unwatch(self, fd: int) -> None:
        """Forget it."""
        del self._watched[fd]

    def alarm(self, name: object, after_s: float) -> None:
        """Remember when."""
        assert name == "broker"
        self.alarm_after_s = after_s

    def worker_denied(self, what: str) -> None:
        """Remember what."""
        self.denied.append(what)

    def ask(self, request_id: int, host: str = "localhost", port: int = 1, timeout_ms: int = 10_000) -> None:
        """Take a request of the link."""
        self.broker.take(Connect(request_id, host, port, timeout_ms), self.link, POLICY)

    def serve_until(self, done: Callable[[], bool]) -> None:
        """Call watchers until it is done."""
        while not done():
            ready = select.select(list(self._watched), [], [], WAIT_S)[0]
            assert ready, "nothing comes any more"
            for fd in ready:
                self._watched[fd](1)


@pytest.fixture
def actor(monkeypatch: pytest.MonkeyPatch) -> Iterator[Actor]:
    """Return an actor with a broker; in the end its threads are let go."""
    actor = Actor()
    monkeypatch.setattr(module.time, "monotonic", lambda: actor.now)
    yield actor
    actor.gate.set()
    actor.broker.close()


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """Return a socket that listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_a_granted_request_has_a_descriptor(actor: Actor, server: socket.socket) -> None:
    """The answer of an allowed request is a connected socket."""
    actor.ask(7, port=server.getsockname()[1])
    actor.serve_until(lambda: 7 in actor.link.answers)
    answer = actor.link.answers[7]
    assert isinstance(answer, int)
    with socket.socket(fileno=answer) as connection:
        assert connection.getpeername() == server.getsockname()
    assert actor.denied == []


def test_a_denied_request_is_noted(actor: Actor) -> None:
    """What the policy denies is answered, and the actor is told."""
    actor.ask(1, "evil.example")
    actor.serve_until(lambda: 1 in actor.link.answers)
    reason = "host 'evil.example' is not in the network list (localhost, slow.localhost)"
    assert actor.link.answers == {1: Refusal(BY_POLICY, errno.EACCES, reason)}
    assert actor.denied == [f"connection: {reason}"]


def test_no_thread_before_the_first_request(actor: Actor) -> None:
    """A plugin that asks for nothing costs no thread and no descriptor."""
    before = len(os.listdir("/proc/self/fd"))
    broker = Broker(actor)
    assert len(os.listdir("/proc/self/fd")) == before
    broker.close()


def test_requests_are_bounded(actor: Actor) -> None:
    """One request more than may be under way is a breach; answers that the worker does not take count."""
    for request_id in range(MAX_REQUESTS - 3):
        actor.ask(request_id, "slow.localhost")
    actor.link.answers_waiting = 2
    actor.ask(100, "slow.localhost")
    with pytest.raises(ProtocolError, match=f"more than {MAX_REQUESTS} requests are not answered"):
        actor.ask(101, "slow.localhost")


def test_a_request_is_made_once(actor: Actor) -> None:
    """The id of a request that is under way can't be used again; once it is answered, it can."""
    actor.ask(1, "slow.localhost")
    with pytest.raises(ProtocolError, match="request 1 is not answered, and made again"):
        actor.ask(1)
    actor.gate.set()
    actor.serve_until(lambda: 1 in actor.link.answers)
    del actor.link.answers[1]
    actor.ask(1, "evil.example")
    actor.serve_until(lambda: 1 in actor.link.answers)


def test_a_resolver_that_hangs_does_not_hang_the_plugin(actor: Actor) -> None:
    """Requests are answered as timed out at their time, those that wait for a thread too; nobody is answered twice."""
    for request_id in range(THREADS + 2):
        actor.ask(request_id, "slow.localhost", timeout_ms=1000 * (request_id + 1))
    for _ in range(THREADS):
        assert actor.begun.acquire(timeout=WAIT_S)
    assert actor.alarm_after_s == pytest.approx(1.25)
    actor.now += 1.3
    actor.broker.expire()
    assert actor.link.answers == {0: TIMED_OUT}
    assert actor.alarm_after_s == pytest.approx(0.95)
    actor.now += 100
    actor.broker.expire()
    assert actor.link.answers == dict.fromkeys(range(THREADS + 2), TIMED_OUT)
    actor.gate.set()
    actor.ask(99, "evil.example")
    actor.serve_until(lambda: 99 in actor.link.answers)
    assert not actor.begun.acquire(blocking=False)


def test_what_comes_too_late_is_closed(actor: Actor, server: socket.socket) -> None:
    """A connection that is made after its worker has ended is closed, and answers nobody."""
    actor.ask(1, "slow.localhost", server.getsockname()[1])
    assert actor.begun.acquire(timeout=WAIT_S)
    before = len(os.listdir("/proc/self/fd"))
    actor.broker.forget(actor.link)
    actor.gate.set()
    server.settimeout(WAIT_S)
    with server.accept()[0] as theirs:
        theirs.setblocking(False)
        actor.serve_until(lambda: bool(select.select([theirs], [], [], 0)[0]))
        assert theirs.recv(1) == b""
    assert actor.link.answers == {}
    assert len(os.listdir("/proc/self/fd")) == before


def test_closing_leaves_nothing(server: socket.socket) -> None:
    """After close() there is no descriptor of the broker's, and what its threads still make is closed."""
    before = len(os.listdir("/proc/self/fd"))
    actor = Actor()
    actor.ask(1, "slow.localhost", server.getsockname()[1])
    assert actor.begun.acquire(timeout=WAIT_S)
    actor.broker.close()
    actor.broker.close()
    actor.gate.set()
    server.settimeout(WAIT_S)
    with server.accept()[0] as theirs:
        theirs.settimeout(WAIT_S)
        assert theirs.recv(1) == b""
    assert len(os.listdir("/proc/self/fd")) == before
    assert actor.link.answers == {}
