"""What comes later is known once, whoever waits for it and whenever they begin to."""

from __future__ import annotations

import traceback
from concurrent.futures import ThreadPoolExecutor

import pytest

from nyx_plugins import SystemStopped
from nyx_plugins.actors.pending import Pending

LONG_S = 30.0


def test_a_value_is_told_and_kept() -> None:
    """Who is told is told once; the first word stands."""
    told: list[bool] = []
    pending: Pending[int] = Pending()
    pending.tell(lambda: told.append(pending.done))
    assert not pending.done and told == []
    pending.succeed(1)
    pending.succeed(2)
    pending.fail(SystemStopped("late"))
    assert told == [True]
    assert pending.result() == 1
    assert pending.wait(0.0)


def test_an_error_is_raised_to_everyone_with_a_traceback_of_their_own() -> None:
    """One error may end many waits: who raises the next one takes no line of the first one's traceback away."""
    error = SystemStopped("it was closed")
    error.__cause__ = OSError("gone")
    pending: Pending[int] = Pending()
    pending.fail(error)
    all_caught = []
    for _ in range(3):
        with pytest.raises(SystemStopped) as caught:
            pending.result()
        all_caught.append(caught.value)
    assert len({id(one) for one in all_caught}) == 3
    for one in all_caught:
        assert (type(one), str(one), one.__dict__) == (SystemStopped, str(error), error.__dict__)
        assert one.__cause__ is error.__cause__
        assert [frame.name for frame in traceback.extract_tb(one.__traceback__)][1:] == ["result"]


def test_waiting_ends_with_the_time_or_with_the_value() -> None:
    """A thread waits as long as it wants to, and is woken at once."""
    pending: Pending[int] = Pending()
    assert not pending.wait(0.0)
    assert not pending.wait(-1.0)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(pending.wait, LONG_S)
        pending.succeed(1)
        assert waiting.result(LONG_S)
    assert pending.wait(None)
