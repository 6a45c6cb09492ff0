"""The result of a replay as JSON and as tables."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from nyx_plugins import DispatchStats, PluginStats
from nyx_plugins.actors.latency import LatencyHistogram
from nyx_plugins.cli.replay import Replayed
from nyx_plugins.cli.report import SHOWN_CLOSES, PluginReport, Report, as_json, print_report

STATS = PluginStats(9, 2, 12_345, 3, 11, 7, 2, 1, 1, 5, 100, 0, 4096, 1, "ready", LatencyHistogram(), 11, 12)


def report(closes: int = 1, refused: dict[str, int] | None = None) -> Report:
    """A report with one plugin."""
    owed = tuple(b"\0\x07" + number.to_bytes(4, "big") for number in range(closes))
    replayed = Replayed(20, 2, 11, {"frame_error": 7} if refused is None else refused, owed)
    return Report(replayed, (PluginReport(7, "seven", STATS),), DispatchStats(1, 0, 11, 7, {"FrameError": 7}), 0.5)


def printed(shown: Report, width: int = 80) -> str:
    """What a console of this width shows."""
    output = io.StringIO()
    print_report(shown, Console(file=output, width=width))
    return output.getvalue()


def test_json_has_the_names_of_the_reference() -> None:
    """Counters are named as in the reference, plugins are keyed by id, a CLOSE is taken apart."""
    found = as_json(report(closes=2))
    assert (found["stream_frames"], found["not_plugin_frames"], found["plugin_frames"]) == (20, 2, 18)
    assert (found["accepted"], found["refused"], found["dispatch_errors"]) == (11, {"frame_error": 7}, 7)
    assert found["close_owed"] == [{"code": 7, "id": 0}, {"code": 7, "id": 1}]
    seven = found["plugins"]["7"]
    assert [seven[key] for key in ("name", "messages_processed", "errors", "bytes_processed")] == ["seven", 9, 2, 12345]
    assert seven["permission_violations"] == 3


def test_tables_hold_every_figure() -> None:
    """Outcomes by plugin, refusals by cause and CLOSEs are there."""
    text = printed(report())
    for figure in ("seven", "12,345", "frame_error", "0x07", "11 accepted, 7 refused"):
        assert figure in text


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_no_line_of_a_table_is_cut(width: int) -> None:
    """On a narrow terminal columns fold; nothing is replaced by dots."""
    assert "…" not in printed(report(), width)


def test_only_so_many_closes_are_shown() -> None:
    """A capture may owe a great many; the table says how many more there are."""
    assert f"and {10_000 - SHOWN_CLOSES:,} more" in printed(report(closes=10_000))


def test_what_did_not_happen_has_no_table() -> None:
    """Without refusals and CLOSEs there is no table of them."""
    text = printed(report(closes=0, refused={}))
    assert "Refused frames" not in text and "CLOSEs" not in text
