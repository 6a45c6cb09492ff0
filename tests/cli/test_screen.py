"""What ``top`` draws: pictures of any size, made without a system."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from nyx_plugins import DispatchStats, PluginInfo, PluginStats
from nyx_plugins.actors.latency import BOUNDS, LatencyHistogram
from nyx_plugins.cli.columns import mailbox_bar, rate, sort
from nyx_plugins.cli.screen import EventLine, draw, table_alone
from nyx_plugins.cli.view import View
from nyx_plugins.service.snapshot import PluginSample, ProcessSample, Rates, Snapshot, Usage

MIB = 1 << 20
LATENCY = LatencyHistogram(BOUNDS, (0, 0, 99, 0, 1, *[0] * (len(BOUNDS) - 4)), 0.1)
STATS = PluginStats(*[0] * 14, "ready", LATENCY, 1, 2)


def sample(plugin_id: int, name: str = "echo", **stats: object) -> PluginSample:
    """One plugin that runs."""
    counters = attrs.evolve(STATS, **{"capacity": 100, **stats})  # type: ignore[arg-type]
    info = PluginInfo(plugin_id, name, "1.0.0", "", counters.state, frozenset(), frozenset(), None, 100)
    return PluginSample(info, counters, "", Rates(1234.5, 1200.0, 4.0), Usage(1.5, 37.4, 14 * MIB))


def silent(plugin_id: int, problem: str, state: str = "failed") -> PluginSample:
    """One plugin without statistics."""
    info = PluginInfo(plugin_id, "broken", "1.0.0", "", state, frozenset(), frozenset(), None, None)
    return PluginSample(info, None, problem, None, None)


def snapshot(*plugins: PluginSample) -> Snapshot:
    """A look at a system with these plugins."""
    host = ProcessSample(77, "nyx-host", Usage(2.0, 1.0, 30 * MIB))
    return Snapshot(1e9, 3723.0, 77, (host,), DispatchStats(3, 0, 123_456, 7, {"MailboxFull": 7}), plugins)


def text_of(picture_of: Snapshot, width: int = 140, height: int = 24, view: View | None = None, **more: object) -> str:
    """What is drawn, as text."""
    picture = draw(picture_of, view or View("id"), width, height, **more)  # type: ignore[arg-type]
    return "\n".join(line.plain for line in picture.lines)


def test_a_picture_tells_all_of_a_plugin() -> None:
    """States, rates, mailbox, latency, counters, CPU and memory are in one line under their headings."""
    shown = sample(
        1002, in_mailbox=50, failed=12, dead_lettered=3, permission_violations=4, restarts=2, state="restarting"
    )
    lines = text_of(snapshot(shown)).splitlines()
    assert lines[0] == "nyx-plugins  up 1h 02m  host 77  1 plugin: 1 restarting"
    assert lines[1] == "1,234 frames/s in  1,204 out  123,456 accepted  7 refused  38% cpu  44.0 MiB memory"
    headings = "id▲ plugin state in/s out/s mailbox p99 failed dead denied restarts cpu memory"
    assert lines[3].split() == headings.split()
    figures = "1002 echo restarting 1,234 1,204 ████···· 50/100 500 µs 12 3 4 2 37% 14.0 MiB"
    assert lines[4].split() == figures.split()


def test_a_plugin_without_statistics_says_why() -> None:
    """A failed plugin and one at rest are rows like the others, and a reason can't reach the terminal."""
    text = text_of(snapshot(silent(1, "it \x1b[2J failed"), silent(2, "", "registered")))
    assert r"it \x1b[2J failed" in text and "registered" in text and "\x1b" not in text


def test_without_plugins_the_way_to_one_is_shown() -> None:
    """An empty system is no empty screen."""
    assert "nyx-plugins load BUNDLE" in text_of(snapshot())


@given(
    st.integers(1, 200), st.integers(1, 60), st.integers(0, 80), st.integers(0, 1000), st.integers(0, 9), st.booleans()
)
def test_every_terminal_is_filled_and_none_is_overrun(
    width: int, height: int, plugins: int, first: int, events: int, reverse: bool
) -> None:
    """Whatever the size, there are exactly as many lines as fit, and none is wider."""
    found = snapshot(*(sample(number, "name" * (number % 9 + 1)) for number in range(plugins)))
    lines = tuple(EventLine("12:00:00", "crashed", f"プラグイン {number} \n" * 20) for number in range(events))
    picture = draw(found, View("cpu", reverse, first), width, height, lines)
    assert len(picture.lines) == height
    assert all(cell_len(line.plain) <= width and "\n" not in line.plain for line in picture.lines)


def test_a_narrow_terminal_keeps_what_matters_most() -> None:
    """Columns go one by one; id, plugin, state, memory and rate stay longest."""
    found = snapshot(sample(1002))
    widths = [len(draw(found, View("id"), width, 24).columns) for width in range(1, 150)]
    assert widths == sorted(widths) and (widths[0], widths[-1]) == (1, 13)
    assert draw(found, View("id"), 45, 24).columns == ("id", "plugin", "state", "in", "memory")


def test_more_plugins_than_lines_are_scrolled() -> None:
    """The last line says which of how many are shown."""
    found = snapshot(*(sample(number) for number in range(1, 101)))
    text = text_of(found, height=20, view=View("id", first=30))
    shown = [int(line.split()[0]) for line in text.splitlines() if " echo " in line]
    assert shown[0] == 31 and f"31-{shown[-1]} of 100" in text.splitlines()[-1]
    assert text_of(found, height=20, view=View("id", first=10_000)).count("of 100") == 1


def test_the_last_events_are_at_the_bottom() -> None:
    """The newest is the last; what has no room is left out."""
    events = tuple(EventLine(f"12:00:0{number}", "crashed", f"echo ({number})") for number in range(8))
    lines = text_of(snapshot(sample(1)), events=events).splitlines()
    assert [line.split()[0] for line in lines[-7:-1]] == [f"12:00:0{number}" for number in range(2, 8)]
    assert "events" in text_of(snapshot(sample(1)), height=14) and "events" not in text_of(snapshot(), height=8)


def test_a_problem_takes_the_last_line() -> None:
    """What is wrong with the view itself is said where the keys are explained."""
    assert text_of(snapshot(), problem="it does not answer").splitlines()[-1] == "it does not answer"


# Order.


@pytest.mark.parametrize(
    ("key", "reverse", "ids"),
    [
        ("id", False, [1, 2, 3]),
        ("id", True, [3, 2, 1]),
        ("plugin", False, [3, 2, 1]),
        ("dead", False, [2, 1, 3]),
        ("dead", True, [3, 1, 2]),
        ("restarts", False, [1, 2, 3]),
    ],
)
def test_rows_are_sorted(key: str, reverse: bool, ids: list[int]) -> None:
    """Names from a to z, figures from the largest; equals by id; who has no figures comes last."""
    found = [sample(2, "b", dead_lettered=9), sample(1, "c", dead_lettered=1), silent(3, "it failed")]
    found[2] = attrs.evolve(found[2], info=attrs.evolve(found[2].info, name="a"))
    assert [item.info.plugin_id for item in sort(found, key, reverse)] == ids


def test_the_sorted_column_is_marked() -> None:
    """An arrow shows the way."""
    assert "dead▼" in text_of(snapshot(sample(1)), view=View("dead"))
    assert "dead▲" in text_of(snapshot(sample(1)), view=View("dead", reverse=True))


# Parts.


@pytest.mark.parametrize(
    ("depth", "capacity", "bar", "style"),
    [
        (0, 100, "········", "green"),
        (1, 100_000, "▏·······", "green"),
        (50, 100, "████····", "yellow"),
        (99, 100, "███████▉", "red"),
        (100, 100, "████████", "red"),
        (120, 100, "████████", "red"),
        (0, 0, "········", "green"),
    ],
)
def test_a_bar_is_as_full_as_the_mailbox(depth: int, capacity: int, bar: str, style: str) -> None:
    """One frame can be seen, and a full mailbox is red."""
    drawn = mailbox_bar(depth, capacity)
    assert (drawn.plain, str(drawn.style) or style) == (bar, style)


@pytest.mark.parametrize(("per_s", "shown"), [(0, "0"), (0.26, "0.3"), (9.96, "10"), (12345.6, "12,346")])
def test_rates_are_short(per_s: float, shown: str) -> None:
    """A slow plugin's rate has one decimal."""
    assert rate(per_s) == shown


def test_a_table_alone_has_all_plugins() -> None:
    """What is no terminal gets every row, and no events."""
    found = snapshot(*(sample(number) for number in range(100)))
    assert len(table_alone(found, View("id"), 200)) == 104
