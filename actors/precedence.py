"""Who goes before whom among the plugins of a roster: loads wait for what they need, and what is needed goes last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs

from ..config.errors import NyxPluginError
from ..plugins.errors import DependencyMissing, DependentsLoaded
from ..plugins.manifest import Manifest
from .dependencies import PluginNode, goes_before, leaving_with, may_start
from .directives import Directive
from .stages import ENDING, LOADING, Stage

if TYPE_CHECKING:
    from .plugin_book import LoadOrder, Plugin

    Plugins = Mapping[int, Plugin]

LEAVING = "draining"
"""The state of what is on its way out, whether that has begun or not."""


def node(plugin: Plugin) -> PluginNode:
    """What others have to know of a plugin whose manifest is known."""
    life = plugin.life
    assert life.manifest is not None
    manifest = life.manifest
    state = life.state if plugin.leaves_by is None else LEAVING
    present = PluginNode(life.plugin_id, manifest.name, manifest.version, state, manifest.requires, manifest.optional)
    return present if plugin.successor is None else _both(present, plugin.successor)


def _both(present: PluginNode, successor: Manifest) -> PluginNode:
    """A plugin in whose place another version is being put: what either needs has to stay, and leads nowhere back."""
    return attrs.evolve(
        present,
        requires=_joined(present.requires, successor.requires),
        optional=_joined(present.optional, successor.optional),
    )


def _joined(one: Mapping[str, str], other: Mapping[str, str]) -> dict[str, str]:
    both = {name: f"{one[name]},{other[name]}".strip(",") for name in one.keys() & other.keys()}
    return {**one, **other, **both}


def others(plugins: Plugins, load_id: int) -> dict[int, PluginNode]:
    """All plugins but this one, by load id, as far as their manifests are known."""
    return {
        other: node(plugin)
        for other, plugin in plugins.items()
        if other != load_id and plugin.life.manifest is not None
    }


# Loading.


def loads_due(plugins: Plugins, room: int) -> list[tuple[int, NyxPluginError | None]]:
    """The loads that wait no longer, each with what refuses it; at most ``room`` without.

    All are judged by the same state of things: of a cycle, each is told.
    """
    verdicts = [
        (load_id, verdict)
        for load_id, plugin in plugins.items()
        if plugin.life.stage is Stage.WAITING and (verdict := _verdict(plugins, load_id, plugin)) is not False
    ]
    refused = [(load_id, error) for load_id, error in verdicts if isinstance(error, NyxPluginError)]
    return [*refused, *[(load_id, None) for load_id, verdict in verdicts if verdict is True][: max(0, room)]]


def _verdict(plugins: Plugins, load_id: int, plugin: Plugin) -> bool | NyxPluginError:
    same_order = [other for other in plugins.values() if other.order is plugin.order]
    reading = any(other.life.stage is Stage.PREPARING for other in same_order)
    known = list(others(plugins, load_id).values())
    try:
        return may_start(node(plugin), known, reading=reading, failed=_failures(plugin.order, same_order))
    except NyxPluginError as error:
        return error


def _failures(order: LoadOrder, plugins: list[Plugin]) -> dict[str, str]:
    """Why plugins of this order, by name, were not loaded."""
    undone = [plugin.life for plugin in plugins if plugin.life.error is not None]
    return order.failed | {life.manifest.name: str(life.error) for life in undone if life.manifest is not None}


# Unloading.


def needed_by(plugins: Plugins, load_id: int) -> list[int]:
    """The loads that can't stay without this one, or without each other."""
    here = {other: found for other, found in others(plugins, load_id).items() if found.state != LEAVING}
    leaving = leaving_with(node(plugins[load_id]), list(here.values()))
    return [other for other, found in here.items() if found in leaving]


def dependents_loaded(plugins: Plugins, load_id: int, needed: list[int]) -> DependentsLoaded:
    """Make the error that names them."""
    nodes = [node(plugins[other]) for other in needed]
    names = {found.plugin_id: found.name for found in sorted(nodes, key=lambda found: found.plugin_id)}
    return DependentsLoaded(plugins[load_id].life.plugin_id, names)


def bereft(plugins: Plugins, load_id: int, going: int) -> list[Directive]:
    """Fail a load for which something goes before it is done."""
    life, gone = plugins[load_id].life, node(plugins[going])
    return life.step_failed(DependencyMissing(life.plugin_id, [f"{gone.name} (it is being unloaded)"]))


def unloads_due(plugins: Plugins) -> list[int]:
    """Those that are to go, and have nobody left that has to go before them."""
    return [load_id for load_id, plugin in plugins.items() if _may_go(plugins, load_id, plugin)]


def _may_go(plugins: Plugins, load_id: int, plugin: Plugin) -> bool:
    if plugin.leaves_by is None or plugin.life.stage in ENDING:
        return False
    if plugin.life.stage in LOADING:
        return True
    going = [other for other in others(plugins, load_id).values() if other.state == LEAVING]
    return not any(goes_before(other, node(plugin)) for other in going)
