"""This runtime: a jailed plugin on the transport ``unix``, with an exact outcome for each frame."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path

from nyx_plugins import FrameType, NyxPluginError, PluginHeader, PluginSystem, Receipt

from .futures import rotation
from .work import FRAME_BYTES, frames, half, one_at_a_time, windowed

PLUGIN_ID = 1
CAPACITY = 16_384
TIMEOUT_S = 60.0
MANIFEST = f"""
id = {PLUGIN_ID}
name = "taker"
version = "1.0.0"
api_version = 1
entry_point = "plugin:Taker"
permissions = ["data_access"]
"""
PLUGIN = '''
"""Decodes each frame."""

from __future__ import annotations

import cbor2

from nyx_plugins.plugins import Frame, Plugin


class Taker(Plugin):
    """Takes frames of one CBOR map each; the runtime counts them."""

    def on_data(self, frame: Frame) -> None:
        """Decode one frame."""
        cbor2.loads(frame.data)
'''


class OurPeer:
    """Dispatches frames to a plugin."""

    def start(self, directory: Path) -> None:
        """Start a system, and load the plugin."""
        self._system = PluginSystem()
        self._system.load(write_bundle(directory / "taker"), capacity=CAPACITY)
        self._system.request(FrameType.DATA, headers(1)[0], TIMEOUT_S)

    def call(self, count: int) -> list[float]:
        """Request one frame after the other."""
        [header] = headers(1)
        return one_at_a_time(lambda: self._system.request(FrameType.DATA, header, TIMEOUT_S), count)

    def pipeline(self, count: int, window: int) -> float:
        """Dispatch one frame for each call, without waiting."""
        turn, pending = rotation(headers(min(count, 1000))), deque[Receipt]()

        def send() -> None:
            pending.append(self._system.dispatch_nowait(FrameType.DATA, turn()))

        return windowed(send, self._oldest_half(pending, window), count, window)

    def batch(self, count: int, size: int, window: int) -> float:
        """Dispatch lists; the last frame of each is what is waited for."""
        listed, pending = [(FrameType.DATA, header) for header in headers(size)], deque[Receipt]()

        def send() -> None:
            last = self._system.dispatch_many(listed, wait=False)[-1]
            if isinstance(last, NyxPluginError):
                raise last
            pending.append(last)

        return windowed(send, self._oldest_half(pending, window), count, window)

    def processed(self) -> int:
        """Ask for the plugin's own count."""
        self._system.drain(TIMEOUT_S)
        return self._system.plugin_stats(PLUGIN_ID).processed

    def stop(self) -> None:
        """Close the system."""
        self._system.close()

    def _oldest_half(self, pending: deque[Receipt], window: int) -> Callable[[], int]:
        def acknowledged() -> int:
            number = min(half(window), len(pending))
            # Outcomes come in order, and at the end the plugin's own count has to be what was sent.
            [pending.popleft() for _ in range(number)][-1].outcome(TIMEOUT_S)
            return number

        return acknowledged


def headers(count: int, size: int = FRAME_BYTES) -> list[PluginHeader]:
    """Return headers with frames that are objects of their own."""
    return [PluginHeader(PLUGIN_ID, 0, each) for each in frames(count, size)]


def write_bundle(folder: Path) -> str:
    """Write the plugin's bundle; return where it is."""
    folder.mkdir()
    (folder / "plugin.toml").write_text(MANIFEST, encoding="utf-8")
    (folder / "plugin.py").write_text(PLUGIN, encoding="utf-8")
    return str(folder)
