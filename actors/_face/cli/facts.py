"""What ``status`` and ``stats`` print."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

import attrs
import click
from rich.table import Table

from ..actors.events import DispatchStats, PluginStats
from ..actors.service_file import Service, find, service_dir
from ..actors.system import PluginInfo, PluginSystem
from ..config.errors import NyxPluginError
from ..plugins.errors import PluginNotRegistered, ServiceNotRunning
from ..plugins.worker.jail.level import Enforcement
from . import connecting, tables
from .failure import exit_code_of, one_line
from .fields import QUANTILES, error_fields, info_fields, print_json, quantile, stats_fields
from .managing import described, finish
from .references import find as find_plugin


@attrs.frozen
class PluginFacts:
    """One plugin and its counters, or why there are none."""

    info: PluginInfo
    stats: PluginStats | None
    error: NyxPluginError | None


def service_of(runtime_dir: str | None) -> Service:
    """Return what is written down of the running service; raises :class:`ServiceNotRunning`."""
    return find(service_dir(runtime_dir))


def show_status(runtime_dir: str | None, json_wanted: bool) -> None:
    """Print what is running; without a service raise :class:`ServiceNotRunning`, after the JSON if that is wanted."""
    try:
        service = service_of(runtime_dir)
        with connecting.connection(runtime_dir) as system:
            plugins, enforcement = system.plugins(), system.enforcement
    except ServiceNotRunning as error:
        if json_wanted:
            print_json({"running": False, "runtime_dir": error.runtime_dir, "plugins": []})
        raise
    if json_wanted:
        enforced = {"level": enforcement.level, "missing": enforcement.missing}
        facts = {**service_fields(service, runtime_dir), "enforcement": enforced}
        print_json({**facts, "plugins": [info_fields(info) for info in plugins]})
    else:
        _print_status(service, runtime_dir, enforcement, plugins)


def service_fields(service: Service, runtime_dir: str | None) -> dict[str, Any]:
    """Return what is told of a service: neither its key nor the addresses of its actors."""
    return {
        "running": True,
        "pid": service.pid,
        "host_pid": service.host_pid,
        "version": service.version,
        "started_at": service.started_at,
        "uptime_s": round(max(0.0, time.time() - service.started_at), 3),
        "transport": service.structured_settings().system.transport,
        "runtime_dir": str(service_dir(runtime_dir)),
    }


def show_stats(system: PluginSystem, plugins: Sequence[int | str], json_wanted: bool) -> None:
    """Print the counters; a plugin that was named and has none gives the exit code, and hinders no other."""
    infos, unknown = _chosen(system.plugins(), plugins)
    found = [_facts(system, info) for info in infos]
    dispatch = system.dispatch_stats()
    if json_wanted:
        missing = {asked: {"name": None, "error": error_fields(error)} for asked, error in unknown.items()}
        print_json(
            {"plugins": {str(item.info.plugin_id): _fields(item) for item in found} | missing, **_dispatch(dispatch)}
        )
    else:
        _print_stats(found, dispatch)
    if plugins:
        finish([*unknown.values(), *(item.error for item in found if item.error is not None)], json_wanted)


def _chosen(
    known: Sequence[PluginInfo], plugins: Sequence[int | str]
) -> tuple[Iterable[PluginInfo], dict[str, NyxPluginError]]:
    """Return the plugins that are meant, all without a name, and an error for each name that means none."""
    infos = {info.plugin_id: info for info in known}
    if not plugins:
        return known, {}
    chosen: dict[int, PluginInfo] = {}
    unknown: dict[str, NyxPluginError] = {}
    for plugin in plugins:
        try:
            plugin_id = plugin if isinstance(plugin, int) else find_plugin(known, plugin)
        except NyxPluginError as error:
            unknown[str(plugin)] = error
            continue
        if plugin_id in infos:
            chosen[plugin_id] = infos[plugin_id]
        else:
            unknown[str(plugin_id)] = PluginNotRegistered(plugin_id)
    return chosen.values(), unknown


def _facts(system: PluginSystem, info: PluginInfo) -> PluginFacts:
    try:
        return PluginFacts(info, system.plugin_stats(info.plugin_id), None)
    except NyxPluginError as error:
        # One plugin without counters (failed, at rest, unloaded just now) is no reason to show none.
        if exit_code_of(error) == 3:
            raise
        return PluginFacts(info, None, error)


def _fields(item: PluginFacts) -> dict[str, Any]:
    known = stats_fields(item.stats) if item.stats is not None else {"state": item.info.state}
    return {"name": item.info.name, **known, "error": error_fields(item.error)}


def _dispatch(stats: DispatchStats) -> dict[str, Any]:
    return {"dispatch": attrs.asdict(stats)}


def _print_status(
    service: Service, runtime_dir: str | None, enforcement: Enforcement, plugins: Sequence[PluginInfo]
) -> None:
    facts = service_fields(service, runtime_dir)
    console = tables.console()
    click.echo(
        f"nyx-plugins {facts['version']} is running: process {facts['pid']}, up {tables.duration(facts['uptime_s'])},"
        f" transport {facts['transport']}"
    )
    click.echo(f"runtime directory {one_line(facts['runtime_dir'])}")
    click.echo(f"policies are enforced at level {enforcement.level}{': ' if enforcement.missing else ''}", nl=False)
    click.echo("; ".join(enforcement.reasons()) + "\n")
    if not plugins:
        click.echo("No plugins are loaded: 'nyx-plugins load BUNDLE' loads one.")
        return
    console.print(_status_table(plugins))


def _status_table(plugins: Sequence[PluginInfo]) -> Table:
    related = any(info.requires or info.optional for info in plugins)
    made = tables.table(
        *(("id", "right"), "plugin", "version", "state", ("mailbox", "right"), "permissions"),
        *(("depends on", "required by") if related else ()),
    )
    for info in plugins:
        state, permissions = tables.state_cell(info.state), tables.joined(info.permissions)
        relations = (_dependencies(info), tables.joined(info.dependents)) if related else ()
        tables.add(made, str(info.plugin_id), info.name, info.version, state, info.capacity, permissions, *relations)
    return made


def _dependencies(info: PluginInfo) -> str:
    """Name what a plugin requires, and in brackets what it uses if it is there."""
    required = [f"{name} {wanted}" for name, wanted in sorted(info.requires.items())]
    optional = [f"({name} {wanted})" for name, wanted in sorted(info.optional.items())]
    return ", ".join(required + optional) or "-"


def _print_stats(found: Sequence[PluginFacts], dispatch: DispatchStats) -> None:
    if found:
        _print_plugins(found)
        click.echo()
    click.echo(
        f"Dispatcher: {dispatch.plugins_loaded:,} plugins loaded, {dispatch.plugins_unloaded:,} unloaded, "
        f"{dispatch.frames_dispatched:,} frames accepted, {dispatch.dispatch_errors:,} refused{_causes(dispatch)}."
    )


def _print_plugins(found: Sequence[PluginFacts]) -> None:
    """Print a table, or where it does not fit into the terminal, some lines for each plugin."""
    console, made = tables.console(), _stats_table(found)
    if tables.natural_width(made) <= console.width:
        console.print(made)
        return
    for item in found:
        click.echo(f"{described(item.info.plugin_id, item.info.name)}, {_state(item)}")
        for line in _lines(item.stats):
            click.echo(f"  {line}")


def _lines(stats: PluginStats | None) -> Iterable[str]:
    if stats is None:
        return
    accepted, processed, failed, dead, mailbox, denied, restarts, p50, p99 = map(tables.shown, _figures(stats))
    yield f"{accepted} accepted, {processed} processed, {failed} failed, {dead} dead letters,"
    yield f"{mailbox} in mailbox, {denied} denied, {restarts} restarts, p50 {p50}, p99 {p99}"


def _state(item: PluginFacts) -> str:
    return one_line(item.info.state if item.stats is None else item.stats.state)


def _stats_table(found: Sequence[PluginFacts]) -> Table:
    headings = ("accepted", "pro-\ncessed", "failed", "dead\nletters", "in\nmailbox", "denied", "re-\nstarts")
    made = tables.table(("id", "right"), "plugin", "state", *tables.numbers(*headings, "p50", "p99"))
    for item in found:
        name = tables.cell(item.info.name)
        tables.add(made, str(item.info.plugin_id), name, tables.state_cell(_state(item)), *_figures(item.stats))
    return made


def _figures(stats: PluginStats | None) -> list[object]:
    if stats is None:
        return [None] * 9
    times = [tables.seconds(quantile(stats.latency, share)) for share in QUANTILES.values()]
    counters = (stats.accepted, stats.processed, stats.failed, stats.dead_lettered)
    mailbox = f"{stats.in_mailbox:,}/{stats.capacity:,}"
    return [*counters, mailbox, stats.permission_violations, stats.restarts, *times]


def _causes(dispatch: DispatchStats) -> str:
    causes = ", ".join(f"{count:,} {one_line(cause)}" for cause, count in sorted(dispatch.refused.items()) if count)
    return f" ({causes})" if causes else ""
