"""A crew: jobs done in threads, results collected where a descriptor says so."""

from __future__ import annotations

import select
import threading
from collections.abc import Callable, Iterator

import pytest

from nyx_plugins.actors import crew as module
from nyx_plugins.actors.crew import Crew

WAIT_S = 60.0


class Hands:
    """A crew of two, what it has released, and a gate at which jobs can be held up."""

    def __init__(self) -> None:
        self.released: list[int] = []
        self.freed = threading.Event()
        self.crew: Crew[int] = Crew(2, self._release)
        self.gate = threading.Event()
        self.begun = threading.Semaphore(0)

    def held(self, result: int) -> Callable[[], int]:
        """Make a job that waits at the gate."""

        def job() -> int:
            self.begun.release()
            assert self.gate.wait(WAIT_S)
            return result

        return job

    def results(self, count: int) -> list[tuple[int, int]]:
        """Wait for so many results."""
        found: list[tuple[int, int]] = []
        while len(found) < count:
            assert select.select([self.crew.fd], [], [], WAIT_S)[0], f"only {found}"
            found += self.crew.results()
        return sorted(found)

    def _release(self, result: int) -> None:
        self.released.append(result)
        self.freed.set()


@pytest.fixture
def hands() -> Iterator[Hands]:
    """Return a crew that is closed in the end."""
    hands = Hands()
    yield hands
    hands.gate.set()
    hands.crew.close()


def is_ready(hands: Hands) -> bool:
    """Say whether the descriptor tells of results."""
    return bool(select.select([hands.crew.fd], [], [], 0)[0])


def test_results_come_with_their_keys(hands: Hands) -> None:
    """Each job's result is collected once, under its key; the descriptor is readable until then."""
    for key in range(10):
        hands.crew.submit(key, lambda key=key: key * 2)  # type: ignore[misc]
    assert hands.results(10) == [(key, key * 2) for key in range(10)]
    assert not is_ready(hands)
    assert hands.crew.results() == []


def test_no_more_threads_than_its_size(hands: Hands) -> None:
    """Two jobs are begun, the third waits."""
    for key in range(3):
        hands.crew.submit(key, hands.held(key))
    assert hands.begun.acquire(timeout=WAIT_S) and hands.begun.acquire(timeout=WAIT_S)
    assert sum(thread.name == "crew" and thread.is_alive() for thread in threading.enumerate()) >= 2
    assert not hands.begun.acquire(blocking=False)
    hands.gate.set()
    assert hands.results(3) == [(0, 0), (1, 1), (2, 2)]


def test_a_job_that_waits_can_be_withdrawn(hands: Hands) -> None:
    """What is withdrawn before it has begun is never done; what has begun goes on."""
    for key in range(4):
        hands.crew.submit(key, hands.held(key))
    assert hands.begun.acquire(timeout=WAIT_S) and hands.begun.acquire(timeout=WAIT_S)
    hands.crew.withdraw(0)
    hands.crew.withdraw(2)
    hands.gate.set()
    assert hands.results(3) == [(0, 0), (1, 1), (3, 3)]


def test_closing_releases_what_is_not_collected(hands: Hands) -> None:
    """A result that nobody has taken is released, and so is one that comes later."""
    hands.crew.submit(0, lambda: 10)
    select.select([hands.crew.fd], [], [], WAIT_S)
    hands.crew.submit(1, hands.held(11))
    assert hands.begun.acquire(timeout=WAIT_S)
    hands.crew.close()
    hands.crew.close()
    assert hands.released == [10]
    hands.freed.clear()
    hands.gate.set()
    assert hands.freed.wait(WAIT_S)
    assert hands.released == [10, 11]


def test_where_no_thread_can_be_started_jobs_wait(hands: Hands, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system without room for threads raises nothing; the job is done when there is room again."""

    class NoThread:
        def __init__(self, **_: object) -> None: ...

        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(module.threading, "Thread", NoThread)
        hands.crew.submit(0, lambda: 5)
    hands.crew.submit(1, lambda: 6)
    assert hands.results(2) == [(0, 5), (1, 6)]
