"""The plots of a report: each answers one question, and says in words how to read it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import attrs

from ..amounts import figure as shown
from ..extra import needed
from ..result import Result, Round
from ..summary import Summary, summaries
from ..variants import split
from .canvas import COLOURS, MUTED, legible, new_figure
from .curve import Curve, curve
from .lines import growth_lines, memory_lines, series_lines
from .roles import RoleUsage, median_usage, usage
from .scales import latency_axis, percentile_axis, rarity
from .timeline import Row, timeline

with needed():
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_METRICS = 30
MAX_LATENCIES = 12
MAX_VARIANTS = 5
LEGEND_LETTERS = 150
"""So many have room beside each other."""
MAX_ROUNDS = 20
"""That are drawn as lines of their own, or have their numbers."""
FARTHEST = 1e6
"""A metric that is so many times its median in some round says nothing on an axis with others."""
_DOTS: dict[str, Any] = {"marker": "o", "linestyle": "", "color": COLOURS[1], "markersize": 3.5}
MIB = 1024 * 1024


@attrs.frozen
class Plot:
    """One plot with its words."""

    name: str
    """Of its file."""
    title: str
    words: str
    """What it shows, and how it is read."""
    figure: Figure


def plots(result: Result) -> Iterator[Plot]:
    """Draw what there is something to draw of."""
    rounds = [one for one in result.rounds if one.seconds > 0]
    for name, title, words, draw in _PLOTS:
        drawn = draw(rounds) if rounds else None
        if drawn is not None:
            yield Plot(name, title, words, drawn)


def latency_plot(rounds: Sequence[Round]) -> Figure | None:
    """Draw latencies over percentiles, one colour for each kind of latency and one line for each round."""
    curves = _curves(rounds)
    if not curves:
        return None
    figure = new_figure(4.6)
    axes = figure.subplots()
    for colour, (name, lines) in zip(_latency_colours(curves), curves.items(), strict=True):
        dashes = "-" if name.startswith("outcome") else "--"
        for line in lines:
            levels = [rarity(level) for level in line.percentiles]
            axes.plot(levels, line.latencies_us, color=colour, linestyle=dashes, linewidth=1.2, alpha=0.85)
        axes.plot([], [], color=colour, linestyle=dashes, label=legible(_times(name, len(lines))))
    percentile_axis(axes, max(line.percentiles[-1] for lines in curves.values() for line in lines))
    latency_axis(axes)
    axes.set_xlabel("percentile: the share of frames that took no longer")
    axes.set_ylabel("latency")
    longest = max(len(_times(name, len(lines))) for name, lines in curves.items())
    figure.legend(loc="outside upper left", ncols=max(1, min(3, LEGEND_LETTERS // (longest + 6))), frameon=False)
    return figure


def _latency_colours(names: Iterable[str]) -> list[str]:
    """Return a colour for each variant, or where there are none, for each kind of latency."""
    groups = [f"{split(name)[1]}.{split(name)[0].partition('.')[2]}" for name in names]
    places = {group: place for place, group in enumerate(dict.fromkeys(groups))}
    keys = [places[group] for group in groups] if len(places) > 1 else range(len(groups))
    return [COLOURS[key % len(COLOURS)] for key in keys]


def _curves(rounds: Sequence[Round]) -> dict[str, list[Curve]]:
    names = list(dict.fromkeys(name for one in rounds for name in one.latencies))[:MAX_LATENCIES]
    found = {
        name: [curve(one.latencies[name]) for one in rounds[:MAX_ROUNDS] if name in one.latencies] for name in names
    }
    drawable = {name: [line for line in lines if len(line.percentiles) > 1] for name, lines in found.items()}
    return {name: lines for name, lines in drawable.items() if lines}


def _times(name: str, count: int) -> str:
    return name if count == 1 else f"{name} ({count} rounds, a line each)"


def flow_plot(rounds: Sequence[Round]) -> Figure | None:
    """Draw throughput and the depth of mailboxes over time."""
    rows = (
        Row("frames per second", "frames/s", lambda one: series_lines(one, "frames/s")),
        Row("frames waiting", "frames", lambda one: series_lines(one, "frames")),
    )
    return timeline(rounds, rows)


def memory_plot(rounds: Sequence[Round]) -> Figure | None:
    """Draw the memory of processes over time, and how it has grown."""
    rows = (Row("memory per process", "bytes", memory_lines), Row("grown by", "bytes", growth_lines, MIB))
    return timeline(rounds, rows)


def kernel_plot(rounds: Sequence[Round]) -> Figure | None:
    """Draw what the kernel holds for the processes over time: files in memory, and buffers of sockets."""
    return timeline(rounds, [Row("bytes held", "bytes", lambda one: series_lines(one, "bytes"), MIB)])


def processor_plot(rounds: Sequence[Round]) -> Figure | None:
    """Draw the processor time of each role: a bar for the median of the rounds, and a dot for each of them."""
    medians = median_usage(rounds)
    roles = list(dict.fromkeys(used.role for used in sorted(medians, key=lambda used: used.cores)))
    kinds = list(dict.fromkeys(used.variant for used in medians))[:MAX_VARIANTS]
    if not roles:
        return None
    figure = new_figure(1.3 + 0.32 * len(roles))
    (panels,) = figure.subplots(1, len(kinds), sharex=True, sharey=True, squeeze=False)
    for axes, variant in zip(panels, kinds, strict=True):
        axes.set_title(variant, loc="left")
        _bars(axes, [used for used in medians if used.variant == variant], roles)
        dots = [used for one in rounds for used in usage(one) if used.variant == variant]
        axes.plot([used.cores * 100 for used in dots], [roles.index(used.role) for used in dots], **_DOTS)
        axes.grid(axis="y", visible=False)
    figure.supxlabel("busy, in % of one core: the bar is the median of the rounds, a dot is one round", size=10)
    return figure


def _bars(axes: Axes, medians: Sequence[RoleUsage], roles: Sequence[str]) -> None:
    places, widths = [roles.index(used.role) for used in medians], [used.cores * 100 for used in medians]
    axes.barh(places, widths, height=0.6, color=COLOURS[0], alpha=0.75)
    axes.set_yticks(range(len(roles)), list(roles))


def rounds_plot(rounds: Sequence[Round]) -> Figure | None:
    """Draw how far each round was from the median of all, a row for each metric."""
    metrics = _foremost([metric for metric in summaries(rounds) if _can_be_compared(metric)])
    if not metrics:
        return None
    figure = new_figure(1.1 + 0.32 * len(metrics))
    axes = figure.subplots()
    for place, metric in enumerate(reversed(metrics)):
        _spread(axes, place, metric)
    axes.axvline(0, color=MUTED, linewidth=1)
    axes.set_yticks(range(len(metrics)), [f"{metric.name}  ({_middle(metric)})" for metric in reversed(metrics)])
    axes.set_ylim(-0.6, len(metrics) - 0.4)
    figure.supxlabel("difference from the median of all rounds, in %; the number is that of the round", size=10)
    return figure


def _foremost(metrics: Sequence[Summary]) -> list[Summary]:
    """Return as many as have room, as many of each variant: those that come first, in the order that they have."""
    variants = [split(metric.name)[1] for metric in metrics]
    places = [variants[:place].count(variant) for place, variant in enumerate(variants)]
    last = sorted(places)[:MAX_METRICS][-1] if metrics else 0
    return [metric for metric, place in zip(metrics, places, strict=True) if place <= last][:MAX_METRICS]


def _can_be_compared(metric: Summary) -> bool:
    most = max(map(abs, metric.values))
    return len(metric.values) > 1 and 0 < most <= FARTHEST * abs(metric.median)


def _middle(metric: Summary) -> str:
    return f"median {shown(metric.median, metric.unit)}"


def _spread(axes: Axes, place: int, metric: Summary) -> None:
    """Draw one row: each round by its number, so that a round that was slow in everything is seen."""
    differences = [(value / metric.median - 1) * 100 for value in metric.values]
    axes.plot([min(differences), max(differences)], [place, place], color=COLOURS[0], linewidth=4, alpha=0.25)
    axes.plot(differences, [place] * len(differences), "o", color=COLOURS[0], markersize=11, alpha=0.8)
    for number, difference in enumerate(differences if len(differences) <= MAX_ROUNDS else (), 1):
        axes.annotate(str(number), (difference, place), ha="center", va="center", size=7, color="white")


_PLOTS: tuple[tuple[str, str, str, Callable[[Sequence[Round]], Figure | None]], ...] = (
    (
        "latency",
        "Latency by percentile",
        "How long frames took. Read it from below: at 99 %, ninety-nine of a hundred frames took no longer than the "
        "curve says, and one took longer. Both axes grow by factors, since what matters is at the right: the rare, "
        "slow frames. A flat curve is good; one that turns up steeply means that some frames waited for something. "
        "“Outcome” counts from the time at which a frame was to be sent, “service” from when it was: where the first "
        "is far above the second, frames were late because they queued behind a stall.",
        latency_plot,
    ),
    (
        "flow",
        "Throughput and waiting frames over time",
        "How many frames were processed in each second, and how many waited in mailboxes, a column for each round. "
        "Steady lines are good. Throughput that sinks while mailboxes fill is a stall; a mailbox that stays full means "
        "that more is sent than the plugin takes. Where many are drawn as one, the line is their median, and the shade "
        "goes from the lowest to the highest.",
        flow_plot,
    ),
    (
        "memory",
        "Memory by role",
        "Proportional set size (PSS): what is shared between processes counts for each by its share, so that the sum "
        "is what the machine has spent. The lower row is how far each has grown since the round began: a line that "
        "goes on rising is a leak. The line is the median of the processes of a role, the shade their range.",
        memory_plot,
    ),
    (
        "kernel",
        "Memory that the kernel holds",
        "Files in the runtime directory and what waits in the buffers of sockets. They belong to no process, so that "
        "no process's memory shows them. They should stay small however much is sent.",
        kernel_plot,
    ),
    (
        "processor",
        "Processor time by role",
        "How busy the processes of each role were, all of them together: 100 % is one core. The bar is the median of "
        "the rounds, each dot is one round. What is closest to 100 % for each of its processes limits the throughput.",
        processor_plot,
    ),
    (
        "rounds",
        "The rounds beside each other",
        "The scenario was repeated, each time on a new system. Each disc is one round. A difference between two runs "
        "means something only if it is larger than these differences between rounds of the same run.",
        rounds_plot,
    ),
)
