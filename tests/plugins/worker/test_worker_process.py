"""Real workers: what they can see, what they send, and how they end."""

from __future__ import annotations

import datetime
import os
import signal
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

import cbor2
import pytest

from nyx_plugins.plugins import header as header_module
from nyx_plugins.plugins import sdk
from nyx_plugins.plugins.worker import main, protocol, spawn
from nyx_plugins.plugins.worker.answers import (
    Answer,
    Done,
    Emit,
    Log,
    LogLine,
    Ready,
    Restored,
    SnapshotDone,
    SnapshotPart,
    StartFailed,
    Stopped,
    SwapFailed,
    check_from_worker,
)
from nyx_plugins.plugins.worker.jail import plan

WAIT_S = 20.0
MAX_REPLY_BYTES = 100_000
DATA = 0x52


def header(data: bytes = b"") -> bytes:
    """Encode a plugin header."""
    return cbor2.dumps({"id": 1, "flags": 0, "data": data})


class Peer:
    """The host's end of one worker."""

    def __init__(self, extra_packages: tuple[str, ...] = (), environment: tuple[str, ...] = ()) -> None:
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(WAIT_S)
        self.page = os.memfd_create("page")
        os.ftruncate(self.page, protocol.PAGE_BYTES)
        self.fd = theirs.fileno()
        self.process = subprocess.Popen(
            spawn.worker_command(self.fd, self.page, extra_packages),
            env=spawn.worker_environment(environment),
            pass_fds=(self.fd, self.page),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        theirs.close()
        self._reader = protocol.MessageReader(protocol.max_message_bytes(MAX_REPLY_BYTES))
        self._answers: list[Answer] = []

    def send(self, message: list[Any]) -> None:
        """Send one message."""
        self.socket.sendall(protocol.encode(message))

    def batch(self, *datas: bytes, first: int = 0, frame_type: int = DATA) -> None:
        """Send a batch of frames of one type."""
        self.send([protocol.BATCH, first, [[frame_type, header(data)] for data in datas]])

    def answer(self) -> Answer:
        """Wait for the next answer; EOFError when there are no more."""
        while not self._answers:
            piece = self.socket.recv(65_536)
            if not piece:
                raise EOFError
            for message in self._reader.feed(piece):
                self._answers.append(check_from_worker(message, max_reply_bytes=MAX_REPLY_BYTES, max_results=1_000))
        answer = self._answers.pop(0)
        # How long something took is different each time.
        return answer._replace(spent_us=0) if isinstance(answer, Done) else answer

    def rest(self) -> list[Answer]:
        """Wait for the worker's end, and return all answers until then."""
        found = []
        while True:
            try:
                found.append(self.answer())
            except (EOFError, ConnectionResetError):
                return found

    def reply(self, data: bytes = b"", frame_type: int = DATA) -> Any:
        """Send one frame, and wait for its result."""
        self.batch(data, frame_type=frame_type)
        answer = self.answer()
        assert isinstance(answer, Done)
        return answer.results[0]

    def marks(self) -> tuple[int, ...]:
        """Read the worker's page: index and count of the frames in hand."""
        return struct.unpack("<QQ", os.pread(self.page, protocol.PAGE_BYTES, 0))

    def ended(self) -> int:
        """Wait for the worker's end, and return its status."""
        return self.process.wait(WAIT_S)

    def errors(self) -> str:
        """Return all that an ended worker wrote to its standard error."""
        assert self.process.stderr is not None
        return self.process.stderr.read().decode()

    def close(self) -> None:
        """End the worker, however it is, and reap it."""
        self.process.kill()
        self.process.communicate()
        self.socket.close()
        os.close(self.page)


Start = Callable[..., Peer]


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Start]:
    """Start workers of a plugin class ``P`` with the given body, or of a whole module; all are reaped in the end."""
    peers: list[Peer] = []

    def start(
        body: str = "pass",
        *,
        module: str = "",
        entry_point: str = "plugin:P",
        packages: tuple[str, ...] = (),
        environment: tuple[str, ...] = (),
        **fields: Any,
    ) -> Peer:
        indented = "\n".join("    " + line for line in body.splitlines())
        source = module or f"import os, sys\nfrom nyx_plugins.plugins import Plugin\nclass P(Plugin):\n{indented}\n"
        (tmp_path / "plugin.py").write_text(source)
        peers.append(Peer(packages, environment))
        values: dict[str, Any] = {
            "plugin_id": 1,
            "name": "p",
            "config": {},
            "max_reply_bytes": MAX_REPLY_BYTES,
        } | fields
        peers[-1].send(spawn.start_message(bundle=str(tmp_path), entry_point=entry_point, **values))
        return peers[-1]

    yield start
    for peer in peers:
        peer.close()


@pytest.fixture
def ready(started: Start) -> Start:
    """Start workers as ``started`` does, and wait until they are ready."""

    def start(*arguments: Any, **fields: Any) -> Peer:
        peer = started(*arguments, **fields)
        assert peer.answer() == Ready()
        return peer

    return start


# What a worker can see.

SEES = """
def on_control(self, frame):
    return "\\n".join(sorted(sys.modules)).encode()
"""
HEAVY = {
    *("nyx_plugins.actors", "thespian", "attr", "attrs", "cattrs", "packaging", "site"),
    *("typing", "re", "enum"),
    *("logging", "tomllib", "json", "ctypes", "subprocess", "threading", "socket", "asyncio", "traceback"),
    *("nyx_plugins.plugins.wire", "nyx_plugins.plugins.worker.spawn", "nyx_plugins.plugins.worker.answers"),
}


def test_a_worker_loads_little(ready: Start) -> None:
    """A worker has loaded neither actors nor anything that would make its start slow."""
    loaded = set(ready(SEES).reply(frame_type=0x53).decode().split("\n"))
    assert loaded & HEAVY == set()
    assert {"nyx_plugins.plugins.sdk", "cbor2._cbor2"} <= loaded


IMPORTS = """
def on_data(self, frame):
    __import__(frame.data.decode())
    return str(sys.modules[frame.data.decode()].__name__).encode()
"""


@pytest.mark.parametrize("name", ["json", "sqlite3", "cbor2", "nyx_plugins", "nyx_plugins.plugins.header"])
def test_a_worker_can_import(ready: Start, name: str) -> None:
    """A plugin can import the standard library, cbor2 and the SDK."""
    assert ready(IMPORTS).reply(name.encode()) == name.encode()


@pytest.mark.parametrize("name", ["hypothesis", "pytest", "thespian", "nyx_plugins.actors", "nyx_plugins.load_tests"])
def test_a_worker_cannot_import(ready: Start, name: str) -> None:
    """Other installed packages, and the runtime's own actors, are not there for a plugin."""
    assert ready(IMPORTS).reply(name.encode()) == ["ModuleNotFoundError", f"No module named {name!r}"]


def test_extra_packages_can_be_imported(ready: Start) -> None:
    """A package that the host lists can be imported, and its sub-modules with it."""
    worker = ready(IMPORTS, packages=("iniconfig",))
    assert worker.reply(b"iniconfig.exceptions") == b"iniconfig.exceptions"


def test_an_extra_package_that_is_not_installed_is_named() -> None:
    """The host can't start a worker with a package that it does not have."""
    with pytest.raises(ModuleNotFoundError, match="'no_such_package'"):
        spawn.worker_command(3, 4, ["no_such_package"])


WHOLE_CBOR2 = """
def on_data(self, frame):
    import cbor2
    from nyx_plugins.plugins.worker import protocol
    assert cbor2.__file__.endswith("__init__.py"), cbor2.__file__
    assert cbor2.dumps is protocol.dumps
    return cbor2.dumps(cbor2.loads(frame.data) + [cbor2.TagHook.__name__])
"""


def test_a_plugin_gets_all_of_cbor2(ready: Start) -> None:
    """The worker itself loads half of cbor2, but a plugin that imports cbor2 gets the whole, once."""
    assert cbor2.loads(ready(WHOLE_CBOR2).reply(cbor2.dumps([1]))) == [1, "Callable"]


def test_the_environment_is_clean(ready: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker sees a few fixed variables, and those that it is allowed, if they are set."""
    monkeypatch.setenv("SECRET", "s3cret")
    monkeypatch.setenv("ALLOWED", "yes")
    worker = ready(
        "def on_data(self, frame): return repr(sorted(os.environ.items())).encode()", environment=("ALLOWED", "UNSET")
    )
    fixed = {
        "LANG": "C.UTF-8",
        "MALLOC_MMAP_THRESHOLD_": "1048576",
        "MALLOC_TRIM_THRESHOLD_": "4194304",
        "OPENBLAS_NUM_THREADS": "1",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
    }
    assert worker.reply() == repr([("ALLOWED", "yes"), *fixed.items()]).encode()


OPEN = """
def on_data(self, frame):
    return repr([fd for fd in range(256) if os.path.lexists(f"/proc/self/fd/{fd}")]).encode()
"""


def test_only_the_intended_descriptors_are_open(ready: Start) -> None:
    """A worker holds its standard streams and its socket; the page is mapped, and its descriptors are closed."""
    secret = os.memfd_create("secret")
    os.set_inheritable(secret, True)
    try:
        worker = ready(OPEN)
        assert worker.reply() == repr([0, 1, 2, worker.fd]).encode()
    finally:
        os.close(secret)


def test_the_socket_is_not_inherited_by_what_a_plugin_starts(ready: Start) -> None:
    """The worker's socket is closed in programs that the plugin executes."""
    worker = ready("def on_data(self, frame): return str(os.get_inheritable(int(frame.data))).encode()")
    assert worker.reply(b"%d" % worker.fd) == b"False"


def test_the_command_line_is_hidden(ready: Start) -> None:
    """A plugin finds no arguments that are none of its business."""
    assert ready("def on_data(self, frame): return str(len(sys.argv)).encode()").reply() == b"1"


def test_a_worker_writes_no_bytecode(ready: Start, tmp_path: Path) -> None:
    """Loading a plugin leaves nothing in the bundle's directory."""
    ready()
    assert [path.name for path in tmp_path.iterdir()] == ["plugin.py"]


def test_the_configuration_arrives_as_it_was(ready: Start) -> None:
    """The plugin's ctx has its id, name and configuration, nested as deep as it likes."""
    config: dict[str, Any] = {"a": [1, -2, 2.5, True, None, "x", b"y", {"b": {"c": [[[[]]]]}}]}
    worker = ready(
        "def on_data(self, frame): return repr([self.ctx.plugin_id, self.ctx.name, self.ctx.config]).encode()",
        plugin_id=77,
        name="configured",
        config=config,
    )
    assert worker.reply() == repr([77, "configured", config]).encode()


LIMITS = """
def on_data(self, frame):
    import resource
    return repr([resource.getrlimit(getattr(resource, "RLIMIT_" + n)) for n in ("DATA", "NOFILE", "CPU")]).encode()
"""


def limits(**grants: Any) -> list[tuple[str, Any]]:
    """Order the layer of limits alone."""
    return [("limits", plan.limits(plan.Grants(**grants)))]


def test_limits_are_set(ready: Start) -> None:
    """The limits of START are in force before the plugin is loaded."""
    worker = ready(LIMITS, jail=limits(memory_bytes=1 << 30, open_files=40, cpu_seconds=30))
    assert worker.reply() == repr([(1 << 30, 1 << 30), (40, 40), (30, 31)]).encode()


def test_too_much_memory_fails_the_frame(ready: Start) -> None:
    """A handler that wants more than the limit gets a MemoryError; the worker goes on."""
    worker = ready(
        "def on_data(self, frame): return b'%d' % len(bytearray(int(frame.data)))", jail=limits(memory_bytes=1 << 28)
    )
    assert worker.reply(b"1000000000") == ["MemoryError", ""]
    assert worker.reply(b"1000") == b"1000"


# Starting.


def test_a_plugin_that_fails_to_load_says_why(started: Start) -> None:
    """When on_load raises, the traceback is logged, START_FAILED names the error, and the worker ends."""
    worker = started("def on_load(self, ctx): raise ValueError('no luck')")
    log, failed = worker.rest()
    assert isinstance(log, Log)
    assert log.lines[0].level == 40
    assert "plugin.py" in log.lines[0].text
    assert failed == StartFailed("ValueError", "no luck")
    assert worker.ended() == 1


@pytest.mark.parametrize(
    ("entry_point", "module", "error_type", "text"),
    [
        ("plugin", "pass", "ImportError", "not of the form 'module:Class'"),
        ("nothing:P", "pass", "ImportError", "there is no module 'nothing' in "),
        ("plugin:P", "pass", "ImportError", "module 'plugin' has no 'P'"),
        ("plugin:P", "P = 3", "TypeError", "is not a subclass of nyx_plugins.plugins.Plugin"),
        ("plugin:P", "class P: pass", "TypeError", "is not a subclass of"),
        ("plugin:P", "class", "SyntaxError", "invalid syntax (plugin.py, line 1)"),
        ("plugin:P", "import hypothesis", "ModuleNotFoundError", "No module named 'hypothesis'"),
        ("plugin:P", "raise SystemExit(3)", "SystemExit", "3"),
    ],
)
def test_entry_point_faults(started: Start, entry_point: str, module: str, error_type: str, text: str) -> None:
    """An entry point that can't be had, for whatever reason, is a failed start with a clear text."""
    failed = started(module=module, entry_point=entry_point).rest()[-1]
    assert isinstance(failed, StartFailed)
    assert failed.type == error_type
    assert text in failed.text


def test_what_is_sent_while_loading_comes_before_ready(started: Start) -> None:
    """Logs and emits of on_load are there when the plugin is ready."""
    worker = started("def on_load(self, ctx):\n    ctx.logger.info('loading')\n    ctx.emit(b'hello')")
    kinds = [type(worker.answer()) for _ in range(3)]
    assert kinds == [Log, Emit, Ready]


@pytest.mark.parametrize(
    "message", [[protocol.BATCH, 0, []], [99], [protocol.START, {}]], ids=["early batch", "unknown", "empty start"]
)
def test_a_message_out_of_place_ends_the_worker(message: list[Any]) -> None:
    """A worker that does not understand its host ends with a failure."""
    peer = Peer()
    try:
        peer.send(message)
        peer.rest()
        assert peer.ended() == 1
    finally:
        peer.close()


# Running.

ECHO = "def on_data(self, frame): return frame.data"
COUNTED = [b"%d" % number for number in range(300)]


def test_replies_come_in_order(ready: Start) -> None:
    """A batch is answered by results of consecutive frames, in order, from the batch's first index on."""
    worker = ready(ECHO)
    worker.batch(*COUNTED, first=2**63)
    results: list[Any] = []
    while len(results) < len(COUNTED):
        done = worker.answer()
        assert isinstance(done, Done)
        assert done.first_index == 2**63 + len(results)
        results += done.results
    assert results == COUNTED


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
    assert worker.answer() == Done(0, [b"2", ["ZeroDivisionError", "integer division or modulo by zero"], b"5"])


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
    total = 0
    while total < 40:
        done = worker.answer()
        assert isinstance(done, Done)
        total += len(done.results)


BATCHING = """
def on_batch(self, frames):
    return [frame.data + b"/%d" % len(frames) for frame in frames]
def on_control(self, frame):
    return b"control"
"""


def test_on_batch_gets_runs_of_data_frames(ready: Start) -> None:
    """Consecutive data frames go to on_batch together; the page says how many are in hand."""
    worker = ready(BATCHING)
    frames = [[DATA, header(b"a")], [DATA, header(b"b")], [0x53, header()], [DATA, header(b"c")]]
    worker.send([protocol.BATCH, 7, frames])
    assert worker.answer() == Done(7, [b"a/2", b"b/2", b"control", b"c/1"])
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


# Ending.


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
    worker.socket.sendall(
        protocol.encode([protocol.BATCH, 0, [[DATA, header(b"last")]]]) + protocol.encode([protocol.STOP])
    )
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
    assert worker.rest() == []
    assert worker.ended() == -signal.SIGKILL
    assert worker.marks() == (2**40 + 2, 1)


def test_a_crash_in_on_batch_leaves_its_run(ready: Start) -> None:
    """After a crash in on_batch, the page says which frames were in hand."""
    worker = ready(CRASHING_IN_A_RUN)
    worker.send([protocol.BATCH, 5, [[0x53, header()], [DATA, header()], [DATA, header()], [0x53, header()]]])
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
    ("raised", "status"), [("SystemExit", 0), ("SystemExit(3)", 3), ("SystemExit('why')", 1), ("BaseException('x')", 1)]
)
def test_what_ends_a_program_ends_the_worker(ready: Start, raised: str, status: int) -> None:
    """A handler that raises SystemExit, or what is no Exception, ends the worker; earlier results are not lost."""
    worker = ready(f"def on_data(self, frame):\n    if frame.data: raise {raised}\n    return b'fine'")
    worker.batch(b"", b"x", b"")
    assert worker.rest() == [Done(0, [b"fine"])]
    assert worker.ended() == status
    assert ("why" in worker.errors()) == ("why" in raised)


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


# What the host prepares.


def test_dates_in_a_configuration_become_text() -> None:
    """TOML's dates and times, which plain CBOR can't hold, are given as ISO text."""
    fields = spawn.start_message(
        plugin_id=1,
        name="p",
        bundle="/b",
        entry_point="p:P",
        config={"when": [datetime.date(2024, 2, 29), datetime.time(1, 2)]},
        max_reply_bytes=10,
    )[1]
    assert fields["config"] == {"when": ["2024-02-29", "01:02:00"]}
    assert (fields["jail"], fields["scratch"]) == ([], "")


@pytest.mark.parametrize("value", [object(), {1, 2}, 1 << 64, [{"deep": 2j}]])
def test_what_plain_cbor_cannot_hold_is_refused(value: object) -> None:
    """A configuration value that a worker can't be given is named."""
    with pytest.raises(protocol.ProtocolError, match=r"config\.key"):
        spawn.start_message(
            plugin_id=1, name="p", bundle="/b", entry_point="p:P", config={"key": value}, max_reply_bytes=10
        )


def test_preparing_compiles_what_workers_load() -> None:
    """After prepare() the compiled form of a worker's modules is there, even if Python is to write none."""
    spawn.prepare()
    assert all(
        Path(cache_from_source(str(module.__file__))).exists() for module in (main, protocol, sdk, header_module)
    )


# Taking another worker's place.

KEEPS = """
def on_load(self, ctx): self.seen = []
def on_data(self, frame):
    self.seen.append(frame.data)
    return repr(self.seen).encode()
def on_ready(self): print("ready", len(self.seen))
def snapshot(self): return self.seen * int(self.ctx.config.get("times", 1)) or None
def restore(self, state, version): self.seen = state + [b"%d" % version]
"""
RAISES_WHEN_READY = """
def on_ready(self): raise ValueError("not today")
"""
LIMIT = 1 << 20


def state_of(peer: Peer) -> tuple[int | None, bytes]:
    """Ask a worker for its plugin's state."""
    peer.send([protocol.SNAPSHOT])
    pieces = []
    while isinstance(answer := peer.answer(), SnapshotPart):
        pieces.append(answer.piece)
    assert isinstance(answer, SnapshotDone)
    return answer.version, b"".join(pieces)


def test_a_worker_takes_the_place_of_another(ready: Start) -> None:
    """A worker that stands by goes on from the other one's state; on_ready() comes after that, and after a start."""
    old = ready(KEEPS, max_snapshot_bytes=LIMIT)
    assert old.reply(b"a") == b"[b'a']"
    version, state = state_of(old)
    new = ready(KEEPS, standby=True)
    new.send([protocol.RESTORE, version, state])
    assert new.answer() == Restored()
    assert (new.reply(b"b"), old.reply(b"c")) == (b"[b'a', b'1', b'b']", b"[b'a', b'c']")
    for peer, printed in ((old, "ready 0\n"), (new, "ready 2\n")):
        peer.send([protocol.STOP])
        peer.rest()
        assert peer.process.stdout is not None
        assert peer.process.stdout.read().decode() == printed


def test_a_large_state_comes_in_pieces(ready: Start) -> None:
    """No message is larger for a large state, and all of it arrives."""
    old = ready(KEEPS, max_snapshot_bytes=LIMIT, config={"times": 300_000})
    old.reply(b"ab")
    version, state = state_of(old)
    assert (version, cbor2.loads(state)) == (1, [b"ab"] * 300_000)


def test_a_plugin_without_state_says_so(ready: Start) -> None:
    """A plugin without snapshot() has no state."""
    assert state_of(ready()) == (None, b"")


def test_a_snapshot_that_fails_costs_nothing(ready: Start) -> None:
    """A state beyond the limit is refused with a line for the log, and the worker goes on."""
    old = ready(KEEPS, max_snapshot_bytes=3)
    old.reply(b"abc")
    old.send([protocol.SNAPSHOT])
    text = "snapshot of 5 bytes: the limit is 3 (limits.snapshot_bytes)"
    assert old.answer() == Log((LogLine(40, f"snapshot failed: ValueError: {text}"),))
    assert old.answer() == SwapFailed("snapshot", "ValueError", text)
    assert old.reply(b"d") == b"[b'abc', b'd']"


def test_a_worker_that_is_not_well_does_not_take_over(ready: Start) -> None:
    """What on_ready() raises is told, and the worker takes no frames."""
    new = ready(RAISES_WHEN_READY, standby=True)
    new.send([protocol.RESTORE, 0, None])
    assert isinstance(new.answer(), Log)
    assert new.answer() == SwapFailed("on_ready", "ValueError", "not today")
    new.batch(b"a")
    assert new.rest() == []
    assert "message of kind 2 is out of place" in new.errors()


def test_on_ready_may_refuse_a_load(started: Start) -> None:
    """What on_ready() raises at a start refuses it, as on_load() does."""
    peer = started(RAISES_WHEN_READY)
    assert isinstance(peer.answer(), Log)
    assert peer.answer() == StartFailed("ValueError", "not today")


def test_restore_is_for_a_worker_that_stands_by(ready: Start) -> None:
    """A worker that works already can't be given another one's state."""
    peer = ready(KEEPS)
    peer.send([protocol.RESTORE, 0, None])
    assert peer.rest() == []
    assert "message of kind 7 is out of place" in peer.errors()
