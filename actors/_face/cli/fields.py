"""What commands print with ``--json``: plain data under the names of the Python values they come from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs
import click

from ..config.errors import NyxPluginError

if TYPE_CHECKING:
    from ..actors.events import Emitted, Event, PluginStats
    from ..actors.latency import LatencyHistogram
    from ..actors.system import PluginInfo

QUANTILES = {"p50_s": 0.5, "p99_s": 0.99}


def print_json(value: Any) -> None:
    """Print one JSON document, readable by people too."""
    click.echo(json.dumps(value, indent=1))


def print_json_line(value: Any) -> None:
    """Print one JSON document on one line; it is there at once."""
    click.echo(json.dumps(value))


def info_fields(info: PluginInfo) -> dict[str, Any]:
    """Return a :class:`PluginInfo`; sets are sorted lists."""
    return {
        **{field.name: getattr(info, field.name) for field in attrs.fields(type(info))},
        "requested": sorted(info.requested),
        "permissions": sorted(info.permissions),
        "requires": dict(info.requires),
        "optional": dict(info.optional),
        "dependents": list(info.dependents),
        "policy": None if info.policy is None else attrs.asdict(info.policy),
    }


def stats_fields(stats: PluginStats) -> dict[str, Any]:
    """Return a :class:`PluginStats`; its latency has the quantiles that tables show besides."""
    fields = attrs.asdict(stats)
    quantiles = {name: quantile(stats.latency, share) for name, share in QUANTILES.items()}
    return {**fields, "latency": {**fields["latency"], "count": stats.latency.count, **quantiles}}


def quantile(latency: LatencyHistogram, share: float) -> float | None:
    """Return a quantile in seconds; where it is beyond the last bound, that bound: JSON knows no infinity."""
    found = latency.quantile(share)
    return None if found is None else min(found, latency.bounds[-1])


def event_fields(event: Event) -> dict[str, Any]:
    """Return an :class:`Event`."""
    return {"kind": str(event.kind), "plugin_id": event.plugin_id, "reason": event.reason}


def emitted_fields(emitted: Emitted) -> dict[str, Any]:
    """Return an :class:`Emitted`, under the kind ``emitted``."""
    return {
        "kind": "emitted",
        "plugin_id": emitted.plugin_id,
        "frame_type": emitted.frame_type,
        "flags": emitted.flags,
        **data_fields(emitted.data),
    }


def data_fields(data: bytes, prefix: str = "data") -> dict[str, Any]:
    """Return bytes as hexadecimal digits, and as text where they are UTF-8 (else null)."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = None
    return {f"{prefix}_hex": data.hex(), f"{prefix}_text": text}


def error_fields(error: BaseException | None) -> Mapping[str, str] | None:
    """Return the class and the text of an error; null for none."""
    if error is None:
        return None
    assert isinstance(error, NyxPluginError)
    return {"type": type(error).__name__, "text": str(error)}
