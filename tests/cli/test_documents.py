"""docs/commands.md names every command, and every field that programs get."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import click
import pytest
from click.testing import Result

from nyx_plugins import (
    DispatchStats,
    Emitted,
    Event,
    EventKind,
    OutcomeKind,
    PluginInfo,
    PluginStats,
    PluginSystem,
    SwapReport,
)
from nyx_plugins.actors.service_file import Service
from nyx_plugins.cli.facts import service_fields
from nyx_plugins.cli.failure import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_LATE, EXIT_REFUSED, EXIT_STOPPED
from nyx_plugins.cli.fields import emitted_fields, event_fields
from nyx_plugins.cli.main import COMMANDS, TOPICS, cli
from nyx_plugins.config.settings import Settings
from nyx_plugins.service.snapshot import Snapshot

TEXT = (Path(__file__).parents[2] / "docs" / "commands.md").read_text()
Answer = Callable[..., Any]


def fields(name: str) -> set[str]:
    """Return the field names that the document gives an object; what explains them is in parentheses or after a ;."""
    [row] = re.findall(rf"^\| \*{name}\* \| (.*) \|$", TEXT, re.M)
    return set(re.findall(r"`(\w+)`", re.sub(r"\([^()]*\)", "", row.split(";")[0])))


def names(cls: Any) -> set[str]:
    """Return the names of a value's fields."""
    return {field.name for field in attrs.fields(cls)}


def test_every_command_is_in_the_document_and_has_a_topic() -> None:
    """None is forgotten, and the help sorts them all."""
    first = set(re.findall(r"`([a-z-]+)[ `]", TEXT.split("## Which service")[0]))
    assert first - {"nyx"} >= set(COMMANDS)
    assert sorted(name for topic in TOPICS.values() for name in topic) == sorted(COMMANDS)


def all_commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command with its path, those of groups too."""
    with click.Context(group) as ctx:
        for name in group.list_commands(ctx):
            command = group.get_command(ctx, name)
            assert command is not None
            yield (*path, name), command
            if isinstance(command, click.Group):
                yield from all_commands(command, (*path, name))


@pytest.mark.parametrize(
    ("path", "command"), [pytest.param(path, command, id=" ".join(path)) for path, command in all_commands(cli)]
)
def test_every_help_fits_into_a_terminal_and_explains_each_option(
    path: tuple[str, ...], command: click.Command, invoke: Callable[..., Result]
) -> None:
    """Eighty columns are enough, each option has a text and, where it takes a value, says what kind."""
    result = invoke(*path, "--help")
    assert (result.exit_code, result.stderr) == (0, "")
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "<=" not in result.stdout
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help, option.name
            assert option.is_flag or option.metavar or isinstance(option.type, click.Choice), option.name
    assert not command.get_short_help_str(60).endswith("...")


def test_exit_codes_are_those_of_the_document() -> None:
    """Each code has its row."""
    codes = [int(code) for code in re.findall(r"^\| (\d+) \|", TEXT, re.M)]
    assert codes == [0, EXIT_REFUSED, EXIT_FAILED, EXIT_STOPPED, EXIT_LATE, EXIT_INTERRUPTED]


@pytest.mark.parametrize(
    ("name", "value"),
    [("plugin", PluginInfo), ("swap", SwapReport), ("counters", PluginStats), ("dispatcher's counters", DispatchStats)],
)
def test_the_fields_of_values_are_documented(name: str, value: Any) -> None:
    """A field that is added to a value is added to the document."""
    assert fields(name) == names(value)


def test_the_fields_of_a_service_are_documented() -> None:
    """And nothing else of it is told: not its key."""
    service = Service("1", 1, 2, "/run", "secret", "address", 0.0, attrs.asdict(Settings()))
    told = service_fields(service, "/run/nyx")
    assert fields("service") == set(told)
    assert "secret" not in str(told)


def test_the_fields_of_events_are_documented() -> None:
    """With their kinds."""
    assert fields("event") == {"time", *event_fields(Event(EventKind.READY, 1))}
    assert fields("emitted frame") - {"emitted"} == {"time", *emitted_fields(Emitted(1, 0x52, 0, b""))}
    [kinds] = re.findall(r"Kinds of events are (.*?)\.", TEXT, re.S)
    assert set(re.findall(r"`(\w+)`", kinds)) == set(EventKind)


def test_the_fields_of_frames_are_documented(driven: PluginSystem, answer: Answer) -> None:
    """What became of them, and what was replied."""
    driven.load("builtin:echo")
    sent = answer("dispatch", "echo", "--wait")
    assert fields("sending") == set(sent)
    assert set(sent["outcomes"]) == set(OutcomeKind)
    assert fields("outcome") | fields("reply") == set(sent["last_outcome"])
    assert {"plugin_id", "frame_type"} | fields("reply") == set(answer("request", "echo"))
    assert fields("latency") == set(answer("stats")["plugins"]["1002"]["latency"])
    assert fields("error") == set(answer("dispatch", "9", code=1)["error"])


def test_the_fields_of_a_look_are_documented() -> None:
    """What ``top`` prints for programs."""
    [row] = re.findall(r"^\| `top` \| one look: (.*) \|$", TEXT, re.M)
    assert set(re.findall(r"`(\w+)`", row)) == names(Snapshot) | {"stats", "rates", "usage"}
