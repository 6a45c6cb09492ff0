"""Threads that wait at a receipt."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from nyx_plugins import DispatchTimeout, Outcome, OutcomeKind, PluginNotRegistered
from nyx_plugins.actors.receipt import Receipt

LONG_S = 60.0


def test_each_thread_is_woken_for_what_it_waits_for() -> None:
    """Several may wait for the same; the news is told with the session's lock held."""
    changed = threading.Condition()
    receipt = Receipt(7, 1, 9, changed)
    with ThreadPoolExecutor(3) as pool:
        accepted = pool.submit(receipt.wait_accepted, LONG_S)
        outcomes = [pool.submit(receipt.outcome, LONG_S) for _ in range(2)]
        with changed:
            receipt._accept()
        accepted.result(LONG_S)
        with changed:
            receipt._settle(b"reply")
        assert [outcome.result(LONG_S) for outcome in outcomes] == [Outcome(OutcomeKind.PROCESSED, b"reply")] * 2


def test_a_refusal_wakes_all() -> None:
    """There will be no outcome either."""
    changed = threading.Condition()
    receipt = Receipt(7, 1, 9, changed)
    with ThreadPoolExecutor(2) as pool:
        waits = [pool.submit(receipt.wait_accepted, LONG_S), pool.submit(receipt.outcome, LONG_S)]
        with changed:
            receipt._refuse(PluginNotRegistered(7))
        for wait in waits:
            with pytest.raises(PluginNotRegistered):
                wait.result(LONG_S)


def test_who_waits_in_vain_leaves_nothing_behind() -> None:
    """The receipt goes on; whoever looks later finds what has come."""
    receipt = Receipt(7, 1, 9, threading.Condition())
    with pytest.raises(DispatchTimeout) as late:
        receipt.outcome(0.001, asked=5.0)
    assert (late.value.receipt, receipt._gates) == (receipt, ())
    receipt._settle(None)
    assert receipt.outcome(0) == Outcome(OutcomeKind.PROCESSED)
