"""What is made of what was counted: latencies, figures over a window, limits, and several variants as one round."""

from __future__ import annotations

import io
import os
import socket
from pathlib import Path

import attrs
import pytest
from rich.console import Console

from nyx_plugins.load_tests import figures, kernel, library, measures, traffic, verdicts
from nyx_plugins.load_tests.arrivals import NS
from nyx_plugins.load_tests.figures import Window
from nyx_plugins.load_tests.payload import cbor_map
from nyx_plugins.load_tests.phase import Phase
from nyx_plugins.load_tests.printing import print_result
from nyx_plugins.load_tests.recorder import Spans, Tally, added, latency, merge
from nyx_plugins.load_tests.result import Better, Counts, Mark, Metric, ProcessUsage, Round, Series
from nyx_plugins.load_tests.roles import role_of
from nyx_plugins.load_tests.run import ending, joined
from nyx_plugins.load_tests.scenario import Limit
from nyx_plugins.load_tests.summary import notes

from .conftest import Forge


def spans(*us: int) -> str:
    """Encode durations."""
    counted = Spans()
    for each in us:
        counted.add(each)
    return counted.encoded()


def tally(**changes: object) -> Tally:
    """Make up what one client has counted."""
    made = {
        "counts": {"offered": 4, "processed": 3, "refused": 1},
        "refusals": {"MailboxFull": 1},
        "outcome": {"fast": spans(100, 200), "slow": spans(90_000)},
        "service": {"fast": spans(50, 60), "slow": spans(80_000)},
        "landed": {9: 5, 10: 1, 11: 2, 20: 7},
        "sent": {10: 4},
        "frames": 4,
        "cpu_s": 0.5,
        "until": 5,
    }
    return Tally(**{**made, **changes})  # type: ignore[arg-type]


def usage(role: str, cpu_s: tuple[float, ...], pss: tuple[int, ...]) -> ProcessUsage:
    """Make up what was seen of one process at 0, 1, 2 and so on seconds."""
    at_s = tuple(map(float, range(len(cpu_s))))
    nothing = (0,) * len(cpu_s)
    return ProcessUsage(1, role, at_s, cpu_s, pss, pss, nothing, nothing, nothing)


def test_durations_keep_three_digits() -> None:
    """From a microsecond to an hour; a clock that went backwards is no duration."""
    for us in (1, 999, 4_096, 123_456, 3_500_000_000):
        seen = latency(merge([spans(us)]))
        assert seen is not None and seen.max_us == pytest.approx(us, rel=0.001)
    backwards = latency(merge([spans(-5_000_000)]))
    assert backwards is not None and backwards.max_us == 1
    assert latency(merge([])) is None


def test_what_clients_have_counted_is_added() -> None:
    """Counts, intervals and histograms; the last one to stop says when sending ended."""
    both = added([tally(), tally(until=9, error="it stopped")])
    assert both.counts == {"offered": 8, "processed": 6, "refused": 2}
    assert (both.landed[20], both.until, both.error, both.refusals) == (14, 9, "it stopped", {"MailboxFull": 2})
    assert figures.latencies_of(both)["outcome.fast"].count == 4


def test_latencies_are_there_for_all_frames_and_for_each_group() -> None:
    """With one group there is nothing to tell apart."""
    assert set(figures.latencies_of(tally())) == {
        *("outcome", "outcome.fast", "outcome.slow"),
        *("service", "service.fast", "service.slow"),
    }
    assert set(figures.latencies_of(tally(outcome={"": spans(1)}, service={"": spans(1)}))) == {"outcome", "service"}


def test_figures_are_those_of_the_measured_time() -> None:
    """What landed before or after does not count, and processor time is that within."""
    processes = [
        usage("client 1", (0.0, 0.2, 0.8, 1.0), (10, 10, 10, 10)),
        usage("dispatcher", (0.0, 1.0, 1.6, 1.6), (50, 100, 130, 90)),
        usage("worker slow 1", (0.0, 0.0, 0.3, 0.3), (7, 7, 7, 7)),
    ]
    series = [Series("sockets", "bytes", (0.0, 1.0, 1.5, 2.0), (5.0, 10.0, 90.0, 20.0))]
    metrics = figures.metrics_of(tally(), Window(1.0, 2.0), 0.1, processes, series, 1)
    value = {name: metric.value for name, metric in metrics.items()}
    assert value["processed_per_s"] == 3
    assert value["busiest_client_cores"] == pytest.approx(0.6)
    assert value["cpu_us_per_frame.dispatcher"] == pytest.approx(0.6 / 3 * 1e6)
    assert value["system_cpu_us_per_frame"] == pytest.approx(0.9 / 3 * 1e6)
    assert (value["memory_bytes"], value["memory_growth_bytes"], value["memory_bytes_per_plugin"]) == (137, 30, 7)
    assert (value["sockets_growth_bytes"], value["sockets_bytes"]) == (80, 90)
    assert (value["refused_share"], value["lost_share"]) == (0.25, 0)
    assert value["p99_us.slow"] == pytest.approx(90_000, rel=0.001) and value["p50_us.fast"] == 100


def test_what_happened_between_two_looks_is_divided() -> None:
    """A process that came or went within the measured time has what it used while it was there."""
    assert figures.grown((0.0, 2.0), (0.0, 4.0), Window(0.5, 1.0)) == 1.0
    assert figures.grown((1.0, 2.0), (0.0, 4.0), Window(0.0, 5.0)) == 4.0
    assert figures.grown((), (), Window(0.0, 5.0)) == 0.0
    assert figures.grown((0.0, 2.0), (0.0, 4.0), Window(1.5, 0.5)) == 0.0
    assert figures.most_grown((1.0, 2.0), (6, 9), Window(0.0, 5.0)) == 3
    assert figures.most_grown((), (), Window(0.0, 5.0)) == 0


@pytest.mark.parametrize(
    ("limit", "text", "measured", "met"),
    [
        (Limit("a", at_least=20), ">= 20 \N{MICRO SIGN}s", 20, True),
        (Limit("a", at_most=19), "<= 19 \N{MICRO SIGN}s", 20, False),
        (Limit("a", at_least=0.5, over="b"), ">= 0.5x", 0.5, True),
        (Limit("a", at_most=-21, minus="b"), "<= -21 \N{MICRO SIGN}s", -20, False),
    ],
)
def test_limits_are_judged_by_the_median(limit: Limit, text: str, measured: float, met: bool) -> None:
    """Alone, as a ratio to another metric, and as a difference."""
    rounds = [
        Round(n, 1.0, Counts(), {"a": Metric(a, "us", Better.LOWER), "b": Metric(2.0 * a, "us", Better.LOWER)})
        for n, a in enumerate((10.0, 20.0, 500.0), 1)
    ]
    [check] = verdicts.checks([limit], rounds)
    assert (check.limit, check.measured, check.met) == (text, measured, met)


def test_each_process_has_a_role() -> None:
    """By its name, or where it has none yet, by its parent; never as what runs it."""
    assert role_of("nyx-Dispatcher", "supervisor") == "dispatcher"
    assert role_of("nyx-worker", "nursery") == role_of("python", "nursery") == role_of("python", "plugin actor 1")
    assert [role_of("python", parent) for parent in ("host", "admin", "supervisor")] == ["admin", "logger", "nursery"]
    assert (role_of("python", "worker 1"), role_of("", "worker 1")) == ("a child of worker 1", "gone")


def test_frames_of_lost_clients_are_unknown() -> None:
    """As many as were due to a client of an open loop, or may have been under way in a closed one."""
    counts = figures.counts_of(tally(), 10)
    assert (counts.offered, counts.processed, counts.unknown) == (14, 3, 10)
    phase = Phase(
        *("open", "many", "poisson"), 200.0, 16, 64, "refuse", (1,), {}, 8, "", 8, "", *(0, 0, 2 * NS, 2 * NS, 1, 1)
    )
    assert traffic.at_stake(phase) == 400
    assert traffic.at_stake(attrs.evolve(phase, mode="closed")) == 64
    assert traffic.at_stake(attrs.evolve(phase, mode="closed", call="request")) == 1
    counted = tally(refusals={"FrameError": 1200}, counts={"lost": 3}, loss="FateUnknown: gone")
    told = list(traffic.notes(counted, [(phase, "client 2 was killed by SIGKILL")]))
    assert told[0] == "1,200 frames were refused with FrameError" and "of 400 frames nobody knows" in told[2]
    assert told[1] == "3 frames were lost, the last with FateUnknown: gone"


@pytest.mark.parametrize(
    ("counts", "ended"),
    [
        (Counts(offered=9, refused=9), "nothing was measured: none of 9 frames came to an outcome"),
        (Counts(offered=9, unfinished=9), "nothing was measured: none of 9 frames came to an outcome"),
        (Counts(offered=9, processed=8, lost=1), "1 frames were lost: nobody can say what became of them"),
        (Counts(offered=9, processed=8, unknown=1), "clients were lost, and with them what became of 1 frames"),
        (Counts(offered=9, failed=8, refused=1), "completed"),
        (Counts(), "completed"),
    ],
)
def test_a_run_without_figures_or_with_lost_frames_has_not_gone_well(counts: Counts, ended: str) -> None:
    """Frames that failed have an outcome as well; what a driver of one's own counts is its affair."""
    sent = {"processed_per_s": Metric(1.0, "frames/s", Better.HIGHER)}
    assert ending([Round(1, 1.0, counts, sent)]) == ended
    assert ending([Round(1, 1.0, Counts(offered=9, refused=9), {})]) == "completed"


def test_a_maximum_that_can_not_be_measured_is_a_fault_of_the_scenario() -> None:
    """It has too little time for a frame, or its frames are refused."""
    scenario = library.load("latency").scenario
    slow = traffic.unmeasurable(scenario, tally(refusals={}))
    assert slow.key == "calibrate_s" and "measured for 3 s: give it more time" in slow.reason
    refused = traffic.unmeasurable(scenario, tally(refusals={"PluginNotRegistered": 2000}))
    assert refused.key == "rate" and "2,000 were refused with PluginNotRegistered" in refused.reason


def test_a_run_in_which_nothing_was_due_says_so() -> None:
    """As one does without any figure."""
    rate = {"processed_per_s [a]": Metric(0.0, "frames/s", Better.HIGHER)}
    made = Forge(rounds=0).result(rounds=(Round(1, 1.0, Counts(), rate),))
    assert list(notes(made)) == ["nothing was measured: no frame was due in the measured time"]
    assert list(notes(attrs.evolve(made, rounds=()))) == ["nothing was measured"]
    assert list(notes(attrs.evolve(made, rounds=(Round(1, 1.0, Counts(offered=1), rate),)))) == []


def test_what_was_not_measured_is_not_met() -> None:
    """A limit for what is not there does not pass, and has the unit that is part of a name."""
    [check, other] = verdicts.checks([Limit("nothing", at_most=1), Limit("p99_us [a]", at_most=1500)], [])
    assert (check.met, check.what, check.measured) == (False, "nothing", None)
    assert (other.unit, other.limit) == ("us", "<= 1.50 ms")


def test_a_limit_may_be_for_many_plugins() -> None:
    """With fewer it is neither met nor missed, and a note says so; each variant has plugins of its own."""
    limits = [{"metric": f"p99_us [{name}]", "at_most": 1, "from_plugins": 10} for name in ("few", "many")]
    groups = {name: {"plugins": {"work": {"count": count}}} for name, count in (("few", 9), ("many", 10))}
    plan = library.load("throughput", {"variants": groups, "limits": limits})
    assert [limit.metric for limit in verdicts.judged(plan)] == ["p99_us [many]"]
    [told] = verdicts.left_out(plan)
    assert told == "p99_us [few]: not judged, as its limit is for 10 plugins or more, not for 9"


def test_every_figure_may_be_limited() -> None:
    """What is measured is what limits know, with its unit."""
    groups = {"plugins": {"fast": {}, "slow": {}}}
    series = [Series(name, "bytes", (0.0,), (5.0,)) for name in ("sockets", "files")]
    seen = [usage("client 1", (0.0, 1.0), (1, 1)), usage("dispatcher", (0.0, 1.0), (1, 1))]
    metrics = figures.metrics_of(tally(), Window(0.0, 2.0), 0.1, seen, series, 1)
    assert set(measures.measured(groups) or ()) == {*metrics, "load_s"}
    assert [name for name, metric in metrics.items() if measures.unit_of(f"{name} [a]") != metric.unit] == []


def test_variants_become_one_round() -> None:
    """One after the other in time, each name with that of its variant; counts are added."""
    part = Round(
        1,
        2.0,
        Counts(offered=5, processed=5),
        {"p99_us": Metric(1, "us", Better.LOWER)},
        series=(Series("sent", "frames/s", (0.0, 4.0), (1.0, 2.0)),),
        processes=(usage("dispatcher", (0.0, 1.0), (1, 1)),),
        marks=(Mark(1.0, "swap plugin 1"),),
    )
    whole = joined(1, {"a": part, "b": part})
    assert set(whole.metrics) == {"p99_us [a]", "p99_us [b]"}
    assert (whole.seconds, whole.counts) == (4.0, Counts(offered=10, processed=10))
    assert [(mark.at_s, mark.what) for mark in whole.marks] == [
        (0.0, "begins [a]"),
        (1.0, "swap plugin 1 [a]"),
        (5.0, "begins [b]"),
        (6.0, "swap plugin 1 [b]"),
    ]
    assert (whole.series[1].name, whole.series[1].at_s) == ("sent [b]", (5.0, 9.0))
    assert (whole.processes[1].role, whole.processes[1].at_s) == ("dispatcher [b]", (5.0, 6.0))
    assert joined(1, {"": part}) is part


@pytest.mark.parametrize("size", [8, 9, 28, 29, 200, 283, 284, 1024, 65_536, 65_600])
def test_frames_hold_one_map_of_any_length(size: int) -> None:
    """Also where the head of a string takes another byte."""
    assert len(cbor_map(size)) == size


def test_a_printed_result_has_a_line_for_each_variant_and_each_check() -> None:
    """Names in brackets are no markup."""
    names = ("processed_per_s [a]", "p50_us [a]", "processed_per_s [b]", "p50_us [b]")
    metrics = {name: Metric(1500.0, "us", Better.LOWER) for name in names}
    console = Console(width=100, record=True, file=io.StringIO())
    print_result(Forge().result(rounds=(Round(1, 1.0, Counts(), metrics),), ended="interrupted"), console)
    words = [line.split() for line in console.export_text().splitlines()]
    assert ["a", "1,500", "1.5"] in words and ["b", "1,500", "1.5"] in words and ["interrupted"] in words
    assert any("met" in line for line in words)


def test_a_name_or_unit_gives_a_terminal_no_orders() -> None:
    """A driver of one's own may have made it."""
    console = Console(width=100, file=io.StringIO())
    metrics = {"odd\x1b[31m [b]x[/b]": Metric(1.0, "s\x1b[31m", Better.LOWER)}
    print_result(Forge().result(rounds=(Round(1, 1.0, Counts(), metrics, notes=("\x1b[2J",)),)), console)
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert "\x1b" not in printed and r"odd\x1b[31m [b]x[/b]" in printed and r"round 1: \x1b[2J" in printed


# What the kernel tells.


def test_a_process_is_looked_at_or_is_gone() -> None:
    """This one has memory, descriptors and sockets; one that does not exist has nothing."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        seen = kernel.look(os.getpid())
        assert seen is not None and seen.rss_bytes > 2**20 and seen.descriptors > 4 and seen.cpu_s > 0
        assert os.fstat(ours.fileno()).st_ino in seen.sockets
    assert kernel.look(2**22 + 1) is None


def test_what_is_held_in_sockets_is_told() -> None:
    """Bytes that were sent and not yet received count, those of other sockets do not."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        inodes = frozenset(os.fstat(end.fileno()).st_ino for end in (ours, theirs))
        before = kernel.socket_bytes(inodes)
        if before is None:
            pytest.skip("this kernel has no sock_diag for Unix-domain sockets")
        ours.sendall(bytes(50_000))
        held = kernel.socket_bytes(inodes)
        assert held is not None and held >= before + 50_000
        assert kernel.socket_bytes(frozenset()) == 0


def test_files_below_a_folder_are_added_up(tmp_path: Path) -> None:
    """Those in folders below as well; holes take no room."""
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "file").write_bytes(bytes(range(256)) * 400)
    with (tmp_path / "hole").open("wb") as file:
        file.truncate(2**30)
    assert 102_400 <= kernel.folder_bytes(tmp_path) < 2**20
    assert kernel.filesystem_of(Path("/proc")) == "proc"
