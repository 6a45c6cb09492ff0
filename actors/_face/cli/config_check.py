"""All that is wrong with a configuration: its keys, the environment's, and the bundles that it names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import attrs
import click

from ..actors.arguments import load_spec
from ..config.errors import ConfigError, DocumentError, Fault
from ..config.lines import line_of
from ..config.loading import lines_of_file, load_settings
from ..config.settings import PluginSettings, Settings
from ..plugins.bundle import read_manifest
from ..plugins.errors import BundleError, KeyUnusable
from ..plugins.keys import public_keys
from ..plugins.manifest import Manifest
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
    """Read all that would be read before anything is started."""
    try:
        settings = load_settings(file)
    except ConfigError as error:
        return [], list(error.faults)
    planned: list[Planned] = []
    faults = [*_token_faults(settings), *_key_faults(settings)]
    for number, plugin in enumerate(settings.plugins):
        try:
            load_spec(plugin, number)
            item = Planned(f"plugins[{number}]", plugin, read_manifest(plugin.bundle))
        except ConfigError as error:
            faults += error.faults
        except DocumentError as error:
            faults += [Fault(f"plugins[{number}].bundle", f"{error.source}: {fault}") for fault in error.faults]
        except BundleError as error:
            faults.append(Fault(f"plugins[{number}].bundle", str(error)))
        else:
            faults += _plugin_faults(item, planned, settings)
            planned.append(item)
    return planned, faults


def _plugin_faults(item: Planned, others: list[Planned], settings: Settings) -> Iterator[Fault]:
    for other in others:
        if other.plugin_id == item.plugin_id:
            yield Fault(item.place, f"must have an id of its own, not {item.plugin_id} of {other.place}")
    policy = decide(item.manifest.sandbox, settings.ceiling, override=item.plugin.sandbox)
    if isinstance(policy, tuple):
        for reason in policy:
            yield Fault(f"{item.place}.bundle", f"asks for more than the ceiling allows: {reason}")


def _key_faults(settings: Settings) -> Iterator[Fault]:
    for number, item in enumerate(settings.ceiling.trusted_keys):
        try:
            public_keys([item])
        except KeyUnusable as error:
            yield Fault(f"ceiling.trusted_keys[{number}]", str(error))


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
