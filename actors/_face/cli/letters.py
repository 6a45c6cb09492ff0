"""What ``dead-letters`` does, and what it prints."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import attrs
import click

from ..actors.dead_letter_info import DeadLetterContent, DeadLetterInfo, Redelivery
from ..actors.system import PluginSystem
from ..plugins.errors import FrameError, PluginNotRegistered
from . import tables
from .data import cbor_value, readable
from .dead_letters import MAX_LIMIT
from .failure import one_line
from .fields import data_fields, error_fields, print_json
from .managing import finish
from .references import only


def show_list(system: PluginSystem, plugin: int | str | None, after: int, limit: int, json_wanted: bool) -> None:
    """Print a table, or say that there are none."""
    plugin_id = None if plugin is None else _resolve(system, plugin)
    found = system.dead_letters(plugin_id, after=after, limit=limit)
    if json_wanted:
        print_json([attrs.asdict(info) for info in found])
    elif not found:
        click.echo("There are no dead letters.")
    else:
        _print_table(found)


def show_one(system: PluginSystem, plugin: int | str, letter: int, json_wanted: bool) -> None:
    """Print all that is known of one."""
    content = system.dead_letter(_resolve(system, plugin), letter)
    if json_wanted:
        print_json(_content_fields(content))
        return
    click.echo(f"dead letter {content.letter_id} of {one_line(content.plugin)} ({content.plugin_id})")
    click.echo(f"  since       {_when(content)}")
    click.echo(f"  reason      {one_line(content.reason)}")
    click.echo(f"  deliveries  {content.deliveries}")
    click.echo(f"  frame type  0x{content.frame_type:02x}, {content.header_bytes:,} bytes of header")
    data = _data(content)
    click.echo("  no data: the header can't be read" if data is None else readable(data))


def redeliver_some(
    system: PluginSystem, plugin: int | str, ids: Sequence[int] | None, timeout: float | None, json_wanted: bool
) -> None:
    """Print how many were accepted, and why others stay."""
    plugin_id = _resolve(system, plugin)
    result = system.redeliver(plugin_id, ids, timeout)
    if not result.accepted and not result.left and not result.gone:
        _check_registered(system, plugin_id)
    if json_wanted:
        left = [{"letter_id": letter_id, "error": error_fields(error)} for letter_id, error in result.left.items()]
        accepted, gone = list(result.accepted), list(result.gone)
        print_json({"plugin_id": plugin_id, "accepted": accepted, "left": left, "gone": gone})
    else:
        click.echo(_redelivered(plugin_id, result))
    # Most often they stay for the same reason.
    finish([*{str(error): error for error in result.left.values()}.values()], json_wanted)


def drop_some(system: PluginSystem, plugin: int | str, ids: Sequence[int] | None, json_wanted: bool) -> None:
    """Print how many were removed."""
    plugin_id = _resolve(system, plugin)
    dropped = system.drop_dead_letters(plugin_id, _all_of(system, plugin_id, plugin) if ids is None else ids)
    if not dropped:
        _check_registered(system, plugin_id)
    if json_wanted:
        print_json({"plugin_id": plugin_id, "dropped": dropped})
    else:
        click.echo(f"dropped {_letters(dropped)} of plugin {plugin_id}")


def _resolve(system: PluginSystem, plugin: int | str) -> int:
    """Return the id of a plugin, which dead letters tell of a name where there is no such plugin any more.

    Raises :class:`UnknownPlugin` and :class:`AmbiguousName`.
    """
    if isinstance(plugin, int):
        return plugin
    present = [(info.plugin_id, info.name) for info in system.plugins()]
    if any(name == plugin for _, name in present):
        return only(plugin, present)
    gone = {(info.plugin_id, info.plugin) for info in system.dead_letters(limit=MAX_LIMIT)}
    return only(plugin, [*present, *sorted(gone)], "'nyx-plugins status' and 'nyx-plugins dead-letters list' tell")


def _all_of(system: PluginSystem, plugin_id: int, plugin: int | str) -> Sequence[int] | None:
    """The numbers of all of a plugin: those of others that had its id are none of its, where it is called by name."""
    if isinstance(plugin, int):
        return None
    letters = system.dead_letters(plugin_id, limit=MAX_LIMIT)
    its_own = [info.letter_id for info in letters if info.plugin == plugin]
    return its_own if len(its_own) < len(letters) else None


def _check_registered(system: PluginSystem, plugin_id: int) -> None:
    """Raise :class:`PluginNotRegistered` where there is no such plugin: one without dead letters may be misspelt."""
    if all(info.plugin_id != plugin_id for info in system.plugins()):
        raise PluginNotRegistered(plugin_id)


def _redelivered(plugin_id: int, result: Redelivery) -> str:
    stay = f"{len(result.left):,} {'stays' if len(result.left) == 1 else 'stay'}"
    gone = f", {len(result.gone):,} {'was' if len(result.gone) == 1 else 'were'} gone by then" if result.gone else ""
    return f"redelivered {_letters(len(result.accepted))} of plugin {plugin_id}, {stay}{gone}"


def _letters(count: int) -> str:
    return "1 dead letter" if count == 1 else f"{count:,} dead letters"


def _print_table(found: Sequence[DeadLetterInfo]) -> None:
    made = tables.table(("id", "right"), "plugin", ("letter", "right"), "since", "type", ("bytes", "right"), "reason")
    for info in found:
        letter, frame_type = str(info.letter_id), f"0x{info.frame_type:02x}"
        facts = (_when(info), frame_type, info.header_bytes, info.reason)
        tables.add(made, str(info.plugin_id), info.plugin, letter, *facts)
    tables.console().print(made)


def _when(info: DeadLetterInfo) -> str:
    return datetime.fromtimestamp(info.at, UTC).isoformat(sep=" ", timespec="seconds").removesuffix("+00:00") + " UTC"


def _data(content: DeadLetterContent) -> bytes | None:
    try:
        return content.data
    except FrameError:
        return None


def _content_fields(content: DeadLetterContent) -> dict[str, Any]:
    facts = {field.name: getattr(content, field.name) for field in attrs.fields(DeadLetterInfo)}
    data = _data(content)
    if data is None:
        return {**facts, "header_hex": content.header.hex(), "data_hex": None, "data_text": None, "data_cbor": None}
    value = cbor_value(data)
    return {
        **facts,
        "header_hex": content.header.hex(),
        **data_fields(data),
        "data_cbor": None if value is None else value[0],
    }
