"""A client of the chaos run: it sends all it can, and writes down each frame before it sends it, and all it is told.

Run as ``python -m nyx_plugins.load_tests.chaos.client``, with its order as JSON for its argument; it goes on until its
standard input ends, then waits for its outcomes.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs

from nyx_plugins import DispatchTimeout, FateUnknown, NyxPluginError, PluginHeader, PluginSystem, Receipt
from nyx_plugins.actors.channel import Channel
from nyx_plugins.config.errors import StartupError

from .busy_plugin import DAWDLE, DIE, FINE, PAYLOAD, RAISE
from .records import CONTROL, DATA, REPLY_LOST, WRONG_REPLY, Line, Told, pack

FRAME_TYPES = {DATA: 0x52, CONTROL: 0x53}
MOST_FRAMES = 200
KEYS = 8
# How often a frame's wish is other than fine, out of 10,000.
WISHES = {RAISE: 100, DAWDLE: 300, DIE: 3}
ROOM_S = 0.5
# How long frames of which a tenth of the lists is made may wait for their turn.
TTL_S = 0.3
CONNECT_S = 20.0
NEWS_S = 0.05


@attrs.frozen
class Order:
    """What one client is to do; ``rate`` is in frames per second."""

    number: int
    seed: int
    service: str
    diary: str
    plugins: tuple[int, ...]
    rate: float = 2000.0
    drain_s: float = 60.0
    sends_again: bool = True
    """Whether its session sends again what was never accepted; that it must is what is shown by its not doing so."""
    forges: bool = False
    """Whether it sends one frame twice and writes it down once."""


class Client:
    """Sends as its order says, through any system's face."""

    def __init__(self, system: PluginSystem, order: Order) -> None:
        self._system, self._order = system, order
        self._random = random.Random(f"{order.seed}:client:{order.number}")
        self._diary = os.open(order.diary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        self._counts: Counter[int] = Counter()
        self._under_way: dict[Receipt, Line] = {}
        self._news: deque[Receipt] = deque()
        self._forged = not order.forges
        self._sent = 0

    def run(self, stop: threading.Event) -> bool:
        """Send until told to stop, then wait for what is owed; whether everything has an outcome."""
        begun = time.monotonic()
        while not stop.is_set() and self._system.stopped is None:
            self._act()
            self._take_news()
            stop.wait(max(0.0, begun + self._sent / self._order.rate - time.monotonic()))
        done = self._finish()
        self._write([Line(Told.LEFT, 0, 0, 0, 0, time.monotonic_ns(), cause="drained" if done else "owed")])
        os.close(self._diary)
        return done

    # Sending.

    def _act(self) -> None:
        plugin, count = self._random.choice(self._order.plugins), self._random.randint(1, MOST_FRAMES)
        rank = CONTROL if self._random.random() < 0.2 else DATA
        way = self._random.choice((self._patiently, self._at_once, self._one_by_one))
        way([self._new(plugin, rank) for _ in range(count if way != self._one_by_one else min(count, 20))])

    def _new(self, plugin: int, rank: int) -> Line:
        self._counts[plugin] += 1
        [wish] = self._random.choices([*WISHES, FINE], [*WISHES.values(), 10_000 - sum(WISHES.values())])
        key = self._random.randrange(KEYS)
        return Line(Told.OFFERED, rank, plugin, key, self._counts[plugin], 0, wish)

    def _patiently(self, frames: Sequence[Line]) -> None:
        self._many(frames, wait=True)

    def _at_once(self, frames: Sequence[Line]) -> None:
        self._many(frames, wait=False)

    def _many(self, frames: Sequence[Line], wait: bool) -> None:
        self._offer(frames)
        items = [(FRAME_TYPES[frame.rank], self._header(frame), frame.key) for frame in frames]
        ttl = TTL_S if self._random.random() < 0.1 else None
        entries = self._system.dispatch_many(items, wait=wait, timeout=ROOM_S, ttl=ttl)
        for frame, entry in zip(frames, entries, strict=True):
            self._note(frame, entry)
        self._forge(frames[0])

    def _one_by_one(self, frames: Sequence[Line]) -> None:
        for frame in frames:
            self._offer([frame])
            try:
                self._note(frame, self._send(frame))
            except NyxPluginError as error:
                self._note(frame, error)

    def _send(self, frame: Line) -> Receipt:
        return self._system.dispatch_nowait(FRAME_TYPES[frame.rank], self._header(frame), key=frame.key)

    def _header(self, frame: Line) -> PluginHeader:
        data = PAYLOAD.pack(self._order.number, frame.number, frame.key, frame.rank, frame.wish)
        return PluginHeader(frame.plugin, 0, data)

    def _offer(self, frames: Sequence[Line]) -> None:
        self._sent += len(frames)
        now = time.monotonic_ns()
        self._write([frame._replace(time_ns=now) for frame in frames])

    def _forge(self, frame: Line) -> None:
        """Send a frame a second time, and tell nobody."""
        if not self._forged and frame.wish == FINE:
            self._system.dispatch(FRAME_TYPES[frame.rank], self._header(frame), CONNECT_S)
            self._forged = True

    # What comes back.

    def _note(self, frame: Line, entry: Receipt | NyxPluginError) -> None:
        receipt = entry.receipt if isinstance(entry, DispatchTimeout | FateUnknown) else entry
        if not isinstance(receipt, Receipt):
            self._write([_told(frame, Told.REFUSED, type(entry).__name__)])
            return
        self._under_way[receipt] = frame
        receipt.tell(lambda: self._news.append(receipt))
        # What was told before that is no news.
        self._news.append(receipt)

    def _take_news(self) -> None:
        written = []
        while self._news:
            receipt = self._news.popleft()
            frame = self._under_way.get(receipt)
            if frame is None:
                continue
            if receipt.done:
                del self._under_way[receipt]
                written.append(_told(frame, *_end_of(frame, receipt)))
            elif receipt.accepted and frame.told is Told.OFFERED:
                self._under_way[receipt] = frame._replace(told=Told.ACCEPTED)
                written.append(_told(frame, Told.ACCEPTED))
        if written:
            self._write(written)

    def _finish(self) -> bool:
        deadline = time.monotonic() + self._order.drain_s
        self._take_news()
        while self._under_way and time.monotonic() < deadline:
            time.sleep(NEWS_S)
            self._take_news()
        return not self._under_way

    def _write(self, records: Sequence[Line]) -> None:
        os.write(self._diary, b"".join(map(pack, records)))


def _told(frame: Line, told: Told, cause: str = "") -> Line:
    return frame._replace(told=told, cause=cause, time_ns=time.monotonic_ns())


def _end_of(frame: Line, receipt: Receipt) -> tuple[Told, str]:
    if receipt.error is not None:
        return (Told.REFUSED if receipt.accepted is False else Told.UNKNOWN), type(receipt.error).__name__
    outcome = receipt.result()
    if outcome.kind == "dead_lettered":
        return Told.DEAD_LETTERED, outcome.reason.partition(":")[0]
    if outcome.kind == "failed":
        return Told.FAILED, ""
    if outcome.reply_lost:
        return Told.PROCESSED, REPLY_LOST
    return Told.PROCESSED, "" if outcome.reply == b"%d" % frame.number else WRONG_REPLY


def send_nothing_again() -> Callable[[], None]:
    """Break this process's sessions: what was never accepted is not sent again. Returns what mends them."""
    original = Channel._send_again
    setattr(Channel, "_send_again", lambda channel: None)  # noqa: B010
    return lambda: setattr(Channel, "_send_again", original)


def _await_end(stop: threading.Event) -> None:
    sys.stdin.buffer.read()
    stop.set()


def _connect(order: Order) -> PluginSystem:
    """Connect, for as long as it takes actors to come back that were killed just now."""
    deadline = time.monotonic() + CONNECT_S
    while True:
        try:
            return PluginSystem.connect(Path(order.service), streams=(), timeout=CONNECT_S)
        except (DispatchTimeout, StartupError):
            if time.monotonic() > deadline:
                raise


def main() -> None:
    """Do as the first argument says, until standard input ends."""
    order = Order(**json.loads(sys.argv[1]))
    if not order.sends_again:
        send_nothing_again()
    stop = threading.Event()
    threading.Thread(target=_await_end, args=(stop,), daemon=True).start()
    with _connect(order) as system:
        done = Client(system, order).run(stop)
    sys.exit(0 if done else 1)


if __name__ == "__main__":
    main()
