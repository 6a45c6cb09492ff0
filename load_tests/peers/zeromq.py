"""pyzmq: PUSH and PULL over ipc, a pair for each direction."""

from __future__ import annotations

import pickle
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import zmq

from .streams import StreamPeer, receive

# What a message is, in its first byte: that of a frame is between 0xa0 and 0xbf, as that of any CBOR map.
LIST, WISH = b"L", b"W"


class ZeroMqPeer(StreamPeer):
    """Pushes frames to a process of its own; a list is one pickle, which is faster than a part for each frame."""

    def start(self, directory: Path) -> None:
        """Fork the receiver, which makes its own context."""
        there, back = (f"ipc://{directory}/{name}" for name in ("there", "back"))
        self._process = get_context("fork").Process(target=serve, args=(there, back), daemon=True)
        self._process.start()
        self._context = zmq.Context()
        self._push, self._pull = self._context.socket(zmq.PUSH), self._context.socket(zmq.PULL)
        self._push.connect(there)
        self._pull.bind(back)
        self.processed()

    def send(self, message: Any) -> None:
        """Push one message."""
        if isinstance(message, bytes):
            self._push.send(message)
        elif isinstance(message, int):
            self._push.send(WISH + message.to_bytes(8, "big"))
        else:
            self._push.send(LIST + pickle.dumps(message, pickle.HIGHEST_PROTOCOL))

    def acknowledged(self) -> int:
        """Pull an acknowledgement."""
        return int.from_bytes(self._pull.recv(), "big")

    def stop(self) -> None:
        """End the receiver and the context."""
        self._process.terminate()
        self._process.join()
        self._context.destroy(linger=0)


def serve(there: str, back: str) -> None:
    """Receive until the process ends."""
    context = zmq.Context()
    pull, push = context.socket(zmq.PULL), context.socket(zmq.PUSH)
    pull.bind(there)
    push.connect(back)

    def get() -> Any:
        message: bytes = pull.recv()
        match message[:1]:
            case b"L":
                return pickle.loads(memoryview(message)[1:])
            case b"W":
                return int.from_bytes(message[1:], "big")
        return message

    receive(get, lambda count: push.send(count.to_bytes(8, "big")))
