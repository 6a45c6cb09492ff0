"""The curves, as pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nyx_plugins.load_tests.extra import needed
from nyx_plugins.load_tests.report.canvas import COLOURS, PNG_DPI, new_figure, style
from nyx_plugins.load_tests.result import Metric

with needed():
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from .points import CPU, MEMORY, PLUGIN_MEMORY, RATE
from .sweeps import KIB, MIB, Sweep

HEIGHT_IN = 4.0
MEMORY_OF = "plugins"
"""The sweep with which memory grows."""


def draw(metrics: Mapping[str, Metric], sweeps: Sequence[Sweep], folder: Path) -> list[Path]:
    """Draw a picture of each sweep that has figures, and one of memory; return the PNGs, beside which are SVGs."""
    with style():
        return [_saved(figure, folder / name) for name, figure in figures(metrics, sweeps)]


def figures(metrics: Mapping[str, Metric], sweeps: Sequence[Sweep]) -> Iterator[tuple[str, Figure]]:
    """Yield each picture with its name."""
    for sweep in sweeps:
        if _curve(metrics, sweep, RATE)[0]:
            yield sweep.name, _speed(metrics, sweep)
        if sweep.name == MEMORY_OF and _curve(metrics, sweep, MEMORY)[0]:
            yield "memory", _memory(metrics, sweep)


def _saved(figure: Figure, path: Path) -> Path:
    figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})
    figure.savefig(path.with_suffix(".png"), dpi=PNG_DPI)
    return path.with_suffix(".png")


def _curve(metrics: Mapping[str, Metric], sweep: Sweep, metric: str) -> tuple[list[int], list[float]]:
    found = [(value, metrics.get(f"{metric} [{sweep.point(value)}]")) for value in sweep.values]
    return [value for value, seen in found if seen], [seen.value for _, seen in found if seen]


def _speed(metrics: Mapping[str, Metric], sweep: Sweep) -> Figure:
    """Throughput on the left, on the right what each frame costs whom."""
    figure = new_figure(HEIGHT_IN)
    rate, cost = figure.subplots(1, 2)
    figure.suptitle(f"{sweep.title}: throughput, and time of a processor for each frame")
    values, rates = _curve(metrics, sweep, RATE)
    rate.plot(values, rates, marker="o", color=COLOURS[0], label="frames/s")
    _axes(rate, sweep, "frames processed per second", thousands)
    if sweep.name == "frame":
        _volume(rate, values, rates)
    _cost(cost, metrics, sweep)
    return figure


def _volume(rate: Any, values: Sequence[int], rates: Sequence[float]) -> None:
    """Add MiB/s, with an axis of its own on the right."""
    volume = rate.twinx()
    volume.spines["right"].set_visible(True)
    volume.grid(False)
    volume.plot(
        values, [size * each / MIB for size, each in zip(values, rates, strict=True)], marker="s", color=COLOURS[1]
    )
    volume.set_ylabel("MiB of data per second", color=COLOURS[1])
    volume.set_ylim(bottom=0)
    rate.yaxis.label.set_color(COLOURS[0])


def _cost(cost: Any, metrics: Mapping[str, Metric], sweep: Sweep) -> None:
    layers = {role: _curve(metrics, sweep, name) for name, role in CPU.items()}
    values = sorted(set.intersection(*(set(seen) for seen, _ in layers.values())))
    if not values:
        return
    heights = [[dict(zip(*layer, strict=True))[value] for value in values] for layer in layers.values()]
    if not sweep.factors:
        cost.stackplot(values, heights, labels=list(layers), colors=COLOURS[: len(layers)], alpha=0.85)
    _axes(cost, sweep, "\N{MICRO SIGN}s of processor time per frame", thousands)
    if sweep.factors:
        _lines(cost, values, list(layers), heights)
    cost.figure.legend(*_topmost_first(cost), loc="outside lower right", ncols=len(layers), frameon=False)


def _lines(cost: Any, values: Sequence[int], roles: Sequence[str], heights: Sequence[Sequence[float]]) -> None:
    """From a few microseconds to thousands: only a logarithmic scale shows both, and nothing can be stacked on one."""
    for role, colour, height in zip(roles, COLOURS, heights, strict=False):
        # What was too little to be seen has no place on such a scale.
        seen = [(value, each) for value, each in zip(values, height, strict=True) if each > 0]
        cost.plot([value for value, _ in seen], [each for _, each in seen], marker="o", color=colour, label=role)
    cost.set_ylim(auto=True)
    cost.set_yscale("log")
    cost.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    cost.yaxis.set_minor_locator(NullLocator())
    cost.yaxis.set_major_formatter(FuncFormatter(thousands))


def _topmost_first(axes: Any) -> tuple[list[Any], list[str]]:
    handles, labels = axes.get_legend_handles_labels()
    return handles[::-1], labels[::-1]


def _memory(metrics: Mapping[str, Metric], sweep: Sweep) -> Figure:
    figure = new_figure(HEIGHT_IN)
    total, each = figure.subplots(1, 2)
    figure.suptitle("Memory under load: all processes of the system, a page that N processes share counted as 1/N")
    for axes, metric, label in (
        (total, MEMORY, "MiB, all processes of the system"),
        (each, PLUGIN_MEMORY, "MiB for each plugin, actor and worker"),
    ):
        values, sizes = _curve(metrics, sweep, metric)
        axes.plot(values, [size / MIB for size in sizes], marker="o", color=COLOURS[0])
        axes.set_xlabel("plugins")
        axes.set_ylabel(label)
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.yaxis.set_major_formatter(FuncFormatter(thousands))
        axes.set_ylim(bottom=0)
        axes.set_xlim(left=0)
    return figure


def _axes(axes: Any, sweep: Sweep, label: str, form: Callable[[float, int], str]) -> None:
    """Scale and label both axes of what is drawn; the values that were measured are what is marked below."""
    axes.set_xscale("log")
    axes.set_xlabel(sweep.axis)
    axes.xaxis.set_major_locator(FixedLocator(list(sweep.values)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: count(round(value), sweep.name == "frame")))
    axes.tick_params(axis="x", labelrotation=45)
    axes.set_ylabel(label)
    axes.yaxis.set_major_formatter(FuncFormatter(form))
    axes.set_ylim(bottom=0)


def thousands(value: float, _: int) -> str:
    """Write a number of an axis."""
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.3g}"


def count(value: int, is_bytes: bool) -> str:
    """Write a value that was measured: sizes in KiB and MiB where they are whole."""
    for size, unit in ((MIB, "MiB"), (KIB, "KiB")):
        if is_bytes and value >= size and value % size == 0:
            return f"{value // size} {unit}"
    return f"{value:,} B" if is_bytes else f"{value:,}"
