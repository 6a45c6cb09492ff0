"""The targets, and how a figure is judged: pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import attrs

# Names of figures: ours, and those of whom we are compared with.
OURS, RAY, XOSCAR, THESPIAN = "ours", "ray", "xoscar", "thespian-tcp"


class Verdict(StrEnum):
    """What becomes of a target."""

    MET = "met"
    NOT_MET = "not met"
    NOT_MEASURED = "not measured"


@attrs.frozen
class Target:
    """A limit of a figure, or of how many times another figure it is."""

    what: str
    figure: str
    limit: float
    stretch: float | None
    """What is hoped for besides, if anything."""
    at_most: bool = False
    over: str = ""
    """The figure by which it is divided; empty if its own value is judged."""
    unit: str = "frames/s"
    decimals: int = 0
    load: str = ""
    """The figure that says under which load it was measured, in frames/s; empty if there is nothing to say."""

    def reached(self, value: float, limit: float | None) -> bool:
        """Judge a value by a limit; there is none to reach if it is ``None``."""
        if limit is None:
            return False
        return value <= limit if self.at_most else value >= limit

    def text(self, limit: float) -> str:
        """Write a limit as a reader wants it."""
        return f"{'<=' if self.at_most else '>='} {limit:,g}{'x' if self.over else f' {self.unit}'}"

    def value_text(self, value: float, load: float | None = None) -> str:
        """Write a value of the figure itself, and the load under which it was measured."""
        under = "" if load is None else f" at {load:,.0f} frames/s"
        return f"{value:,.{self.decimals}f} {self.unit}{under}"


TARGETS = (
    Target(
        "request, one at a time, p50: against a call of a Ray actor",
        f"{OURS} call_p50_us",
        0.7,
        0.4,
        True,
        f"{RAY} call_p50_us",
        "us",
    ),
    Target("dispatch_nowait in a loop, one frame per call", f"{OURS} pipeline", 60_000, 100_000),
    Target("the same against Ray", f"{OURS} pipeline", 15, None, over=f"{RAY} pipeline"),
    Target("the same against xoscar", f"{OURS} pipeline", 8, None, over=f"{XOSCAR} pipeline"),
    Target("dispatch_many, 256 frames per call", f"{OURS} lists_256", 200_000, 300_000),
    Target(
        "the same against a Thespian TCP pair with such lists",
        f"{OURS} lists_256",
        1,
        None,
        over=f"{THESPIAN} lists_256",
    ),
    Target(
        "10 plugins, 100 frames of 512 B each: against Thespian TCP's dispatcher",
        f"{OURS} stress",
        20,
        40,
        over=f"{THESPIAN} stress",
    ),
    Target("100 plugins ready, from one call", "ready_100", 3.0, 1.0, True, unit="s", decimals=2),
    Target("100 plugins unloaded", "unload_100", 1.5, 0.5, True, unit="s", decimals=2),
    Target("PSS of an idle plugin, actor and worker together", "pss", 15, 8, True, unit="MiB", decimals=1),
    Target(
        "memory growth under a flood of 60 s at 10 times the plugin's rate",
        "flood_growth",
        8,
        2,
        True,
        unit="MiB",
        decimals=1,
    ),
    Target("100 plugins together, against one plugin's maximum", "total_100", 0.7, 0.9, over="total_1"),
    Target(
        "a plugin that spins: what it adds to the others' p99, at 40 % of what they can do",
        "spin_added",
        10,
        2,
        True,
        unit="ms",
        decimals=1,
        load="spin_rate",
    ),
    Target("crash of a worker: ready again, with its mailbox", "crash", 150, 50, True, unit="ms"),
)


@attrs.frozen
class Row:
    """One target, and what was measured."""

    target: Target
    verdict: Verdict
    value: float | None = None
    """Of the figure."""
    ratio: float | None = None
    """Where it is compared."""
    stretch_met: bool = False
    load: float | None = None
    """Under which it was measured, in frames/s, if that is to be said."""
    reason: str = ""
    """Why it was not measured."""

    @property
    def judged(self) -> float | None:
        """What is held against the limit."""
        return self.ratio if self.target.over else self.value


def judge(target: Target, figures: Mapping[str, float], reasons: Mapping[str, str]) -> Row:
    """Judge one target; ``reasons`` say why figures are missing, by their name or its first word.

    That one of ours is missing is a target that is not met; that one is missing with which it would be compared is not.
    """
    missing = [name for name in (target.figure, target.over) if name and name not in figures]
    value = figures.get(target.figure)
    if missing:
        verdict = Verdict.NOT_MET if value is None else Verdict.NOT_MEASURED
        return Row(target, verdict, value, reason=_reason(missing[0], reasons))
    assert value is not None
    ratio = value / figures[target.over] if target.over else None
    judged = value if ratio is None else ratio
    verdict = Verdict.MET if target.reached(judged, target.limit) else Verdict.NOT_MET
    return Row(target, verdict, value, ratio, target.reached(judged, target.stretch), figures.get(target.load))


def _reason(figure: str, reasons: Mapping[str, str]) -> str:
    return reasons.get(figure) or reasons.get(figure.split()[0]) or "was not measured"


def judge_all(figures: Mapping[str, float], reasons: Mapping[str, str]) -> list[Row]:
    """Judge every target."""
    return [judge(target, figures, reasons) for target in TARGETS]
