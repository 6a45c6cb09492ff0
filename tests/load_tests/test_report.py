"""The report: what is on its page and beside it, and what its plots are made of."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import attrs
import pytest
from click.testing import CliRunner

from nyx_plugins.load_tests import extra
from nyx_plugins.load_tests.__main__ import main
from nyx_plugins.load_tests.errors import MissingExtra
from nyx_plugins.load_tests.report import write_report
from nyx_plugins.load_tests.report.canvas import PNG_DPI, lay_out, new_figure, style
from nyx_plugins.load_tests.report.command import report
from nyx_plugins.load_tests.report.curve import curve
from nyx_plugins.load_tests.report.lines import growth_lines, memory_lines, series_lines
from nyx_plugins.load_tests.report.page import page, verdict
from nyx_plugins.load_tests.report.plots import plots
from nyx_plugins.load_tests.report.roles import median_usage
from nyx_plugins.load_tests.report.scales import amount_axis
from nyx_plugins.load_tests.report.timeline import kind_of, shown_rounds
from nyx_plugins.load_tests.report.words import meaning
from nyx_plugins.load_tests.result import Check, Latency, Mark, Metric, Mode, Result, write

Forging = Callable[..., Result]
EVIL = "<script>alert('$1')</script> & _"
PNGS = {"latency", "flow", "memory", "kernel", "processor", "rounds"}


@pytest.fixture(scope="module")
def folder(forge: Forging, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a report of two rounds, in which each text tries to break out of the page."""
    result = forge(rounds=2, stall_s=1.0)
    evil = [_evil(one) for one in result.rounds]
    where = tmp_path_factory.mktemp("report")
    write_report(attrs.evolve(result, description=EVIL, rounds=tuple(evil), settings={EVIL: {EVIL: [EVIL]}}), where)
    return where


def _evil(one: Any) -> Any:
    """Put the text into everything of a round that a reader sees."""
    first, *others = one.series
    return attrs.evolve(
        one,
        metrics={**one.metrics, EVIL: Metric(one.number, EVIL, next(iter(one.metrics.values())).better)},
        latencies={**one.latencies, EVIL: one.latencies["service"]},
        series=(attrs.evolve(first, name=EVIL), *others),
        processes=(attrs.evolve(one.processes[0], role=EVIL), *one.processes[1:]),
        marks=(*one.marks, Mark(2.0, EVIL)),
    )


def test_there_are_a_page_and_its_plots(folder: Path) -> None:
    """Each plot is a PNG of its own, and inline in the page."""
    assert {path.stem for path in folder.glob("*.png")} == PNGS
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in folder.glob("*.png"))
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert text.count("<svg ") == len(PNGS)


def test_the_page_needs_nothing_else_and_runs_nothing(folder: Path) -> None:
    """It has no script, loads nothing from anywhere, and forbids both to the browser."""
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert "<script" not in text and "@import" not in text and "url(http" not in text
    assert re.findall(r'(?:src|href)="(?!#|data:,)[^"]*"', text) == []
    assert "default-src 'none'" in text


def test_texts_of_a_result_stay_texts(folder: Path) -> None:
    """What a result says is shown as it is, wherever it stands: in tables, and in labels of plots."""
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert text.count("&lt;script&gt;alert(") > 10
    drawings = re.findall(r"<svg .*?</svg>", text, flags=re.DOTALL)
    drawn = ["".join(ElementTree.fromstring(drawing).itertext()) for drawing in drawings]
    assert sum("<script>alert('$1')</script> & _" in each for each in drawn) >= 3


def test_plots_take_the_colours_of_the_page(folder: Path) -> None:
    """Text and background of the drawings are variables, which are others in the dark; each name is there once."""
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert "fill: var(--text)" in text and "fill: var(--paper)" in text and "prefers-color-scheme: dark" in text
    names = re.findall(r'\bid="([^"]+)"', text)
    assert len(names) == len(set(names))


def test_a_run_that_measured_nothing_has_a_page(forge: Forging, tmp_path: Path) -> None:
    """It says so, and where it ran."""
    result = forge(rounds=0, changes={"ended": "interrupted", "checks": ()})
    text = write_report(result, tmp_path / "deep" / "er").read_text(encoding="utf-8")
    assert "did not go to its end: interrupted" in text and "nothing was measured" in text
    assert "Example CPU" in text and "<svg" not in text
    assert list(tmp_path.rglob("*.png")) == []


def test_labels_are_within_the_picture(forge: Forging) -> None:
    """However long names are: places are found for letters as large as they are drawn."""
    result = forge(rounds=2, frames=50)
    long = [
        attrs.evolve(
            one,
            metrics={f"cpu_us_per_frame.{name} [80 % of it]": each for name, each in one.metrics.items()},
            latencies={f"{name} [80 % of the maximum]": each for name, each in one.latencies.items()},
        )
        for one in result.rounds
    ]
    with style():
        for plot in plots(attrs.evolve(result, rounds=tuple(long))):
            lay_out(plot.figure)
            assert plot.figure.dpi == PNG_DPI
            box = plot.figure.get_tightbbox()
            assert box.x0 >= 0 and box.x1 <= plot.figure.get_figwidth(), plot.name


def test_thousands_of_events_are_not_all_drawn(forge: Forging, tmp_path: Path) -> None:
    """As many as can be told apart are; the plot says how many are left out, and the page lists some hundreds."""
    (one,) = forge(rounds=1, frames=20).rounds
    many = attrs.evolve(one, marks=tuple(Mark(n / 1000, f"kill {n}") for n in range(3000)), latencies={}, processes=())
    text = write_report(forge(rounds=0, changes={"rounds": (many,)}), tmp_path).read_text(encoding="utf-8")
    assert "2,800 more events are not drawn" in text and "And 2500 more: they are in the result file" in text


def test_what_was_not_measured_says_so(forge: Forging) -> None:
    """A limit without a figure has no zero instead of it; notes of rounds stand above their figures."""
    (one,) = forge(rounds=1, bare=True).rounds
    noted = attrs.evolve(one, notes=("5 frames were refused with FrameError",))
    result = forge(rounds=0, changes={"rounds": (noted,), "checks": (Check("a", "<= 0 us", None, "us", False),)})
    text = page(result, [])
    assert ">not measured</td>" in text and "✗ not met" in text
    assert "round 1: 5 frames were refused with FrameError" in text


def test_one_round_is_told_to_be_too_few(forge: Forging) -> None:
    """Nobody takes the spread of one round for a small one."""
    assert "One round tells nothing" in page(forge(rounds=1, bare=True), [])
    assert "One round tells nothing" not in page(forge(rounds=2, bare=True), [])


def test_known_metrics_are_explained(forge: Forging) -> None:
    """Each that a scenario measures has its words, of whatever variant or role it is."""
    assert meaning("p99_us [10 plugins]") == meaning("p99_us.quiet") == meaning("p99_us") != ""
    assert meaning("novelty") == ""
    (one,) = forge(rounds=1, bare=True).rounds
    renamed = attrs.evolve(one, metrics={"cpu_us_per_frame.worker": one.metrics["cpu_per_frame"]})
    assert "processor time of the processes of one role" in page(forge(changes={"rounds": (renamed,)}, rounds=0), [])


@pytest.mark.parametrize("mode", Mode)
def test_the_mode_is_explained(mode: Mode, forge: Forging) -> None:
    """How frames were sent is told in words."""
    text = page(forge(rounds=1, bare=True, changes={"mode": mode}), [])
    assert {"open": "Open loop:", "closed": "Closed loop:", "none": "Nothing was sent"}[mode] in text


def test_the_verdict_comes_first(forge: Forging) -> None:
    """A limit that was not met, or a run that did not end, is told above everything."""
    assert verdict(forge(bare=True, rounds=1)) == ("good", "All 2 limits met.")
    assert verdict(forge(bare=True, rounds=1, per_s=50_000)) == ("bad", "1 of 2 limits not met.")
    (limit, _) = forge(bare=True, rounds=1).checks
    assert verdict(forge(bare=True, rounds=1, changes={"checks": (limit,)})) == ("good", "The limit is met.")
    assert verdict(forge(bare=True, rounds=1, changes={"checks": ()}))[0] == "plain"
    assert verdict(forge(bare=True, rounds=1, changes={"ended": "the dispatcher ended"}))[0] == "bad"


def test_two_hundred_processes_are_a_few_lines(forge: Forging) -> None:
    """Processes of a role, and mailboxes of a kind, are one line with a range."""
    (one,) = forge(rounds=1, plugins=98, frames=50).rounds
    roles = [
        "client",
        "dispatcher",
        "system",
        "plugin actor (up to 98: median, range)",
        "worker (up to 98: median, range)",
    ]
    assert [line.label for line in memory_lines(one)] == roles
    assert [line.label for line in series_lines(one, "frames")] == ["mailbox of plugin (up to 98: median, range)"]
    worker = growth_lines(one)[-1]
    assert worker.middle[0] == 0 and all(
        low <= middle <= high for low, middle, high in zip(worker.low, worker.middle, worker.high, strict=True)
    )
    used = {role.role: role for role in median_usage([one])}
    assert used["worker"].processes == 98 and used["worker"].cores == pytest.approx(0.9)
    assert used["worker"].descriptors == 24


def test_variants_come_one_after_the_other(forge: Forging) -> None:
    """What they have in common has the same label, and so the same colour; tables have a column or a row for each."""
    (one,) = forge(rounds=1, frames=20).rounds
    metrics = {f"{name} [{kind}]": each for kind in ("small", "large") for name, each in one.metrics.items()}
    series = tuple(attrs.evolve(one.series[0], name=f"throughput [{kind}]") for kind in ("small", "large"))
    worker = one.processes[-1]
    workers = tuple(attrs.evolve(worker, role=f"worker {role}") for role in ("1 [small]", "1 [large]", "2 [large]"))
    varied = attrs.evolve(one, metrics=metrics, series=series, processes=workers)
    assert [line.label for line in series_lines(varied, "frames/s")] == ["throughput"] * 2
    assert [line.label for line in memory_lines(varied)] == ["worker (up to 2: median, range)"] * 2
    used = [(role.role, role.variant, role.processes) for role in median_usage([varied])]
    assert used == [("worker", "small", 1), ("worker", "large", 2)]
    text = page(forge(rounds=0, changes={"rounds": (varied,)}), [])
    assert '<th scope="col" class="number">small</th>' in text and text.count('<th scope="row">throughput') == 2
    assert {plot.name for plot in plots(forge(rounds=0, changes={"rounds": (varied,)}))} >= {"flow", "processor"}


def test_the_beginning_of_a_variant_is_an_event() -> None:
    """Other events of variants are of the same kind in each."""
    assert kind_of(Mark(0, "begins [10 plugins]")) == "10 plugins begins"
    assert (
        kind_of(Mark(1, "sending ends [10 plugins]")) == kind_of(Mark(2, "sending ends [1 plugin]")) == "sending ends"
    )
    assert kind_of(Mark(1, "killed worker 12")) == "killed worker"


def test_frames_are_counted_in_whole_numbers() -> None:
    """Also where there are none, or one: nobody has a fifth of a frame waiting."""
    axes = new_figure(2).subplots()
    for most in (0.0, 1.0, 3.0, 900.0):
        amount_axis(axes, "frames", [most], 0)
        assert all(float(tick).is_integer() for tick in axes.get_yticks())


def test_few_mailboxes_keep_their_names(forge: Forging) -> None:
    """As long as they can be told apart, each is a line of its own."""
    (one,) = forge(rounds=1, plugins=2, frames=50).rounds
    assert [line.label for line in series_lines(one, "frames")] == ["mailbox of plugin 1", "mailbox of plugin 2"]


def test_many_rounds_show_the_first_ones_and_the_last(forge: Forging) -> None:
    """More than five columns could not be read."""
    rounds = forge(rounds=8, bare=True).rounds
    assert [one.number for one in shown_rounds(rounds)] == [1, 2, 3, 4, 8]
    assert shown_rounds(rounds[:5]) == rounds[:5]


def test_a_curve_goes_as_far_as_its_frames(forge: Forging) -> None:
    """A thousand frames have a 99.9th percentile and none beyond; the curve never falls."""
    (one,) = forge(rounds=1, frames=1000, stall_s=1.0).rounds
    line = curve(one.latencies["outcome"])
    assert line.percentiles[-1] == pytest.approx(99.9)
    assert list(line.latencies_us) == sorted(line.latencies_us)
    assert line.latencies_us[-1] > 100_000


@pytest.mark.parametrize("histogram", ["", "no base64", "HISTFAAAAA=="])
def test_without_a_histogram_the_named_percentiles_are_drawn(histogram: str) -> None:
    """A histogram that is missing or broken costs detail only."""
    latency = Latency(10, 1, 2, 9, {"99": 8.0, "50": 2.0, "100": 9.0}, histogram)
    assert (curve(latency).percentiles, curve(latency).latencies_us) == ((50.0, 99.0), (2.0, 8.0))


def test_the_same_result_is_drawn_for_what_it_has(forge: Forging) -> None:
    """A plot without data is left out."""
    result = forge(rounds=1, frames=20)
    bare = attrs.evolve(result.rounds[0], latencies={}, series=(), processes=())
    assert list(plots(attrs.evolve(result, rounds=(bare,)))) == []


def test_the_command_writes_beside_the_result_or_elsewhere(forge: Forging, tmp_path: Path) -> None:
    """It prints where the page is."""
    write(forge(rounds=0), tmp_path / "result.json")
    beside = CliRunner().invoke(report, [str(tmp_path)])
    assert (beside.exit_code, beside.output) == (0, f"{tmp_path / 'report.html'}\n")
    elsewhere = CliRunner().invoke(report, [str(tmp_path / "result.json"), "--output", str(tmp_path / "x")])
    assert (elsewhere.exit_code, elsewhere.output) == (0, f"{tmp_path / 'x' / 'report.html'}\n")


def test_a_folder_that_can_not_be_written_is_told(forge: Forging, tmp_path: Path) -> None:
    """It is one line, and exit code 2."""
    write(forge(rounds=0), tmp_path / "result.json")
    done = CliRunner().invoke(main, ["report", str(tmp_path), "--output", "/proc/nowhere"])
    assert (done.exit_code, done.output) == (2, "Error: /proc/nowhere: No such file or directory\n")


def test_a_missing_library_is_told_in_one_line() -> None:
    """It says what to install; a module that is missing for another reason is a defect, and stays one."""
    with (
        pytest.raises(MissingExtra, match=r"^matplotlib is not installed.*pip install 'nyx-plugins\[load\]'$"),
        extra.needed(),
    ):
        raise ModuleNotFoundError(name="matplotlib.figure")
    with pytest.raises(ModuleNotFoundError), extra.needed():
        raise ModuleNotFoundError(name="nyx_plugins.gone")
