"""Axes that a newcomer can read: percentiles, times, sizes and counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..amounts import figure
from ..extra import needed

with needed():
    from matplotlib.axes import Axes
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

PERCENTILES = (0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999, 99.9999)


def rarity(percentile: float) -> float:
    """Return how many frames there are for one that took longer: 10 at the 90th percentile, 100 at the 99th."""
    return 100 / (100 - percentile)


def percentile_axis(axes: Axes, largest: float) -> None:
    """Make the x axis one of percentiles, each nine as wide as the one before, up to ``largest``."""
    shown = [level for level in PERCENTILES if level <= max(largest, 50)]
    axes.set_xscale("log")
    axes.set_xlim(1, rarity(largest) * 1.1)
    axes.xaxis.set_major_locator(FixedLocator([rarity(level) for level in shown]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([f"{level:g} %" for level in shown])


def latency_axis(axes: Axes) -> None:
    """Make the y axis one of times in microseconds, each step ten times the one before, with their units."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=20))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_major_formatter(_formatter("us"))


def amount_axis(axes: Axes, unit: str, values: Sequence[float], least: float) -> None:
    """Make the y axis one of amounts, from zero to ``least`` at least."""
    top = max([*values, least])
    axes.set_ylim(min([*values, 0.0]) * 1.12, top * 1.12 or 1)
    axes.yaxis.set_major_locator(_Round(top if unit == "bytes" else 0, integer=unit == "frames"))
    axes.yaxis.set_major_formatter(_formatter("bytes" if unit == "bytes" else ""))


def _formatter(unit: str) -> FuncFormatter:
    return FuncFormatter(lambda value, _: figure(value, unit) if value else "0")


class _Round(MaxNLocator):
    """Ticks at round numbers, of KiB, MiB or GiB where ``top_bytes`` reaches these; ``integer`` is for whole things."""

    def __init__(self, top_bytes: float, *, integer: bool) -> None:
        super().__init__(5, steps=[1, 2, 5, 10], integer=integer)
        self._size = next((size for size in (1024.0**3, 1024.0**2, 1024.0) if top_bytes >= size), 1.0)

    def tick_values(self, vmin: float, vmax: float) -> Any:
        """Return them between two values."""
        return [tick * self._size for tick in super().tick_values(vmin / self._size, vmax / self._size)]
