"""All that is wrong with a configuration: its keys, the environment's, and the bundles that it names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import attrs
import click

from ..actors.arguments import load_spec
from ..actors.questions import NEEDS_STATE_DIR
from ..config.errors import ConfigError, DocumentError, Fault
from ..config.lines import line_of
from ..config.loading import lines_of_file
from ..config.partial import PartialPlugin, PartialSettings, load_partly
from ..config.settings import PluginSettings, Settings
from ..plugins.bundle import read_manifest
from ..plugins.errors import BundleError, KeyUnusable
from ..plugins.keys import public_keys
from ..plugins.manifest import Manifest
from ..plugins.permissions import known_permissions
from ..plugins.policy import decide
from .failure import one_line


@attrs.frozen
class Planned:
    """A plugin that would be loaded: where the configuration names it, and what it is."""

    place: str
    plugin: PluginSettings
    manifest: Manifest

    @property
    def plugin_id(self) -> int:
        """The id that it would have."""
        return self.manifest.id if self.plugin.id is None else self.plugin.id


def run_check(file: str) -> bool:
    """Print what would be loaded, or every fault; returns whether there is none."""
    planned, faults = check_configuration(file)
    if faults:
        _print_faults(file, faults)
        return False
    click.echo(one_line(f"{file} is valid."))
    click.echo(f"It loads {_counted(len(planned), 'plugin')}{':' if planned else '.'}")
    for item in planned:
        what = f"{item.plugin_id} {item.manifest.name} {item.manifest.version} ({item.plugin.bundle})"
        click.echo(f"  {one_line(what)}")
    return True


def check_configuration(file: str) -> tuple[list[Planned], list[Fault]]:
    """Read all that would be read before anything is started, as far as faults let it be known."""
    found = load_partly(file)
    planned: list[Planned] = []
    faults = [*found.faults, *_token_faults(found.settings), *_key_faults(found.settings), *_durability_faults(found)]
    for plugin in found.plugins:
        known = known_permissions(found.settings.frame_types)
        faults += _entry_faults(plugin, known)
        manifest, more = _manifest_of(plugin, known)
        faults += more
        # Of one that is known in part only, neither the id nor what it asks for is certain.
        if manifest is not None and plugin.is_whole:
            item = Planned(f"plugins[{plugin.number}]", plugin.settings, manifest)
            faults += [*_id_faults(item, planned), *(_ceiling_faults(item, found) if "ceiling" in found.whole else ())]
            planned.append(item)
    return planned, faults


def _entry_faults(plugin: PartialPlugin, permissions: frozenset[str]) -> Sequence[Fault]:
    try:
        load_spec(plugin.settings, plugin.number, permissions)
    except ConfigError as error:
        return error.faults
    return ()


def _manifest_of(plugin: PartialPlugin, permissions: frozenset[str]) -> tuple[Manifest | None, list[Fault]]:
    place = f"plugins[{plugin.number}].bundle"
    try:
        return read_manifest(plugin.settings.bundle, permissions), []
    except DocumentError as error:
        return None, [Fault(place, f"{error.source}: {fault}") for fault in error.faults]
    except BundleError as error:
        return None, [Fault(place, str(error))]


def _id_faults(item: Planned, others: Iterable[Planned]) -> Iterator[Fault]:
    for other in others:
        is_told = item.plugin.id is not None and other.plugin.id is not None
        if other.plugin_id == item.plugin_id and not is_told:
            yield Fault(item.place, f"must have an id of its own, not {item.plugin_id} of {other.place}")


def _ceiling_faults(item: Planned, found: PartialSettings) -> Iterator[Fault]:
    policy = decide(item.manifest.sandbox, found.settings.ceiling, override=item.plugin.sandbox)
    for reason in policy if isinstance(policy, tuple) else ():
        yield Fault(f"{item.place}.bundle", f"asks for more than the ceiling allows: {reason}")


def _key_faults(settings: Settings) -> Iterator[Fault]:
    for number, item in enumerate(settings.ceiling.trusted_keys):
        try:
            public_keys([item])
        except KeyUnusable as error:
            yield Fault(f"ceiling.trusted_keys[{number}]", str(error))


def _durability_faults(found: PartialSettings) -> Iterator[Fault]:
    if "system" not in found.whole or found.settings.system.state_dir:
        return
    if "limits" in found.whole and found.settings.limits.durability == "disk":
        yield Fault("limits.durability", NEEDS_STATE_DIR)
    for plugin in found.plugins:
        if plugin.settings.durability == "disk":
            yield Fault(f"plugins[{plugin.number}].durability", NEEDS_STATE_DIR)


def _token_faults(settings: Settings) -> Iterator[Fault]:
    path = settings.service.dashboard_token_file
    if path and not os.access(path, os.R_OK):
        reason = f"{path} can't be read" if Path(path).exists() else f"there is no {path}"
        yield Fault("service.dashboard_token_file", reason)


def _print_faults(file: str, faults: list[Fault]) -> None:
    lines = lines_of_file(file)
    click.echo(one_line(f"Error: {file} has {_counted(len(faults), 'fault')}:"), err=True)
    for fault in faults:
        line = line_of(fault.key, lines)
        click.echo(f"  {one_line(f'{fault} (line {line})' if line else str(fault))}", err=True)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count or 'no'} {noun}s"
