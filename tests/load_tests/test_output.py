"""Where a run writes, and what is in there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from nyx_plugins.load_tests import result
from nyx_plugins.load_tests import run as runs
from nyx_plugins.load_tests.__main__ import main
from nyx_plugins.load_tests.output import WRITTEN, output_folder
from nyx_plugins.load_tests.report.plots import plots
from nyx_plugins.load_tests.result import write

from .conftest import Forge


def test_runs_of_the_same_second_have_folders_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A number tells them apart; those into which nothing was written go again."""
    monkeypatch.chdir(tmp_path)
    with output_folder(None, "flood") as first, output_folder(None, "flood") as second:
        assert first != second
        (first / "result.json").write_text("{}")
    assert first.exists() and not second.exists()


def test_nothing_of_an_earlier_run_is_left(tmp_path: Path, forge: Callable[..., Any]) -> None:
    """What others have there stays, and so does the folder."""
    for name in (*WRITTEN, "mine.txt"):
        (tmp_path / name).touch()
    write(forge(), tmp_path / "result.json")
    with output_folder(tmp_path, "flood") as folder:
        assert [path.name for path in folder.iterdir()] == ["mine.txt"]
    (tmp_path / "mine.txt").unlink()
    with output_folder(tmp_path, "flood"):
        pass
    assert tmp_path.exists()


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 1}', None])
def test_a_run_touches_no_file_that_is_not_its_own(text: str | None, tmp_path: Path) -> None:
    """Names alone say nothing: without a result of a run beside them, files are somebody else's."""
    (tmp_path / "report.html").write_text("mine")
    if text is not None:
        (tmp_path / "result.json").write_text(text)
    done = CliRunner().invoke(main, ["run", "throughput", "--output", str(tmp_path)])
    assert done.exit_code == 2 and f"{tmp_path} has " in done.stderr and "report.html" in done.stderr
    assert (tmp_path / "report.html").read_text() == "mine"


def test_two_runs_do_not_write_into_one_folder(tmp_path: Path, forge: Callable[..., Any]) -> None:
    """The second one is refused before it removes anything; afterwards the folder is free."""
    with output_folder(tmp_path, "flood") as folder:
        write(forge(), folder / "result.json")
        done = CliRunner().invoke(main, ["run", "throughput", "--output", str(tmp_path)])
        assert done.exit_code == 2 and f"another run writes into {tmp_path}" in done.stderr
        assert (folder / "result.json").exists()
    with output_folder(tmp_path, "flood"):
        assert list(tmp_path.iterdir()) == []


def test_figures_that_can_not_be_written_are_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forge: Callable[..., Any]
) -> None:
    """After minutes of measuring, on a disk that is full."""

    def write(*_: object) -> None:
        raise OSError(28, "No space left on device", "result.json")

    monkeypatch.setattr(runs, "attempt", lambda *_, **__: (forge(), None))
    monkeypatch.setattr(result, "write", write)
    done = CliRunner().invoke(main, ["run", "throughput", "--output", str(tmp_path / "new")])
    assert done.exit_code == 2 and "no frame is lost" in done.stdout and "No space left on device" in done.stderr
    assert not (tmp_path / "new").exists()


def test_all_that_a_report_writes_is_known() -> None:
    """A plot of another name would be left."""
    assert {f"{plot.name}.png" for plot in plots(Forge(rounds=2).result())} <= set(WRITTEN)


@pytest.mark.parametrize(
    ("taken", "output", "told"),
    [
        ("out/result.json/file", "out", "out has result.json, and no result of a load test"),
        ("x", "", "is empty"),
        ("x", "x", "is a file"),
    ],
)
def test_a_folder_that_can_not_be_used_is_told_before_anything_runs(
    taken: str, output: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one line."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / taken).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / taken).touch()
    done = CliRunner().invoke(main, ["run", "throughput", "--output", output])
    assert done.exit_code == 2 and told in done.stderr and "round 1" not in done.stderr, done.stderr


@pytest.mark.parametrize("words", ["peers --output", "bench --output", "growth --output", "gate --base HEAD --keep"])
def test_an_empty_name_is_no_folder(words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not the current one, into which somebody's unset variable would have results written."""
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, [*words.split(), ""])
    assert done.exit_code == 2 and "must name a folder, and is empty" in done.stderr
