"""Wakeups come when they are due, in order."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nyx_plugins.actors.transports.unix.wakeups import Wakeups


def _pop_all(wakeups: Wakeups) -> list[object]:
    popped = []
    while (wakeup := wakeups.pop_due(math.inf)) is not None:
        popped.append(wakeup.payload)
    return popped


def test_without_any_nothing_is_due() -> None:
    """Nothing is due where nothing was asked for."""
    wakeups = Wakeups()
    assert wakeups.next_due() is None
    assert wakeups.pop_due(math.inf) is None
    assert wakeups.timers() == []


def test_none_comes_before_its_time() -> None:
    """A wakeup is handed out at its time and not before, once, with its period and payload."""
    wakeups = Wakeups()
    period = timedelta(hours=1)
    wakeups.add(period, "payload")
    due = wakeups.next_due()
    assert due is not None
    assert wakeups.pop_due(math.nextafter(due, 0)) is None
    wakeup = wakeups.pop_due(due)
    assert wakeup is not None
    assert (wakeup.delayPeriod, wakeup.payload) == (period, "payload")
    assert wakeups.pop_due(math.inf) is None


@given(st.lists(st.integers(0, 5)))
def test_they_come_in_the_order_of_their_times(hours: list[int]) -> None:
    """The earliest comes first, and of two with the same period the one that was asked for first."""
    wakeups = Wakeups()
    for index, count in enumerate(hours):
        wakeups.add(3600 * count, (count, index))
    assert _pop_all(wakeups) == sorted((count, index) for index, count in enumerate(hours))


def test_at_the_same_time_the_first_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wakeups of the very same moment come in the order in which they were asked for, whatever their payloads are."""
    monkeypatch.setattr("time.monotonic", lambda: 100.0)
    wakeups = Wakeups()
    payloads = [object() for _ in range(20)]
    for payload in payloads:
        wakeups.add(1, payload)
    assert wakeups.next_due() == 101.0
    assert _pop_all(wakeups) == payloads


@pytest.mark.parametrize("period", [3600, 3600.0, timedelta(hours=1)])
def test_periods_are_seconds_or_timedeltas(period: object) -> None:
    """An hour can be written as a number of seconds or as a timedelta."""
    wakeups, reference = Wakeups(), Wakeups()
    reference.add(3599, None)
    wakeups.add(period, None)
    reference.add(3601, None)
    due = wakeups.next_due()
    assert due is not None
    assert reference.pop_due(due) is not None and reference.pop_due(due) is None


def test_what_is_no_period_is_refused() -> None:
    """A period of another kind is a TypeError and sets no wakeup."""
    wakeups = Wakeups()
    with pytest.raises(TypeError):
        wakeups.add("soon", None)
    assert wakeups.next_due() is None


@given(st.lists(st.integers(-100, 1000), max_size=20))
def test_timers_are_sorted(seconds: list[int]) -> None:
    """The list of timers begins with what is due first; what is overdue has no time left."""
    wakeups = Wakeups()
    for each in seconds:
        wakeups.add(each, object())
    durations = [timer.duration for timer in wakeups.timers()]
    assert durations == sorted(durations)
    assert len(durations) == len(seconds)
    assert all(0.0 <= duration <= max(max(seconds), 0) for duration in durations)
