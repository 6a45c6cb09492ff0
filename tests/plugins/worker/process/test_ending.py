"""How real workers end, and what they leave."""

from __future__ import annotations

import signal

import pytest

from nyx_plugins.plugins.worker import protocol
from nyx_plugins.plugins.worker.answers import Done, Emit, Ending, Log, Stopped
from nyx_plugins.plugins.worker.batch import Batch

from .conftest import DATA, ECHO, Peer, Start, header


def test_stop_runs_on_unload(ready: Start) -> None:
    """STOP calls on_unload, says so, and ends the worker."""
    worker = ready("def on_unload(self): self.ctx.emit(b'bye')")
    worker.send([protocol.STOP])
    emit, stopped = worker.rest()
    assert isinstance(emit, Emit)
    assert stopped == Stopped(None)
    assert worker.ended() == 0


def test_an_error_of_on_unload_is_reported(ready: Start) -> None:
    """STOPPED carries what on_unload raised."""
    worker = ready("def on_unload(self): raise ValueError('stuck')")
    worker.send([protocol.STOP])
    assert worker.rest() == [Stopped("ValueError: stuck")]
    assert worker.ended() == 0


def test_stop_comes_after_the_batches_before_it(ready: Start) -> None:
    """Frames sent before STOP are still run."""
    worker = ready(ECHO)
    batch = Batch.of([(DATA, header(b"last"))]).message(0)
    worker.socket.sendall(protocol.encode(batch) + protocol.encode([protocol.STOP]))
    assert worker.rest() == [Done(0, [b"last"]), Stopped(None)]


CRASHING = """
def on_data(self, frame):
    if frame.data == b"crash":
        os.kill(os.getpid(), 9)
"""
CRASHING_IN_A_RUN = """
def on_batch(self, frames):
    os.kill(os.getpid(), 9)
def on_control(self, frame):
    pass
"""


def test_a_crash_leaves_the_index_of_its_frame(ready: Start) -> None:
    """After a crash in the middle of a batch, the page says which frame was in hand."""
    worker = ready(CRASHING)
    assert worker.marks() == (0, 0)
    worker.batch(b"", b"", b"crash", b"", first=2**40)
    # Results leave before it if the worker was not quick: those of the two frames before, one by one or together.
    possible = [], [Done(2**40, [None])], [Done(2**40, [None] * 2)], [Done(2**40, [None]), Done(2**40 + 1, [None])]
    assert worker.rest() in possible
    assert worker.ended() == -signal.SIGKILL
    assert worker.marks() == (2**40 + 2, 1)


def test_a_crash_in_on_batch_leaves_its_run(ready: Start) -> None:
    """After a crash in on_batch, the page says which frames were in hand."""
    worker = ready(CRASHING_IN_A_RUN)
    worker.send(Batch.of((kind, header()) for kind in (0x53, DATA, DATA, 0x53)).message(5))
    assert worker.ended() == -signal.SIGKILL
    assert worker.marks() == (6, 2)


def test_a_rare_log_line_survives_a_crash(ready: Start) -> None:
    """What a handler logs before it crashes or hangs has arrived, unless it logs a lot."""
    worker = ready("def on_data(self, frame):\n    self.ctx.logger.error('about to')\n    os.kill(os.getpid(), 9)")
    worker.batch(b"")
    log = worker.answer()
    assert isinstance(log, Log)
    assert log.lines[0].text == "about to"


@pytest.mark.parametrize(
    ("raised", "status", "said"),
    [
        ("SystemExit", 0, []),
        ("SystemExit(3)", 3, []),
        ("SystemExit('why')", 1, [Ending("SystemExit: why")]),
        ("KeyboardInterrupt('why')", 1, [Ending("KeyboardInterrupt: why")]),
    ],
)
def test_what_ends_a_program_ends_the_worker(ready: Start, raised: str, status: int, said: list[Ending]) -> None:
    """A handler that raises what ends a program ends the worker, which says why; earlier results are not lost."""
    worker = ready(f"def on_data(self, frame):\n    if frame.data: raise {raised}\n    return b'fine'")
    worker.batch(b"", b"x", b"")
    assert worker.rest() == [Done(0, [b"fine"]), *said]
    assert worker.ended() == status
    assert ("why" in worker.errors()) == ("why" in raised)


def test_no_stream_of_a_plugin_keeps_a_worker_alive(ready: Start) -> None:
    """Streams that raise when the last words are printed prevent neither these, nor the end."""
    stream = "type('Stream', (), {'write': lambda *_: 1 / 0, 'flush': lambda _: 1 / 0})()"
    replace = f"import sys\n    sys.stdout = sys.stderr = {stream}"
    worker = ready(f"def on_data(self, frame):\n    {replace}\n    raise SystemExit('why')")
    worker.batch(b"")
    assert worker.rest() == [Ending("SystemExit: why")]
    assert worker.ended() == 1


def test_printed_lines_survive_a_crash(ready: Start) -> None:
    """What a plugin prints is in its pipe at once, line by line."""
    worker = ready("def on_data(self, frame):\n    print('printed')\n    os.kill(os.getpid(), 9)")
    worker.batch(b"")
    worker.ended()
    assert worker.process.stdout is not None
    assert worker.process.stdout.read() == b"printed\n"


THREADED = """
def on_load(self, ctx):
    import threading
    threading.Thread(target=threading.Event().wait).start()
"""


@pytest.mark.parametrize("end", ["close", "stop"])
def test_a_thread_does_not_keep_a_worker_alive(ready: Start, end: str) -> None:
    """When the host is gone, or says STOP, the worker ends although a thread of its plugin still runs."""
    worker = ready(THREADED)
    if end == "close":
        worker.socket.close()
    else:
        worker.send([protocol.STOP])
    assert worker.ended() == 0


SPINNING = """
def on_data(self, frame):
    self.ctx.logger.info("spinning")
    while True: pass
"""


def test_a_spinning_handler_does_not_outlive_its_host(ready: Start) -> None:
    """When the host is gone, the worker ends even in the middle of a handler that never returns."""
    worker = ready(SPINNING)
    worker.batch(b"")
    assert isinstance(worker.answer(), Log)
    worker.socket.close()
    assert worker.ended() == 0


def test_a_worker_whose_host_is_gone_before_start_ends() -> None:
    """A worker that never hears anything ends with its socket."""
    peer = Peer()
    try:
        peer.socket.close()
        assert peer.ended() == 0
        assert peer.errors() == ""
    finally:
        peer.close()
