"""The metrics of a system: which there are, in both formats, and that they are true."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path
from typing import Any

import attrs
import pytest
from prometheus_client.core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_classic

from nyx_plugins import (
    DispatchStats,
    InstanceStats,
    PermissionDenied,
    PluginFailed,
    PluginHeader,
    PluginStats,
    PluginSystem,
)
from nyx_plugins.actors.latency import BOUNDS, LatencyHistogram
from nyx_plugins.service.metrics import MetricsServer

from .conftest import Serve, get

DATA, CONTROL = 0x52, 0x53
OPENMETRICS = "application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5"
Values = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(server: MetricsServer) -> Values:
    """Every sample by name and labels, as OpenMetrics has it; that the text parses is half of what is proved."""
    status, content_type, body = get(server, Accept=OPENMETRICS)
    assert (status, content_type.partition(";")[0]) == (200, "application/openmetrics-text"), body
    return _values(parse_openmetrics(body.decode()))


def _values(found: Any) -> Values:
    families: list[Metric] = list(found)
    assert len({family.name for family in families}) == len(families)
    return {
        (sample.name.removeprefix("nyx_plugins_"), frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def _labels(plugin_id: int, name: str = "echo", **more: str) -> frozenset[tuple[str, str]]:
    return frozenset({"plugin_id": str(plugin_id), "plugin": name, **more}.items())


def test_both_formats_parse_and_say_the_same(fake: Any, stats: Any, serve: Serve) -> None:
    """Who accepts OpenMetrics gets it, everyone else the classic text; the figures are the same."""
    fake.add(7, stats(accepted=3))
    server = serve(fake)
    status, content_type, body = get(server)
    assert (status, content_type) == (200, "text/plain; version=0.0.4; charset=utf-8")
    classic = _values(parse_classic(body.decode()))
    modern = scrape(server)
    accepted = ("frames_accepted_total", _labels(7))
    assert classic[accepted] == modern[accepted] == 3
    assert set(modern) - set(classic) <= {key for key in modern if key[0].endswith("_created")}


def test_everything_that_statistics_show_is_there(fake: Any, stats: Any, serve: Serve) -> None:
    """Each counter of a plugin and of the dispatcher has its metric, and none another's value."""
    names = {
        "accepted": "frames_accepted_total",
        "processed": "frames_processed_total",
        "failed": "frames_failed_total",
        "dead_lettered": "frames_dead_lettered_total",
        "bytes_processed": "processed_bytes_total",
        "permission_violations": "permission_violations_total",
        "violations": "violations_total",
        "restarts": "restarts_total",
        "dead_letters_lost": "dead_letters_lost_total",
        "dead_letters": "dead_letters",
        "in_mailbox": "mailbox_frames",
        "peak": "mailbox_peak_frames",
        "capacity": "mailbox_capacity_frames",
        "bytes_held": "mailbox_bytes",
        "capacity_bytes": "mailbox_capacity_bytes",
    }
    numbers = {field: index for index, field in enumerate(names, start=100)}
    fake.add(7, stats(**numbers))
    fake.dispatch = DispatchStats(1, 2, 3, 9, {"MailboxFull": 4, "PermissionDenied": 5})
    values = scrape(serve(fake))
    assert {field: values[name, _labels(7)] for field, name in names.items()} == numbers
    derived = {"messages_processed", "errors"}  # frames_processed + frames_failed, and frames_failed
    elsewhere = {"state", "latency", "actor_pid", "worker_pid", "last_death", "instances"}
    assert {field.name for field in attrs.fields(PluginStats)} == set(names) | derived | elsewhere
    alone = [values[name, frozenset()] for name in ("plugins_loaded_total", "plugins_unloaded_total")]
    alone += [values[name, frozenset()] for name in ("dispatched_frames_total", "dispatch_errors_total")]
    assert alone == [1, 2, 3, 9]
    assert values["refused_frames_total", frozenset({("cause", "MailboxFull")})] == 4
    assert ("uptime_seconds", frozenset()) in values and ("events_dropped_total", frozenset()) in values
    assert any(name == "build_info" for name, _ in values)


def test_each_instance_has_its_own_figures(fake: Any, stats: Any, serve: Serve) -> None:
    """They are told apart by their number; one whose worker is started again is not up."""
    fake.add(7, stats(instances=(InstanceStats("ready", 1, 2, 3, 4), InstanceStats("restarting", None, 5, 6, 7))))
    values = scrape(serve(fake))
    names = ("instance_up", "instance_mailbox_frames", "instance_seen_frames_total", "instance_restarts_total")
    assert [values[name, _labels(7, instance="0")] for name in names] == [1, 2, 3, 4]
    assert [values[name, _labels(7, instance="1")] for name in names] == [0, 5, 6, 7]


def test_latencies_are_a_histogram_in_seconds(fake: Any, stats: Any, serve: Serve) -> None:
    """Buckets add up to the count, as Prometheus has them."""
    counts = tuple(range(len(BOUNDS) + 1))
    fake.add(7, stats(latency=LatencyHistogram(counts=counts, sum_s=1.5)))
    values = scrape(serve(fake))
    assert values["frame_latency_seconds_sum", _labels(7)] == 1.5
    assert values["frame_latency_seconds_count", _labels(7)] == sum(counts)
    assert values["frame_latency_seconds_bucket", _labels(7, le="+Inf")] == sum(counts)
    assert values["frame_latency_seconds_bucket", _labels(7, le="0.001")] == sum(counts[:4])


def test_the_state_is_one_of_all(fake: Any, stats: Any, serve: Serve) -> None:
    """Exactly one state of a plugin is 1."""
    fake.add(7, stats(state="paused"))
    values = scrape(serve(fake))
    states = {
        dict(labels)["nyx_plugins_plugin_state"]: value
        for (name, labels), value in values.items()
        if name == "plugin_state"
    }
    assert [state for state, value in states.items() if value] == ["paused"] and len(states) == 8


def test_a_plugin_without_statistics_has_its_state(fake: Any, serve: Serve) -> None:
    """A failed plugin that can't be asked is there, and says that it can't."""
    fake.add(7, PluginFailed(7, "gone"), state="failed")
    values = scrape(serve(fake))
    assert values["plugin_up", _labels(7)] == 0
    assert values["plugin_state", _labels(7, nyx_plugins_plugin_state="failed")] == 1
    assert ("frames_accepted_total", _labels(7)) not in values


def test_hostile_names_stay_inside_their_quotes(fake: Any, stats: Any, serve: Serve) -> None:
    """Quotes, backslashes and line ends in a name make no metrics of their own."""
    name = 'a"} 1\nnyx_plugins_forged_total 7\n\\{ä'
    fake.add(7, stats(accepted=3), name=name)
    values = scrape(serve(fake))
    assert values["frames_accepted_total", _labels(7, name)] == 3
    assert not any("forged" in key for key, _ in values)


@pytest.mark.needs_worker(reason="a worker is killed")
def test_counters_agree_with_the_statistics_and_never_fall(system: PluginSystem, serve: Serve) -> None:
    """Of a real system: what is scraped is what it tells, over a worker's end too; events are counted."""
    system.load("builtin:echo", plugin_id=7)
    server = serve(system)
    _send(system, 5)
    before = scrape(server)
    with system.subscribe() as events:
        os.kill(system.plugin_stats(7).worker_pid or 0, signal.SIGKILL)
        assert any(event.kind == "restarted" for event in events)  # type: ignore[union-attr]
    _send(system, 5)
    after = scrape(server)
    counters = [key for key in before if key[0].endswith(("_total", "_bucket", "_count", "_sum"))]
    assert [key for key in counters if key not in after or after[key] < before[key]] == []
    assert after["restarts_total", _labels(7)] == 1
    assert after["events_total", frozenset({("event", "restarted")})] == 1
    _agrees(after, system)


def test_sums_agree_with_the_statistics(system: PluginSystem, serve: Serve) -> None:
    """On every transport the frames that were accepted are those with an outcome and those in the mailbox."""
    system.load("builtin:echo", plugin_id=7)
    _send(system, 3)
    system.revoke(7, "control")
    with pytest.raises(PermissionDenied):
        system.dispatch(CONTROL, PluginHeader(7, 0, b"x"))
    _agrees(scrape(serve(system)), system)


def _send(system: PluginSystem, frames: int) -> None:
    for _ in range(frames):
        system.request(DATA, PluginHeader(7, 0, b"hello"))


def _agrees(values: Values, system: PluginSystem) -> None:
    stats = system.plugin_stats(7)
    outcomes = [values[f"frames_{name}_total", _labels(7)] for name in ("processed", "failed", "dead_lettered")]
    assert sum(outcomes) + values["mailbox_frames", _labels(7)] == values["frames_accepted_total", _labels(7)]
    assert (
        values["frames_accepted_total", _labels(7)] == stats.accepted == values["dispatched_frames_total", frozenset()]
    )
    assert values["frame_latency_seconds_count", _labels(7)] == stats.latency.count
    assert values["dispatch_errors_total", frozenset()] == system.dispatch_stats().dispatch_errors
    assert values["permission_violations_total", _labels(7)] == stats.permission_violations


def test_the_document_lists_all_metrics(fake: Any, stats: Any, serve: Serve) -> None:
    """The table of docs/observability.md names every family, and no other, with its type."""
    text = (Path(__file__).parents[3] / "docs" / "observability.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`.*?`) \| (.*?) \|", text, re.M)
    listed: dict[str, str] = {}
    for names, kinds in rows:
        found = re.findall(r"`(.*?)`", names)
        types = kinds.replace(" ", "").split(",")
        listed |= dict(zip(found, types * len(found) if len(types) == 1 else types, strict=False))
    fake.add(7, stats())
    body = get(serve(fake), Accept=OPENMETRICS)[2].decode()
    families = {family.name.removeprefix("nyx_plugins_"): family.type for family in parse_openmetrics(body)}
    assert listed == families
