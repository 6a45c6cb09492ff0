"""Real workers, and the host's end of each."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cbor2
import pytest

from nyx_plugins.plugins.worker import protocol, spawn
from nyx_plugins.plugins.worker.answers import Answer, Done, Ending, Ready, check_from_worker
from nyx_plugins.plugins.worker.batch import Batch

WAIT_S = 60.0
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
        self._answers: list[Answer | Ending] = []

    def send(self, message: list[Any]) -> None:
        """Send one message."""
        self.socket.sendall(protocol.encode(message))

    def batch(self, *datas: bytes, first: int = 0, frame_type: int = DATA) -> None:
        """Send a batch of frames of one type."""
        self.send(Batch.of((frame_type, header(data)) for data in datas).message(first))

    def answer(self) -> Answer | Ending:
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

    def rest(self) -> list[Answer | Ending]:
        """Wait for the worker's end, and return all answers until then."""
        found = []
        while True:
            try:
                found.append(self.answer())
            except (EOFError, ConnectionResetError):
                return found

    def results(self, count: int, first: int = 0) -> list[Any]:
        """Wait for the results of ``count`` consecutive frames, however many answers they come in."""
        results: list[Any] = []
        while len(results) < count:
            done = self.answer()
            assert isinstance(done, Done)
            assert done.first_index == first + len(results)
            results += done.results
        return results

    def reply(self, data: bytes = b"", frame_type: int = DATA) -> Any:
        """Send one frame, and wait for its result."""
        self.batch(data, frame_type=frame_type)
        return self.results(1)[0]

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


ECHO = "def on_data(self, frame): return frame.data"
