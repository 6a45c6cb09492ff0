"""What is left of links that were closed, or inherited by a forked process: nothing that could do harm."""

from __future__ import annotations

import os
import signal
import threading
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .conftest import Talk, Town


def test_an_end_leaves_nothing(town: Town, open_descriptors: Callable[[], set[int]]) -> None:
    """A member that ends closes all it has opened and removes its socket, once; others that have talked to it too."""
    before = open_descriptors()
    members = [town.member(name) for name in "abc"]
    for one in members:
        for other in members:
            if one is not other:
                one.post(other, "hello")
    town.knock(members[0]).close()
    town.until(lambda: all(len(member.links.incoming) >= 2 for member in members))
    for member in members:
        assert set(member.links.descriptors()) <= open_descriptors() - before
        member.links.close()
        member.links.close()
        assert not member.path.exists()
    assert open_descriptors() == before


def test_a_poll_after_the_end_does_nothing(talk: Talk) -> None:
    """Another thread that polls a member which has ended comes back at once."""
    talk.send()
    talk.sender.links.close()
    talk.sender.links.poll(None)
    assert talk.sender.lost == talk.sent


def test_a_wake_up_after_the_end_reaches_nobody(town: Town) -> None:
    """A signal that comes after the end writes nothing into what has got the number of a closed descriptor."""
    member = town.member("member")
    numbers = member.links.descriptors()
    member.links.close()
    reading, writing = os.pipe2(os.O_NONBLOCK)
    for number in numbers:
        if number not in (reading, writing):
            os.dup2(writing, number)
    member.links.wake()
    for number in {writing, *numbers} - {reading}:
        os.close(number)
    received = os.read(reading, 100)
    os.close(reading)
    assert received == b""


def test_a_forked_process_can_not_disturb_its_parent(talk: Talk) -> None:
    """A process that was forked and has abandoned its parent's links can send nothing with them, and survives that."""
    talk.send()
    talk.town.until(talk.receiver.take)
    talk.send()
    pid = os.fork()
    if pid == 0:
        try:
            talk.sender.links.abandon()
            talk.send()
            talk.sender.links.poll(0.0)
            talk.sender.links.close()
            os._exit(0)
        finally:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    talk.town.until(talk.receiver.take)
    assert talk.receiver.taken == talk.sent
    assert talk.sender.path.exists()
    assert code == 0


def test_a_process_that_is_forked_while_a_thread_sends_is_not_held_up(talk: Talk) -> None:
    """A forked process does not wait for a thread of its parent's that it does not have."""
    links, is_held, is_over = talk.sender.links, threading.Event(), threading.Event()

    def hold() -> None:
        with links.lock:
            is_held.set()
            is_over.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    is_held.wait()
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        pid = os.fork()
    if pid == 0:
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(5)
            links.abandon()
            talk.send()
            links.close()
            os._exit(0)
        finally:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    is_over.set()
    thread.join()
    assert code == 0
