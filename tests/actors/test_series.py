"""Frames in a row: results in order, and never more of them in line than others can bear."""

from __future__ import annotations

import threading

import pytest

from nyx_plugins import FrameError, PluginHeader, PluginNotRegistered, SystemStopped
from nyx_plugins.actors.receipt import Receipt
from nyx_plugins.actors.series import MOST_WAITING, Series, encoded
from nyx_plugins.actors.waiting import Waiter


def receipt() -> Receipt:
    """Make a receipt."""
    return Receipt(7, 1, 0, threading.Condition())


def test_results_stand_in_order() -> None:
    """Receipts, waits and errors take the places of their frames; a header that can't be encoded is an error too."""
    waiter, sent = Waiter(7, 0x52, b""), receipt()
    answers = [sent, PluginNotRegistered(8), waiter, FrameError("bad")]

    def send(frame_type: int, header: bytes) -> Receipt | Waiter:
        answer = answers[len(series.entries)]
        if isinstance(answer, Exception):
            raise answer
        return answer

    series = Series(send)
    for _ in answers:
        series.send(0x52, b"")
    assert series.entries == answers
    assert series.waiting == [waiter]
    assert series.in_the_way() is None


def test_a_system_that_stops_ends_the_series() -> None:
    """There is no point in going on."""

    def send(frame_type: int, header: bytes) -> Receipt | Waiter:
        raise SystemStopped("it was closed")

    with pytest.raises(SystemStopped):
        Series(send).send(0x52, b"")


def test_the_line_is_bounded() -> None:
    """With so many in line, the first is in the way until it is done; then as many more may come."""
    series = Series(lambda frame_type, header: Waiter(7, frame_type, header))
    for _ in range(MOST_WAITING - 1):
        series.send(0x52, b"")
        assert series.in_the_way() is None
    series.send(0x52, b"")
    first, second, *_ = series.waiting
    assert series.in_the_way() is first
    first.succeed(receipt())
    assert series.in_the_way() is None
    series.send(0x52, b"")
    assert series.in_the_way() is second
    assert len(series.waiting) == MOST_WAITING


def test_headers_may_be_encoded_or_not() -> None:
    """Bytes are taken as they are."""
    header = PluginHeader(7, 0, b"x")
    assert encoded(header) == encoded(header.encode()) == header.encode()
