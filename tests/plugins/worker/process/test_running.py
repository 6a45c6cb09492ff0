"""What real workers send while they work."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from nyx_plugins.plugins.worker.answers import Done, Emit, Log
from nyx_plugins.plugins.worker.batch import Batch

from .conftest import DATA, ECHO, Start, header

COUNTED = [b"%d" % number for number in range(300)]


def test_replies_come_in_order(ready: Start) -> None:
    """A batch is answered by results of consecutive frames, in order, from the batch's first index on."""
    worker = ready(ECHO)
    worker.batch(*COUNTED, first=2**63)
    assert worker.results(len(COUNTED), first=2**63) == COUNTED


SLOW = """
def on_data(self, frame):
    import time
    end = time.monotonic() + 0.003
    while time.monotonic() < end: pass
"""


def test_results_of_slow_handlers_are_not_held_back(ready: Start) -> None:
    """Results leave as soon as 2 ms have passed, not only at the end of their batch."""
    worker = ready(SLOW)
    worker.batch(b"", b"", b"", first=10)
    assert [worker.answer() for _ in range(3)] == [Done(10, [None]), Done(11, [None]), Done(12, [None])]


def test_failures_are_results(ready: Start) -> None:
    """A handler that raises fails its frame; those before and after it are fine."""
    worker = ready("def on_data(self, frame): return b'%d' % (10 // int(frame.data))")
    worker.batch(b"5", b"0", b"2")
    assert worker.results(3) == [b"2", ["ZeroDivisionError", "integer division or modulo by zero"], b"5"]


def test_long_replies_are_refused(ready: Start) -> None:
    """A reply beyond the limit fails its frame; one of the limit passes."""
    worker = ready("def on_data(self, frame): return bytes(int(frame.data))")
    refused = ["ReplyTooLarge", "reply of 100,001 bytes: the limit is 100,000"]
    assert worker.reply(b"100001") == refused
    assert worker.reply(b"100000") == bytes(100_000)


def test_many_long_replies_come_in_several_messages(ready: Start) -> None:
    """However much a batch replies, no message is longer than the host accepts."""
    worker = ready("def on_data(self, frame): return bytes(100_000)")
    worker.batch(*[b""] * 40)
    assert worker.results(40) == [bytes(100_000)] * 40


BATCHING = """
def on_batch(self, frames):
    return [frame.data + b"/%d" % len(frames) for frame in frames]
def on_control(self, frame):
    return b"control"
"""


def test_on_batch_gets_runs_of_data_frames(ready: Start) -> None:
    """Consecutive data frames go to on_batch together; the page says how many are in hand."""
    worker = ready(BATCHING)
    frames = [(DATA, header(b"a")), (DATA, header(b"b")), (0x53, header()), (DATA, header(b"c"))]
    worker.send(Batch.of(frames).message(7))
    assert worker.results(4, first=7) == [b"a/2", b"b/2", b"control", b"c/1"]
    assert worker.marks() == (10, 1)


EMITTING = """
def on_data(self, frame):
    for part in range(3):
        self.ctx.emit(frame.data + b"%d" % part, 0x53, part)
        self.ctx.logger.warning("part %d", part)
"""


def test_emits_and_logs_come_in_order_before_their_result(ready: Start) -> None:
    """What a handler emits and logs has arrived, in order, when its result does."""
    worker = ready(EMITTING)
    worker.batch(b"x")
    answers = [worker.answer()]
    while not isinstance(answers[-1], Done):
        answers.append(worker.answer())
    emitted = [tuple(frame) for answer in answers if isinstance(answer, Emit) for frame in answer.frames]
    logged = [tuple(line) for answer in answers if isinstance(answer, Log) for line in answer.lines]
    assert emitted == [(0x53, 0, b"x0"), (0x53, 1, b"x1"), (0x53, 2, b"x2")]
    assert logged == [(30, "part 0"), (30, "part 1"), (30, "part 2")]


FLOODING = """
def on_data(self, frame):
    for number in range(5000):
        self.ctx.emit(b"%d" % number)
        self.ctx.logger.info("x" * 9000)
"""


def test_a_flood_comes_in_messages_that_the_host_accepts(ready: Start) -> None:
    """However much a handler emits and logs, each message keeps to the limits, and nothing is lost."""
    worker = ready(FLOODING)
    worker.batch(b"")
    emits = logs = 0
    while not isinstance(answer := worker.answer(), Done):
        emits += len(answer.frames) if isinstance(answer, Emit) else 0
        logs += len(answer.lines) if isinstance(answer, Log) else 0
    assert (emits, logs) == (5_000, 5_000)


FROM_A_THREAD = """
def on_data(self, frame):
    import threading
    thread = threading.Thread(target=self.ctx.emit, args=(b"from a thread",))
    thread.start()
    thread.join()
    with open(frame.data, "rb") as gate:
        gate.read()
"""


def test_a_thread_emits_at_once(ready: Start, tmp_path: Path) -> None:
    """What another thread emits arrives while a handler is still running."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    worker = ready(FROM_A_THREAD)
    worker.batch(os.fsencode(gate))
    emit = worker.answer()
    assert isinstance(emit, Emit)
    assert emit.frames[0].data == b"from a thread"
    gate.write_bytes(b"")
    assert worker.answer() == Done(0, [None])


def test_a_keyboard_interrupt_is_not_the_workers_business(ready: Start) -> None:
    """A worker ignores SIGINT, which a terminal sends to all its processes."""
    worker = ready(ECHO)
    worker.process.send_signal(signal.SIGINT)
    assert worker.reply(b"still here") == b"still here"
