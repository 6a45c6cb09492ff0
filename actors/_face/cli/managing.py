"""What ``load``, ``unload``, ``pause``, ``resume``, ``reset``, ``grant`` and ``revoke`` do, and what they print."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import attrs
import click

from ..actors.arguments import checked_permission
from ..actors.system import PluginInfo, PluginSystem
from ..config.errors import ConfigError, NyxPluginError
from ..config.settings import PluginSettings
from ..plugins.errors import BundleError
from ..plugins.permissions import known_permissions
from .failure import Failure, exit_code_of, failure_of, one_line
from .fields import error_fields, info_fields, print_json
from .references import find, resolve


@attrs.frozen
class Done:
    """What became of one plugin of a command; ``error`` is ``None`` when it was done."""

    asked: int | str
    plugin_id: int | None
    name: str
    error: NyxPluginError | None = None


def load_bundles(
    system: PluginSystem,
    bundles: Sequence[str],
    json_wanted: bool,
    *,
    plugin_id: int | None,
    capacity: int | None,
    capacity_bytes: int | None,
    permissions: Sequence[str],
    items: Sequence[tuple[str, Any]],
    table: dict[str, Any] | None,
    instances: int | None,
    require_handshake: bool | None,
    durability: str | None,
) -> None:
    """Load all at the same time and print one result for each."""
    config = {**(table or {}), **dict(items)}
    options = (plugin_id, capacity, capacity_bytes, tuple(permissions) or None, config)
    _check_permissions(system, permissions)
    more = {"instances": instances, "require_handshake": require_handshake, "durability": durability}
    results = _load_each(system, [_wanted(bundle, options, more) for bundle in bundles])
    if json_wanted:
        print_json([_load_fields(*pair) for pair in zip(bundles, results, strict=True)])
    for info in results if not json_wanted else ():
        if isinstance(info, PluginInfo):
            click.echo(f"loaded {described(info.plugin_id, info.name)} {one_line(info.version)}")
    finish([item for item in results if isinstance(item, NyxPluginError)], json_wanted)


def _check_permissions(system: PluginSystem, permissions: Sequence[str]) -> None:
    """Refuse, before anything is done, what the service does not know."""
    known = known_permissions(system.settings.frame_types)
    try:
        for permission in permissions:
            checked_permission(permission, known)
    except ValueError as error:
        raise Failure(str(error)) from None


def _wanted(bundle: str, options: tuple[Any, ...], more: dict[str, Any]) -> PluginSettings | BundleError:
    """What to load; an error where ``bundle`` is no path. What is wrong with the options is a :class:`Failure`."""
    try:
        return PluginSettings(bundle, *options, **more)
    except ConfigError as error:
        others = [str(fault) for fault in error.faults if fault.key != "bundle"]
        if others:
            raise Failure("; ".join(others)) from None
        return BundleError(bundle or "''", error.faults[0].reason)


def _load_each(
    system: PluginSystem, wanted: Sequence[PluginSettings | BundleError]
) -> list[PluginInfo | NyxPluginError]:
    """Load all that can be, at the same time; the results are in the order of what was wanted."""
    loaded = iter(system.load_many([item for item in wanted if isinstance(item, PluginSettings)]))
    return [item if isinstance(item, BundleError) else next(loaded) for item in wanted]


def for_each(
    system: PluginSystem,
    plugins: Iterable[int | str],
    past: str,
    act: Callable[[int], None],
    json_wanted: bool,
) -> None:
    """Do something to each plugin in turn, and print what became of it: one that fails hinders no other."""
    known = system.plugins()
    _tell([_try(known, plugin, act) for plugin in dict.fromkeys(plugins)], past, json_wanted)


def _tell(results: Sequence[Done], past: str, json_wanted: bool) -> None:
    if json_wanted:
        print_json([_done_fields(result) for result in results])
    for result in results if not json_wanted else ():
        if result.error is None and result.plugin_id is not None:
            click.echo(f"{past} {described(result.plugin_id, result.name)}")
    finish([result.error for result in results if result.error is not None], json_wanted)


def unload_each(
    system: PluginSystem, plugins: Iterable[int | str], timeout: float | None, cascade: bool, json_wanted: bool
) -> None:
    """Unload each in turn, and print all that went, those first that went because they required another."""
    known = system.plugins()
    results: list[Done] = []
    for plugin in dict.fromkeys(plugins):
        result = _try(known, plugin, lambda plugin_id: system.unload(plugin_id, timeout, cascade=cascade))
        if result.error is None and cascade:
            here = {*(info.plugin_id for info in system.plugins()), result.plugin_id}
            results += _gone(known, here, results)
        if not any(done.error is None and done.plugin_id == result.plugin_id for done in results):
            results.append(result)
    _tell(results, "unloaded", json_wanted)


def _gone(known: Iterable[PluginInfo], others: set[int | None], told: Iterable[Done]) -> list[Done]:
    there: set[int | None] = others | {done.plugin_id for done in told}
    return [Done(info.plugin_id, info.plugin_id, info.name) for info in known if info.plugin_id not in there]


def change_permissions(
    system: PluginSystem,
    plugin: int | str,
    permissions: Sequence[str],
    change: Callable[[int, str], None],
    json_wanted: bool,
) -> None:
    """Grant or revoke each, and print the permissions that the plugin has now."""
    _check_permissions(system, permissions)
    plugin_id = resolve(system, plugin)
    for permission in permissions:
        change(plugin_id, permission)
    info = system.plugin_info(plugin_id)
    if json_wanted:
        print_json(info_fields(info))
    else:
        now = ", ".join(sorted(info.permissions)) or "no permission"
        click.echo(f"{described(plugin_id, info.name)} now has {now}")


SYSTEM = "the system"
"""Whom an event concerns that is no plugin's."""


def described(plugin_id: int, name: str) -> str:
    """Name a plugin to people."""
    return f"{one_line(name)} ({plugin_id})" if name else f"plugin {plugin_id}"


def _try(known: Sequence[PluginInfo], plugin: int | str, act: Callable[[int], None]) -> Done:
    names = {info.plugin_id: info.name for info in known}
    plugin_id = plugin if isinstance(plugin, int) else None
    try:
        plugin_id = plugin if isinstance(plugin, int) else find(known, plugin)
        act(plugin_id)
    except NyxPluginError as error:
        # One that is gone, or late, is as well for those that follow.
        if exit_code_of(error) == 3:
            raise
        return Done(plugin, plugin_id, "" if plugin_id is None else names.get(plugin_id, ""), error)
    return Done(plugin, plugin_id, names.get(plugin_id, ""))


def _load_fields(bundle: str, result: PluginInfo | NyxPluginError) -> dict[str, Any]:
    if isinstance(result, PluginInfo):
        return {"bundle": bundle, "plugin": info_fields(result), "error": None}
    return {"bundle": bundle, "plugin": None, "error": error_fields(result)}


def _done_fields(result: Done) -> dict[str, Any]:
    return {"plugin_id": result.plugin_id, "name": result.name or None, "error": error_fields(result.error)}


def finish(errors: Sequence[NyxPluginError], json_wanted: bool) -> None:
    """Say what failed, one sentence each, and end with the exit code of the first."""
    if not errors:
        return
    if not json_wanted:
        for error in errors:
            failure_of(error).show()
    click.get_current_context().exit(exit_code_of(errors[0]))
