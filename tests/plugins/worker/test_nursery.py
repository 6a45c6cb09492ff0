"""The nursery: what it promises to those who connect, and what a worker from it inherits."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from nyx_plugins.actors.confinement import confinement
from nyx_plugins.actors.worker_process import Ended, Executed, WorkerProcess, await_orphans, start
from nyx_plugins.plugins.policy import Policy
from nyx_plugins.plugins.worker import nursery as nursery_module
from nyx_plugins.plugins.worker import protocol, spawn
from nyx_plugins.plugins.worker.batch import Batch

WAIT_S = 60.0
SECRET = "hunter2-and-some-more"  # the value is not a secret, but stands for one
PLUGIN = """
import os, sys
from nyx_plugins.plugins import Plugin

class Probe(Plugin):
    def on_data(self, frame):
        if frame.data == b"spin":
            while True:
                pass
        if frame.data == b"exit":
            sys.exit(7)
        if frame.data == b"variable":
            return os.environ.get("NYX_TEST_SECRET", "").encode()
        return b" ".join(b"%d" % number for number in (os.getppid(), os.getsid(0)))
"""


class Asked:
    """A worker, and the host's end of it."""

    def __init__(self, process: WorkerProcess, sock: socket.socket, output: int) -> None:
        self.process = process
        self._socket = sock
        self._output = output
        self._reader = protocol.MessageReader()
        sock.setblocking(True)
        sock.settimeout(WAIT_S)

    def start(self, bundle: Path) -> None:
        """Put the jail on, and load the plugin."""
        message = spawn.start_message(
            plugin_id=1,
            name="probe",
            bundle=str(bundle),
            entry_point="plugin:Probe",
            config={},
            max_reply_bytes=1000,
            jail=self.process.orders,
        )
        self._socket.sendall(protocol.encode(message))
        assert self._answer() == [protocol.READY]

    def send(self, data: bytes) -> None:
        """Send a frame, and wait for nothing."""
        header = b"\xa3\x62id\x01\x65flags\x00\x64data" + bytes([0x40 + len(data)]) + data
        self._socket.sendall(protocol.encode(Batch.of([(0x52, header)]).message(0)))

    def ask(self, data: bytes) -> bytes:
        """Send a frame, and return the reply."""
        self.send(data)
        done = self._answer()
        assert done[0] == protocol.DONE
        [reply] = done[2]
        assert isinstance(reply, bytes), reply
        return reply

    def _answer(self) -> protocol.Message:
        found: list[protocol.Message] = []
        while not found:
            piece = self._socket.recv(65_536)
            assert piece, os.read(self._output, 65_536).decode()
            found = self._reader.feed(piece)
        [message] = found
        return message

    def close(self) -> None:
        """End it, and let go of everything."""
        self.process.kill()
        self.process.wait(WAIT_S)
        self.process.close()
        os.close(self.process.ended)
        self._socket.close()
        os.close(self._output)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bundle with the plugin."""
    folder = tmp_path_factory.mktemp("bundle")
    (folder / "plugin.py").write_text(PLUGIN)
    return folder


@pytest.fixture
def nursery(short_folder: Callable[[], Path]) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run a nursery: where it listens, and its process."""
    path = str(short_folder() / "nursery")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(path)
        listener.listen()
        process = subprocess.Popen(
            spawn.nursery_command(listener.fileno(), os.getpid()),
            env=spawn.worker_environment(),
            stdin=subprocess.DEVNULL,
            pass_fds=(listener.fileno(),),
        )
    yield path, process
    process.kill()
    process.wait()


@pytest.fixture
def wanted(bundle: Path) -> Iterator[Callable[..., Asked]]:
    """Return a function that starts a worker: from the nursery at a path, with variables that this process has."""
    made: list[Asked] = []

    def want(path: str, *variables: str) -> Asked:
        page = os.memfd_create("page")
        os.ftruncate(page, protocol.PAGE_BYTES)
        with confinement(Policy(environment=variables), str(bundle), "") as jail:
            made.append(Asked(*start(jail, (), page, path)))
        os.close(page)
        return made[-1]

    yield want
    for each in made:
        each.close()


def test_a_worker_of_the_nursery_is_its_child_in_a_session_of_its_own(
    nursery: tuple[str, subprocess.Popen[bytes]], wanted: Callable[..., Asked], bundle: Path
) -> None:
    """With the jail on it runs the plugin, and its plugin actor knows its process id."""
    path, process = nursery
    worker = wanted(path)
    worker.start(bundle)
    assert worker.ask(b"") == b"%d %d" % (process.pid, worker.process.pid)
    assert os.getsid(worker.process.pid) == worker.process.pid


def test_how_a_worker_ended_is_told_once(
    nursery: tuple[str, subprocess.Popen[bytes]], wanted: Callable[..., Asked], bundle: Path
) -> None:
    """Its exit code comes from the nursery, which has waited for it."""
    worker = wanted(nursery[0])
    worker.start(bundle)
    worker.send(b"exit")
    ended = worker.process.wait(WAIT_S)
    assert ended is not None
    assert os.waitstatus_to_exitcode(ended.status) == 7
    assert 0 < ended.cpu_s < WAIT_S
    assert worker.process.wait(WAIT_S) is None
    with pytest.raises(ProcessLookupError):
        os.kill(worker.process.pid, 0)


def test_a_worker_whose_plugin_actor_is_gone_is_killed(
    nursery: tuple[str, subprocess.Popen[bytes]], wanted: Callable[..., Asked], bundle: Path
) -> None:
    """However busy it is: the nursery sees that the connection has ended. The next one is served as ever."""
    worker = wanted(nursery[0])
    worker.start(bundle)
    worker.send(b"spin")
    worker.process.close()
    assert _has_ended(worker)
    other = wanted(nursery[0])
    other.start(bundle)
    assert other.ask(b"")


def test_the_nurserys_end_is_that_of_its_workers(
    nursery: tuple[str, subprocess.Popen[bytes]], wanted: Callable[..., Asked], bundle: Path
) -> None:
    """A kill of the nursery ends even a worker that spins, and is told as a kill."""
    path, process = nursery
    worker = wanted(path)
    worker.start(bundle)
    worker.send(b"spin")
    process.kill()
    assert worker.process.wait(WAIT_S) == Ended(signal.SIGKILL, 0.0)


def test_a_worker_inherits_nothing_of_the_one_before_it(
    nursery: tuple[str, subprocess.Popen[bytes]],
    wanted: Callable[..., Asked],
    bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a policy grants one of them is nowhere in the memory of the nursery, nor of the next worker."""
    path, process = nursery
    monkeypatch.setenv("NYX_TEST_SECRET", SECRET)
    one = wanted(path, "NYX_TEST_SECRET")
    one.start(bundle)
    assert one.ask(b"variable") == SECRET.encode()
    other = wanted(path)
    other.start(bundle)
    assert other.ask(b"variable") == b""
    assert _holds(one.process.pid, SECRET)
    assert not _holds(process.pid, SECRET)
    assert not _holds(other.process.pid, SECRET)


def test_who_is_let_in_finds_the_workers_of_those_who_left_killed(
    short_folder: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that nothing is marked any more, when the next plugin actor looks at the marks of the last one's worker."""
    seen: list[str] = []
    forked: list[subprocess.Popen[bytes]] = []

    def fork() -> int:
        seen.append("let in")
        forked.append(subprocess.Popen(["sleep", "60"]))
        return forked[-1].pid

    def kill(pid: int, number: int) -> None:
        seen.append("killed")
        os.kill(pid, number)

    kernel = SimpleNamespace(**{**vars(os), "fork": fork, "kill": kill})
    path = str(short_folder() / "nursery")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(path)
        listener.listen()
        here = nursery_module.Nursery(os.dup(listener.fileno()), pytest.fail)
        monkeypatch.setattr(nursery_module, "os", kernel)
        with _connected(path):
            here.serve()
        with _connected(path) as other:
            here.serve()
            assert seen == ["let in", "killed", "let in"]
            assert int(other.recv(64).split()[0]) == forked[1].pid
        while here.is_busy:
            here.serve()
        here.close()
    assert seen == ["let in", "killed", "let in", "killed"]
    assert [process.poll() is None for process in forked] == [False, False]


def test_orphans_are_waited_for_only_where_there_is_a_nursery(
    nursery: tuple[str, subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    """Where there is none, or was none, nothing is to be waited for."""
    path, _ = nursery
    await_orphans(path)
    await_orphans(str(tmp_path / "nobody"))
    await_orphans("")


def test_without_a_nursery_a_worker_is_execed(wanted: Callable[..., Asked], bundle: Path, tmp_path: Path) -> None:
    """Where nobody listens it is a child of its plugin actor, and works like any other."""
    worker = wanted(str(tmp_path / "nobody"))
    assert isinstance(worker.process, Executed)
    worker.start(bundle)
    assert worker.ask(b"") == b"%d %d" % (os.getpid(), worker.process.pid)


def test_a_nursery_that_does_not_answer_is_not_waited_for(
    wanted: Callable[..., Asked],
    bundle: Path,
    short_folder: Callable[[], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The worker is exec'ed instead, with a socket that the late one has never seen."""
    monkeypatch.setattr("nyx_plugins.actors.worker_process._PATIENCE_S", 0.01)
    path = str(short_folder() / "silent")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(path)
        listener.listen()
        worker = wanted(path)
        assert isinstance(worker.process, Executed)
        connection, _ = listener.accept()
        with connection:
            _, descriptors, _, _ = socket.recv_fds(connection, 65_536, 4)
        late = socket.socket(fileno=descriptors[0])
        with late:
            assert late.recv(1) == b""
        for fd in descriptors[1:]:
            os.close(fd)
    worker.start(bundle)
    assert worker.ask(b"")


def _connected(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.connect(path)
    return sock


def _has_ended(worker: Asked) -> bool:
    return bool(select.select([worker.process.ended], [], [], WAIT_S)[0])


def _holds(pid: int, text: str) -> bool:
    """Whether the text is anywhere in the writable memory of a process."""
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            place, rights = line.split()[:2]
            begin, end = (int(part, 16) for part in place.split("-"))
            if rights.startswith("rw"):
                memory.seek(begin)
                if text.encode() in memory.read(end - begin):
                    return True
    return False


def test_who_has_ended_without_a_word_wants_no_worker() -> None:
    """A plugin actor that is killed leaves what it was told unread: that is no failure of the child."""
    wants, child = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    child.send(b"who it is")
    wants.close()
    number = child.detach()
    assert nursery_module._wanted(number) == (b"", [])
    os.close(number)
