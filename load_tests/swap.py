"""Swaps under load: one version after the other takes a plugin's place while frames come in at a steady rate.

Run as ``python -m nyx_plugins.load_tests.swap``. Each frame has a number, and the plugin hands the number that is due
to its next version: a frame that is lost, doubled or out of order fails. Its longest pause is the longest time between
two frames that any version has seen, over all swaps. The last line has the figures; the exit code is 1 when a limit is
not met.
"""

from __future__ import annotations

import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import attrs
import click

from nyx_plugins import FrameType, NyxPluginError, PluginHeader, PluginSystem, Receipt, SwapReport, load_settings

from .payload import around
from .scratch import scratch
from .seconds import Seconds

EXIT_NOT_MET = 1
PAUSE_LIMIT_S = 0.2
RATE_LIMIT = 0.95
BATCH = 500
CAPACITY = 20_000
PLUGIN_ID = 1
WAIT_S = 60.0
PLUGIN = '''
import struct, time
from nyx_plugins.plugins import Plugin

class Counter(Plugin):
    """Replies with its version's number and the frame's, if that is the one that is due."""

    def on_load(self, ctx):
        self.due, self.last_at, self.longest = 0, None, 0.0

    def on_data(self, frame):
        number, = struct.unpack_from(">Q", frame.data)
        if number != self.due:
            raise ValueError(f"frame {number} came when {self.due} was due")
        now = time.monotonic()
        if self.last_at is not None:
            self.longest = max(self.longest, now - self.last_at)
        self.due, self.last_at = number + 1, now
        return struct.pack(">QQ", VERSION, number)

    def on_control(self, frame):
        return struct.pack(">Qd", self.due, self.longest)

    def snapshot(self):
        return [self.due, self.last_at, self.longest]

    def restore(self, state, version):
        self.due, self.last_at, self.longest = state
'''
MANIFEST = """
id = 1
name = "counter"
version = "VERSION"
api_version = 1
entry_point = "plugin:Counter"
permissions = ["data_access", "control"]
"""


@attrs.frozen
class Figures:
    """What was seen."""

    frames: int
    """Accepted."""
    rate: float
    """Frames per second that were sent."""
    wrong: int
    """Frames that were lost, doubled or out of order, or whose reply is another frame's."""
    missing: int
    """Frames of which the last version has not heard, by its own count."""
    versions: int
    """How many versions have processed frames."""
    longest_pause_s: float
    """Between two frames, for the plugin."""
    reports: tuple[SwapReport, ...]


class Sender(threading.Thread):
    """Sends numbered frames at a steady rate until it is stopped; keeps all receipts."""

    def __init__(self, system: PluginSystem, rate: int, size: int) -> None:
        super().__init__()
        self.receipts: list[Receipt] = []
        self.refused: list[NyxPluginError] = []
        self.took_s = 0.0
        self._system, self._rate, self._filler = system, rate, bytes(max(0, size - 8))
        self._ending = threading.Event()

    def run(self) -> None:
        """Send; what is late is made up for."""
        begun = time.monotonic()
        while not self._ending.wait(begun + len(self.receipts) / self._rate - time.monotonic()):
            first = len(self.receipts)
            sent = self._system.dispatch_many([*map(self._frame, range(first, first + BATCH))], timeout=WAIT_S)
            self.receipts += [item for item in sent if isinstance(item, Receipt)]
            self.refused += [item for item in sent if not isinstance(item, Receipt)]
        self.took_s = time.monotonic() - begun

    def stop(self) -> None:
        """Stop, and wait for the last batch."""
        self._ending.set()
        self.join()

    def _frame(self, number: int) -> tuple[int, PluginHeader]:
        return FrameType.DATA, PluginHeader(PLUGIN_ID, 0, struct.pack(">Q", number) + self._filler)


def measure(rate: int, seconds: float, swaps: int, size: int = 200) -> Figures:
    """Send ``rate`` frames of ``size`` bytes per second for so many ``seconds``, with so many ``swaps`` between."""
    with scratch("nyx-swap-") as folder, PluginSystem() as system:
        system.load(_bundle(folder, 0), capacity=CAPACITY)
        sender = Sender(system, rate, size)
        sender.start()
        try:
            reports = tuple(_swaps(system, folder, swaps, seconds / (swaps + 1)))
        finally:
            sender.stop()
        return _figures(system, sender, reports)


def _swaps(system: PluginSystem, folder: Path, swaps: int, interval_s: float) -> Iterator[SwapReport]:
    for version in range(1, swaps + 1):
        time.sleep(interval_s)
        yield system.swap(PLUGIN_ID, _bundle(folder, version))
    time.sleep(interval_s)


def _bundle(folder: Path, version: int) -> Path:
    bundle = folder / str(version)
    bundle.mkdir()
    (bundle / "plugin.py").write_text(PLUGIN.replace("VERSION", str(version)))
    (bundle / "plugin.toml").write_text(MANIFEST.replace("VERSION", f"1.{version}"))
    return bundle


def _figures(system: PluginSystem, sender: Sender, reports: tuple[SwapReport, ...]) -> Figures:
    versions: Counter[int] = Counter()
    wrong = len(sender.refused)
    for number, receipt in enumerate(sender.receipts):
        reply = receipt.outcome(WAIT_S).reply
        version, answered = struct.unpack(">QQ", reply) if reply else (-1, -1)
        wrong += answered != number
        versions[version] += 1
    last = system.request(FrameType.CONTROL, PluginHeader(PLUGIN_ID, 0, b""), WAIT_S)
    due, longest = struct.unpack(">Qd", last or bytes(16))
    count = len(sender.receipts)
    return Figures(count, count / sender.took_s, wrong, count - due, len(versions), longest, reports)


def verdict(figures: Figures, rate: int, swaps: int) -> list[str]:
    """Say what is not as it should be."""
    faults = {
        f"{figures.wrong:,} frames lost, doubled or out of order": figures.wrong > 0,
        f"{figures.missing:,} frames unknown to the last version": figures.missing != 0,
        f"{figures.versions} of {swaps + 1} versions at work": figures.versions != swaps + 1,
        f"a pause of more than {PAUSE_LIMIT_S * 1000:g} ms": figures.longest_pause_s > PAUSE_LIMIT_S,
        f"less than {RATE_LIMIT * rate:,.0f} frames/s": figures.rate < RATE_LIMIT * rate,
    }
    return [fault for fault, is_there in faults.items() if is_there]


def lines(figures: Figures) -> Iterator[str]:
    """Yield a line for each swap, and one with all figures."""
    for report in figures.reports:
        yield f"{report.old_version} -> {report.new_version}: neither worked for {report.pause_s * 1000:.1f} ms"
    yield (
        f"swaps {len(figures.reports)}, frames {figures.frames:,} at {figures.rate:,.0f}/s,"
        f" wrong {figures.wrong}, missing {figures.missing}, longest pause {figures.longest_pause_s * 1000:.1f} ms"
    )


@click.command()
@click.option("--rate", default=20_000, show_default=True, type=click.IntRange(1), help="Frames per second.")
@click.option("--seconds", default=10.0, show_default=True, type=Seconds(0.1), help="How long to send.")
@click.option("--swaps", default=9, show_default=True, type=click.IntRange(1), help="How many swaps meanwhile.")
@click.option("--size", default=200, show_default=True, type=click.IntRange(8), help="Bytes of data of each frame.")
def main(rate: int, seconds: float, swaps: int, size: int) -> None:
    """Swap a plugin under load, and count what became of the frames.

    Exit code 1 says that a limit was not met, 2 that the options can't be.
    """
    _check_size(size)
    figures = measure(rate, seconds, swaps, size)
    faults = verdict(figures, rate, swaps)
    for fault in faults:
        click.echo(f"NOT MET: {fault}")
    for line in lines(figures):
        click.echo(line)
    if faults:
        click.get_current_context().exit(EXIT_NOT_MET)


def _check_size(size: int) -> None:
    limit = load_settings().limits.max_header_bytes
    most = limit - around(PLUGIN_ID, size)
    if size > most:
        why = f"limits.max_header_bytes is {limit:,}, and every frame would be refused"
        raise click.BadParameter(f"must be at most {most:,}, not {size:,}: {why}", param_hint="'--size'")


if __name__ == "__main__":
    main()
