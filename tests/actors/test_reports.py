"""The host's reports: they never hold it up."""

from __future__ import annotations

import json
import os
import select
import threading
from collections.abc import Iterator

import pytest

from nyx_plugins.actors import reports
from nyx_plugins.actors.reports import ReportPipe


@pytest.fixture
def pipe() -> Iterator[tuple[int, ReportPipe]]:
    """A pipe's reading end, and the reports that go into it."""
    reading, writing = os.pipe()
    yield reading, ReportPipe(writing)
    os.close(writing)
    os.close(reading)


def read_all(fd: int) -> bytes:
    """What is in the pipe."""
    data = b""
    while select.select([fd], [], [], 0)[0]:
        data += os.read(fd, 1 << 16)
    return data


def test_an_offer_is_refused_when_nobody_reads(pipe: tuple[int, ReportPipe]) -> None:
    """What was accepted arrives whole, once there is room again, and before what comes later."""
    reading, pipe_end = pipe
    sent = 0
    while pipe_end.offer(number=sent, text="x" * 5000):
        sent += 1
    received = read_all(reading)
    pipe_end.send(last=True)
    *numbered, last = map(json.loads, (received + read_all(reading)).splitlines())
    assert sent > 10
    assert [report["number"] for report in numbered] == list(range(sent))
    assert last == {"last": True}


def test_an_important_report_waits_for_room(pipe: tuple[int, ReportPipe]) -> None:
    """Whoever begins to read gets it."""
    reading, pipe_end = pipe
    while pipe_end.offer(text="x" * 5000):
        pass
    sender = threading.Thread(target=pipe_end.send, kwargs={"stopped": "why"})
    sender.start()
    data = b""
    while b'"stopped": "why"' not in data:
        data += os.read(reading, 1 << 16)
    sender.join(10)
    assert not sender.is_alive()


def test_an_important_report_is_given_up_when_nobody_ever_reads(
    pipe: tuple[int, ReportPipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host has to end, whatever its application does."""
    monkeypatch.setattr(reports, "PATIENCE_S", 0.01)
    _, pipe_end = pipe
    while pipe_end.offer(text="x" * 5000):
        pass
    pipe_end.send(stopped="why")
    assert not pipe_end.offer(text="more")


def test_a_reader_that_has_gone_is_no_error() -> None:
    """Reports are lost then, and nothing is raised."""
    reading, writing = os.pipe()
    os.close(reading)
    pipe_end = ReportPipe(writing)
    assert pipe_end.offer(text="x")
    pipe_end.send(text="y")
    os.close(writing)
