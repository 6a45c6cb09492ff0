"""``stats`` and ``status`` on a system of this process, and how their figures are written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from click.testing import Result

from nyx_plugins import PluginHeader, PluginNotLoaded, PluginStats, PluginSystem
from nyx_plugins.cli.tables import cell, console, duration, joined, seconds, shown, size

Invoke = Callable[..., Result]
Answer = Callable[..., Any]


def header(plugin_id: int) -> PluginHeader:
    """Return the header of some frame."""
    return PluginHeader(plugin_id, 0, b"data")


def test_every_counter_is_told_under_its_own_name(driven: PluginSystem, answer: Answer) -> None:
    """Programs get the fields of PluginStats and DispatchStats, and the quantiles of the latency."""
    driven.load("builtin:echo")
    driven.request(0x52, header(1002))
    found = answer("stats")
    echo = found["plugins"]["1002"]
    assert set(echo) == {"name", "error", *(field.name for field in attrs.fields(PluginStats))}
    assert (echo["name"], echo["accepted"], echo["processed"], echo["error"]) == ("echo", 1, 1, None)
    assert set(echo["latency"]) == {"bounds", "counts", "sum_s", "count", "p50_s", "p99_s"}
    assert echo["latency"]["count"] == 1 and echo["latency"]["p50_s"] in echo["latency"]["bounds"]
    assert found["dispatch"]["frames_dispatched"] == 1


def test_a_table_has_a_row_for_each_plugin(driven: PluginSystem, invoke: Invoke) -> None:
    """People see the figures by their headings, and what the dispatcher refused and why."""
    driven.load("builtin:echo")
    driven.load("builtin:kv")
    driven.dispatch_many([(0x52, header(9)), (0x52, header(1002))])
    result = invoke("stats")
    assert (result.exit_code, result.stderr) == (0, "")
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["1002", "echo", "ready", "1", "1", "0", "0", "0/100", "0", "0"] in [row[:10] for row in rows]
    assert ["1003", "kv", "ready", "0", "0", "0", "0", "0/100", "0", "0", "-", "-"] in rows
    assert "1 frames accepted, 1 refused (1 PluginNotRegistered)" in result.stdout


def test_some_plugins_can_be_asked_for(driven: PluginSystem, answer: Answer, invoke: Invoke) -> None:
    """By id or name, in the order of the arguments."""
    for bundle in ("builtin:echo", "builtin:kv", "builtin:wordcount"):
        driven.load(bundle)
    assert list(answer("stats", "kv", "1001", "1003")["plugins"]) == ["1003", "1001"]


def test_a_plugin_that_is_not_there_hinders_no_other(driven: PluginSystem, answer: Answer, invoke: Invoke) -> None:
    """Each that was asked for in vain is a sentence, or an error under what it was called."""
    driven.load("builtin:kv")
    result = invoke("stats", "9", "nosuch", "kv")
    assert result.exit_code == 1 and " kv " in result.stdout
    assert result.stderr.splitlines() == [
        "Error: plugin 9 is not registered",
        "Error: no plugin is called 'nosuch' ('nyx-plugins status' lists them)",
    ]
    plugins = answer("stats", "9", "nosuch", "kv", code=1)["plugins"]
    assert list(plugins) == ["1003", "9", "nosuch"]
    assert {name: (item["error"] or {}).get("type") for name, item in plugins.items()} == {
        "1003": None,
        "9": "PluginNotRegistered",
        "nosuch": "UnknownPlugin",
    }


def test_a_plugin_at_rest_has_no_counters(
    driven: PluginSystem, answer: Answer, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in the table all the same; asked for by name, it is one sentence and exit code 1."""

    def at_rest(plugin_id: int) -> PluginStats:
        raise PluginNotLoaded(plugin_id, "registered")

    driven.load("builtin:echo")
    monkeypatch.setattr(driven, "plugin_stats", at_rest)
    result = invoke("stats")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines()[-3].split() == ["1002", "echo", "ready", *"-" * 9]
    assert answer("stats")["plugins"]["1002"] == {
        "name": "echo",
        "state": "ready",
        "error": {"type": "PluginNotLoaded", "text": "plugin 1002 is not loaded: its state is 'registered'"},
    }
    result = invoke("stats", "echo")
    assert (result.exit_code, result.stderr) == (1, "Error: plugin 1002 is not loaded: its state is 'registered'\n")


def test_a_system_without_plugins_has_a_dispatcher(driven: PluginSystem, invoke: Invoke) -> None:
    """There is no empty table."""
    assert invoke("stats").stdout == "Dispatcher: 0 plugins loaded, 0 unloaded, 0 frames accepted, 0 refused.\n"


def test_without_a_service_status_says_so(tmp_path: Path, invoke: Invoke) -> None:
    """One sentence and exit code 3; programs get an object all the same."""
    place = ("--runtime-dir", tmp_path / "nowhere")
    result = invoke("status", *place)
    sentence = f"Error: no service is running in {tmp_path / 'nowhere'}: start one with 'nyx-plugins serve'\n"
    assert (result.exit_code, result.stdout, result.stderr) == (3, "", sentence)
    result = invoke("status", *place, "--json")
    assert (result.exit_code, result.stderr) == (3, sentence)
    assert '"running": false' in result.stdout


def test_a_configuration_names_the_runtime_directory(tmp_path: Path, invoke: Invoke, config: Any) -> None:
    """The option goes before it, and a wrong one is found before any service is looked for."""
    path = config('[system]\nruntime_dir = "below"\n')
    assert f"in {tmp_path}/below:" in invoke("status", "--config", path).stderr
    assert f"in {tmp_path}/other:" in invoke("status", "--config", path, "--runtime-dir", tmp_path / "other").stderr
    result = invoke("status", "--config", config("[sytem]\n"))
    assert result.exit_code == 2 and "did you mean 'system'?" in result.stderr


def test_a_configuration_that_is_named_is_read(tmp_path: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the runtime directory is known without it; a misspelt variable is told likewise."""
    monkeypatch.setenv("NYX_PLUGINS_RUNTIME_DIR", str(tmp_path))
    result = invoke("status", "--config", tmp_path / "missing.toml")
    assert result.exit_code == 2 and "missing.toml: can't be read" in result.stderr
    monkeypatch.setenv("NYX_PLUGINS_LIMITS_EVENT_QUEU", "1")
    result = invoke("status", "--runtime-dir", tmp_path)
    assert result.exit_code == 2 and "did you mean NYX_PLUGINS_LIMITS_EVENT_QUEUE?" in result.stderr


# Figures.


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0.00025, "250 µs"),
        (0.0025, "2.5 ms"),
        (0.9996, "1 s"),
        (0.00099999, "1 ms"),
        (1.0, "1 s"),
        (60.0, "60 s"),
        (3600.0, "1h 00m"),
    ],
)
def test_a_short_time_has_the_unit_that_suits_it(value: float | None, text: str) -> None:
    """Three digits are enough."""
    assert seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0s"), (59.9, "59s"), (366, "6m 06s"), (3660, "1h 01m"), (90_000, "1d 1h")]
)
def test_a_long_time_has_two_units(value: float, text: str) -> None:
    """The two largest."""
    assert duration(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0, "0 B"),
        (999, "999 B"),
        (1023, "1.0 KiB"),
        (14 * 2**20, "14.0 MiB"),
        (512 * 2**30, "512 GiB"),
        (2**52, "4,096.0 TiB"),
    ],
)
def test_a_size_has_the_unit_that_suits_it(value: float | None, text: str) -> None:
    """Multiples of 1024."""
    assert size(value) == text


def test_cells_are_plain() -> None:
    """Nothing in a table is markup, or moves the cursor; no list is a dash."""
    assert cell("[red]a\n\x1b[2J").plain == r"[red]a \x1b[2J"
    assert (joined(()), joined({"b", "a"}), shown(None), shown(1234567), shown(True)) == (
        "-",
        "a, b",
        "-",
        "1,234,567",
        "True",
    )


def test_what_is_no_terminal_has_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables in files and pipes are not cut to eighty columns."""
    monkeypatch.setenv("COLUMNS", "80")
    assert console().width >= 200
