"""A client process of a load test: it does the phases that it is given, one after the other.

Run as ``python -m nyx_plugins.load_tests.client SERVICE_DIR``. Each line of its standard input is a phase as JSON, or
``stop``, which ends the one under way; each line that it prints is a tally. It ends when its input does.
"""

from __future__ import annotations

import json
import queue
import sys
import threading
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import attrs
import cattrs

from nyx_plugins import FrameType, NyxPluginError, PluginHeader, PluginSystem

from .captures import frames_in
from .pacing import Sender
from .payload import cbor_map
from .phase import Phase

STOP = "stop"
READY = "ready"
CONNECT_S = 30.0
# How long other threads wait for the interpreter at the most: an outcome is to be stamped when it comes.
SWITCH_S = 0.001


class Orders:
    """What comes in: phases wait in a queue, and a word to stop is heard at once."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self._phases: queue.SimpleQueue[Phase | None] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def __iter__(self) -> Iterator[Phase]:
        return iter(self._phases.get, None)

    def _listen(self) -> None:
        for line in sys.stdin:
            if line.strip() == STOP:
                self.stop.set()
            else:
                self._phases.put(cattrs.structure(json.loads(line), Phase))
        self.stop.set()
        self._phases.put(None)


def frames_of(phase: Phase) -> Iterator[tuple[int, bytes]]:
    """Yield the frames to send, without end: for each plugin in turn, or those of a capture."""
    if phase.capture:
        return cycle(frames_in(Path(phase.capture), phase.most_stream_bytes))
    data = cbor_map(phase.frame_bytes)
    headers = {plugin: PluginHeader(plugin, 0, data).encode() for plugin in set(phase.plugins)}
    return cycle([(int(FrameType.DATA), headers[plugin]) for plugin in phase.plugins])


def main() -> None:
    """Connect, and do as told."""
    sys.setswitchinterval(SWITCH_S)
    orders = Orders()
    try:
        with PluginSystem.connect(sys.argv[1], streams=(), timeout=CONNECT_S) as system:
            _say(READY)
            for phase in orders:
                tally = Sender(system, phase, frames_of(phase)).run(orders.stop)
                _say(json.dumps(attrs.asdict(tally)))
    except NyxPluginError as error:
        sys.exit(f"{type(error).__name__}: {error}")


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
