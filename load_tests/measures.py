"""Which metrics there are where clients send frames, by name, and their units: what a limit may ask of. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .scenario import TRAFFIC
from .variants import split

_LATENCIES = ("p50_us", "p90_us", "p99_us", "p99_9_us", "max_us")
_ALWAYS = (
    *("processed_per_s", *_LATENCIES, "load_s", "busiest_client_cores", "system_cpu_us_per_frame"),
    *("failed_share", "dead_lettered_share", "refused_share", "lost_share", "unfinished_share"),
    "unsent_share",
    *(f"cpu_us_per_frame.{role}" for role in ("client", "dispatcher", "plugin_actor", "worker")),
    *("memory_bytes", "memory_bytes_per_plugin", "memory_growth_bytes", "client_memory_growth_bytes"),
    *("files_bytes", "files_growth_bytes", "sockets_bytes", "sockets_growth_bytes"),
)
# The first that fits.
_UNITS = {
    "_us": "us",
    "_us_per_frame": "us",
    "_bytes": "bytes",
    "_bytes_per_plugin": "bytes",
    "_share": "of offered",
    "_cores": "cores",
    "_per_s": "frames/s",
    "_s": "s",
}


def measured(table: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the metrics of a scenario without variants, as it is written; ``None`` for a driver of its own."""
    return tuple(_measured(table)) if table.get("driver", TRAFFIC) == TRAFFIC else None


def unit_of(metric: str) -> str:
    """Return the unit that is part of a metric's name; empty if none is."""
    name = split(metric)[0].partition(".")[0]
    return next((unit for ending, unit in _UNITS.items() if name.endswith(ending)), "")


def _measured(table: Mapping[str, Any]) -> Iterator[str]:
    yield from _ALWAYS
    if table.get("mode") == "open":
        yield "rate_per_s"
    if isinstance(table.get("rate"), str):
        yield "calibrated_per_s"
    if table.get("events"):
        yield "events_failed"
    receivers = list(_receivers(table.get("plugins")))
    if len(receivers) > 1:
        yield from (f"{metric}.{group}" for group in receivers for metric in _LATENCIES)


def _receivers(groups: object) -> Iterator[str]:
    """Yield the groups that get frames."""
    for name, group in groups.items() if isinstance(groups, Mapping) else ():
        if isinstance(group, Mapping) and group.get("weight", 1):
            yield name
