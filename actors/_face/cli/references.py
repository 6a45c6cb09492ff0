"""How plugins are named on the command line: by id or by name, completed from the running service."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from ..config.errors import NyxPluginError
from . import connecting
from .failure import one_line
from .values import ParamType

if TYPE_CHECKING:
    from ..actors.system import PluginInfo, PluginSystem

MAX_ID = 2**32 - 1
STATUS = "'nyx-plugins status' lists them"


class UnknownPlugin(NyxPluginError, LookupError):
    """No plugin of the service has this name. Load one, or correct the name; ``status`` lists them."""

    def __init__(self, name: str, known: Iterable[str], where: str = STATUS) -> None:
        self.name = name
        close = get_close_matches(name, sorted(set(known)))
        hint = f"did you mean {' or '.join(map(repr, close))}?" if close else where
        super().__init__(f"no plugin is called {name!r} ({hint})")


class AmbiguousName(NyxPluginError, ValueError):
    """Several plugins have this name. Use the id of the one that is meant: one of ``ids``."""

    def __init__(self, name: str, ids: Sequence[int]) -> None:
        self.name = name
        self.ids = tuple(ids)
        super().__init__(f"{len(ids)} plugins are called {name!r}: use one of the ids {', '.join(map(str, ids))}")


class PluginName(ParamType):
    """An id, 0 to 4294967295, or a name."""

    name = "plugin"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        """Return an id as a number and a name as it is."""
        text = str(value)
        if not text.isdecimal():
            return text or self.fail("a plugin's id or name must not be empty", param, ctx)
        if (number := int(text[:20])) > MAX_ID:
            self.fail(f"a plugin's id is 0 to {MAX_ID:,}, not {text[:40]}", param, ctx)
        return number

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Offer the ids and names of the running service; nothing when none is running."""
        runtime_dir, config = ctx.params.get("runtime_dir"), ctx.params.get("config")
        try:
            place = connecting.place(runtime_dir, config if isinstance(config, str) else None)
            with connecting.connection(place) as system:
                return list(_offers(system.plugins(), incomplete))
        except (NyxPluginError, OSError):
            return []


def resolve(system: PluginSystem, plugin: int | str) -> int:
    """Return the id of one plugin; raises :class:`UnknownPlugin` and :class:`AmbiguousName` for a name."""
    if isinstance(plugin, int):
        return plugin
    return find(system.plugins(), plugin)


def find(plugins: Sequence[PluginInfo], name: str) -> int:
    """Return the id of the only plugin with this name; raises :class:`UnknownPlugin` and :class:`AmbiguousName`."""
    return only(name, [(info.plugin_id, info.name) for info in plugins])


def only(name: str, plugins: Sequence[tuple[int, str]], where: str = STATUS) -> int:
    """Return the only id that comes with this name, as `find` does; ``where`` says what tells of others."""
    ids = [plugin_id for plugin_id, its_name in plugins if its_name == name]
    if not ids:
        raise UnknownPlugin(name, [its_name for _, its_name in plugins], where)
    if len(ids) > 1:
        raise AmbiguousName(name, ids)
    return ids[0]


def _offers(plugins: Iterable[PluginInfo], incomplete: str) -> Iterable[CompletionItem]:
    for info in plugins:
        name = one_line(info.name)
        # Names are offered to who has begun to type one: two words for each plugin would be too many.
        if incomplete and info.name.startswith(incomplete):
            yield CompletionItem(name, help=f"id {info.plugin_id}, {info.state}")
        elif str(info.plugin_id).startswith(incomplete):
            yield CompletionItem(str(info.plugin_id), help=f"{name}, {info.state}")
