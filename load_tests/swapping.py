"""Swaps under load: whether anything is lost, doubled or reordered, and how long the longest pause is.

Run as ``python -m nyx_plugins.load_tests swap``. The exit code is 1 when something is, or the pause is too long.
"""

from __future__ import annotations

import itertools
import shutil
import statistics
import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs
import click

from nyx_plugins import NyxPluginError, PluginHeader, PluginSystem, Receipt

EXIT_NOT_MET = 1
P = 1
DATA, CONTROL = 0x52, 0x53
VERSIONS = ("1.0.0", "1.1.0")
CAPACITY = 20_000
LEAST, MOST = 100, 4000
"""How many frames are sent with one call: what is due, within these."""
TIMEOUT_S = 30.0
LIMIT_S = 0.200
# So much of the rate that was asked for has to be reached: less proves nothing.
ENOUGH = 0.95


@attrs.frozen
class Swaps:
    """What came of it: times in seconds, rates in frames per second."""

    asked_rate: float
    rate: float
    sent: int
    processed: int
    last: int
    out_of_order: int
    pauses_s: Sequence[float]
    """The longest time without an outcome around each swap."""

    @property
    def intact(self) -> bool:
        """Whether every frame was handled once, in order, by one version or the next."""
        return self.sent == self.processed == self.last and self.out_of_order == 0

    @property
    def quick(self) -> bool:
        """Whether no pause was too long."""
        return max(self.pauses_s) <= LIMIT_S

    @property
    def busy(self) -> bool:
        """Whether there was as much load as there was to be."""
        return self.rate >= ENOUGH * self.asked_rate

    def lines(self) -> Sequence[str]:
        """Say it."""
        longest, median = max(self.pauses_s) * 1000, statistics.median(self.pauses_s) * 1000
        return (
            f"{self.rate:,.0f} frames/s, {self.asked_rate:,.0f} asked for{_not_met(self.busy)}",
            f"{self.sent:,} sent, {self.processed:,} processed, the last of them number {self.last:,},"
            f" {self.out_of_order:,} out of order{_not_met(self.intact)}",
            f"{len(self.pauses_s)} swaps: longest pause {longest:,.1f} ms (at most {LIMIT_S * 1000:,.0f} ms),"
            f" median {median:,.1f} ms{_not_met(self.quick)}",
        )


def _not_met(met: bool) -> str:
    return "" if met else "  NOT MET"


class Load(threading.Thread):
    """Sends numbered frames at a steady rate, and notes when their outcomes come."""

    def __init__(self, system: PluginSystem, rate: float) -> None:
        super().__init__(name="load", daemon=True)
        self.sent = 0
        self.seconds = 0.0
        self.error: Exception | None = None
        self.outcomes: list[float] = []
        """When every hundredth frame or so had its outcome."""
        self._system, self._rate = system, rate
        self._over = threading.Event()

    def run(self) -> None:
        """Send."""
        begun = time.perf_counter()
        try:
            while not self._over.wait(max(0.0, begun + (self.sent + LEAST) / self._rate - time.perf_counter())):
                self._send(int((time.perf_counter() - begun) * self._rate) - self.sent)
        except NyxPluginError as error:
            self.error = error
        self.seconds = time.perf_counter() - begun

    def end(self) -> None:
        """Send no more; raises what went wrong."""
        self._over.set()
        self.join()
        if self.error is not None:
            raise self.error

    def _send(self, due: int) -> None:
        numbers = range(self.sent + 1, self.sent + min(max(due, LEAST), MOST) + 1)
        frames = [(DATA, PluginHeader(P, 0, number.to_bytes(8, "big"))) for number in numbers]
        for place, receipt in enumerate(self._system.dispatch_many(frames, timeout=TIMEOUT_S)):
            if not isinstance(receipt, Receipt):
                raise receipt
            if place % LEAST == 0:
                receipt.tell(partial(self._note, receipt))
                self._note(receipt)
        self.sent = numbers[-1]

    def _note(self, receipt: Receipt) -> None:
        if receipt.done:
            self.outcomes.append(time.perf_counter())


def measure(rate: float, swaps: int, apart_s: float) -> Swaps:
    """Swap a plugin ``swaps`` times, ``apart_s`` seconds apart, while it gets ``rate`` frames per second."""
    with TemporaryDirectory() as folder, PluginSystem() as system:
        bundles = [_bundle(Path(folder), version) for version in VERSIONS]
        system.load(bundles[0], capacity=CAPACITY)
        load = Load(system, rate)
        load.start()
        times = [_swap(system, bundles[(number + 1) % 2], apart_s) for number in range(swaps)]
        time.sleep(apart_s)
        load.end()
        system.drain(TIMEOUT_S)
        last, out_of_order = map(int, (system.request(CONTROL, PluginHeader(P, 0, b"")) or b"").split())
        processed = system.plugin_stats(P).processed - 1
    pauses = [_longest_gap(load.outcomes, begun, ended) for begun, ended in times]
    return Swaps(rate, load.sent / load.seconds, load.sent, processed, last, out_of_order, pauses)


def _swap(system: PluginSystem, bundle: Path, apart_s: float) -> tuple[float, float]:
    time.sleep(apart_s)
    begun = time.perf_counter()
    system.swap(P, bundle)
    return begun, time.perf_counter()


def _longest_gap(outcomes: Sequence[float], begun: float, ended: float) -> float:
    """Return the longest time between two outcomes, of those that touch the time from ``begun`` to ``ended``."""
    times = sorted(outcomes)
    return max(
        (after - before for before, after in itertools.pairwise(times) if after >= begun and before <= ended),
        default=0.0,
    )


def _bundle(folder: Path, version: str) -> Path:
    bundle = folder / version
    bundle.mkdir()
    shutil.copy(Path(__file__).with_name("counting_plugin.py"), bundle / "plugin.py")
    (bundle / "plugin.toml").write_text(
        f'id = {P}\nname = "counting"\nversion = "{version}"\napi_version = 1\nentry_point = "plugin:Counting"\n'
        'permissions = ["data_access", "control"]\n'
    )
    return bundle


@click.command()
@click.option("--rate", default=20_000.0, show_default=True, type=click.FloatRange(1), help="Frames per second.")
@click.option("--swaps", default=20, show_default=True, type=click.IntRange(1))
@click.option("--apart", default=0.5, show_default=True, type=click.FloatRange(0), help="Seconds between two swaps.")
def swap(rate: float, swaps: int, apart: float) -> None:
    """Swap a plugin for another version of it under load, again and again."""
    result = measure(rate, swaps, apart)
    for line in result.lines():
        click.echo(line)
    if not (result.intact and result.quick and result.busy):
        click.get_current_context().exit(EXIT_NOT_MET)
