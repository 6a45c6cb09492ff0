"""Reading results: what comes back, and what is told of a file that is none."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from click.testing import CliRunner

from nyx_plugins.load_tests import reading
from nyx_plugins.load_tests.__main__ import main
from nyx_plugins.load_tests.errors import NewerResult, NoResult, ResultError
from nyx_plugins.load_tests.result import SCHEMA, Result, to_json, write

Forging = Callable[..., Result]


def test_what_was_written_is_read(forge: Forging, tmp_path: Path) -> None:
    """A result is the same after its way through a file, named itself or by its folder."""
    result = forge(rounds=2, plugins=3)
    write(result, tmp_path / "result.json")
    assert reading.read(tmp_path / "result.json") == result
    assert reading.read(tmp_path) == result


def test_half_a_character_is_its_number(forge: Forging, tmp_path: Path) -> None:
    """As the path of a bundle may have one, whoever has written the file: nothing could draw or print it."""
    result = attrs.evolve(forge(rounds=1), settings={"bundle": "caf\udce9"})
    write(result, tmp_path / "result.json")
    assert reading.read(tmp_path).settings == {"bundle": "caf\\udce9"}
    text = to_json(result).replace("caf\\\\udce9", "caf\\udce9 \\ud83d\\ude00")
    (tmp_path / "result.json").write_text(text)
    assert reading.read(tmp_path).settings == {"bundle": "caf\\udce9 \U0001f600"}


def test_a_folder_has_several_results(forge: Forging, tmp_path: Path) -> None:
    """All of a folder are read in the order of their names, however deep they lie."""
    results = [forge(rounds=1, seed=seed) for seed in (1, 2)]
    for name, result in zip(("a", "b"), results, strict=True):
        (tmp_path / name).mkdir()
        write(result, tmp_path / name / "result.json")
    assert reading.read_all(tmp_path) == tuple(results)
    assert reading.read_all(tmp_path / "b") == (results[1],)
    assert reading.read_all(tmp_path / "a" / "result.json") == (results[0],)


def test_where_there_is_no_file_it_says_so(tmp_path: Path) -> None:
    """A wrong path, and a folder without results, are told as what they are."""
    with pytest.raises(NoResult, match=r"nowhere\.json: No such file or directory"):
        reading.read(tmp_path / "nowhere.json")
    with pytest.raises(NoResult, match=r"result\.json: No such file or directory"):
        reading.read(tmp_path)
    with pytest.raises(NoResult, match=r"no file with a name that ends in \.json"):
        reading.read_all(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NoResult, match="pipe: it must be a regular file"):
        reading.read(tmp_path / "pipe")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"scenario: throughput", "is no JSON: Expecting value: line 1 column 1"),
        (b"\xff\xfe", "is no JSON: 'utf-8' codec"),
        (b'{"scenario": NaN}', "is no JSON: NaN is no number of JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[]", "must be a JSON object"),
    ],
)
def test_what_is_no_json_object_is_told(text: bytes, reason: str, tmp_path: Path) -> None:
    """It is one fault, with its place where there is one."""
    file = tmp_path / "x.json"
    file.write_bytes(text)
    with pytest.raises(ResultError, match=reason) as caught:
        reading.read(file)
    assert caught.value.source == str(file)


def test_a_huge_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is longer than any result stays on the disk."""
    monkeypatch.setattr(reading, "MAX_BYTES", 10)
    (tmp_path / "x.json").write_text(" " * 11)
    with pytest.raises(NoResult, match="longer than the 10 bytes"):
        reading.read(tmp_path / "x.json")


def test_there_is_no_schema_before_the_first(forge: Forging, tmp_path: Path) -> None:
    """A file that says so is something else."""
    path = tmp_path / "result.json"
    path.write_text(json.dumps({**json.loads(to_json(forge(rounds=1))), "schema": 0}))
    with pytest.raises(ResultError, match="schema: must be"):
        reading.read(path)


def test_a_later_schema_is_not_guessed_at(forge: Forging, tmp_path: Path) -> None:
    """A file of a later version says which one it needs, whatever else is in it."""
    document = {**json.loads(to_json(forge(rounds=1))), "schema": SCHEMA + 1, "novelty": True}
    (tmp_path / "x.json").write_text(json.dumps(document))
    with pytest.raises(NewerResult, match=f"has schema {SCHEMA + 1}.*reads schemas up to {SCHEMA}: update"):
        reading.read(tmp_path / "x.json")


def test_all_faults_are_told_by_field(forge: Forging, tmp_path: Path) -> None:
    """What is missing, of another type, unknown or no choice is listed with its place, all at once."""
    document: dict[str, Any] = json.loads(to_json(forge(rounds=2)))
    del document["scenario"]
    document["mode"] = "ajar"
    document["machine"]["cores"] = "two"
    document["rounds"][1]["metrics"]["p99"]["better"] = "higer"
    document["rounds"][1]["series"][0]["values"][3] = None
    document["colour"] = "red"
    (tmp_path / "x.json").write_text(json.dumps(document))
    with pytest.raises(ResultError) as caught:
        reading.read(tmp_path / "x.json")
    places = {fault.key: fault.reason for fault in caught.value.faults}
    assert set(places) == {
        *("scenario", "mode", "machine.cores", "colour"),
        *("rounds[1].metrics.p99.better", "rounds[1].series[0].values[3]"),
    }
    assert places["mode"] == "must be one of 'open', 'closed', 'none', not a string ('ajar')"
    assert places["machine.cores"] == "must be an integer, not a string ('two')"
    assert "\n" not in str(caught.value)


def _put(*path: Any, value: Any) -> Callable[[Any], None]:
    def change(document: Any) -> None:
        for key in path[:-1]:
            document = document[key]
        document[path[-1]] = value

    return change


IMPOSSIBLE = [
    ("rounds[0].series[0].values", _put("rounds", 0, "series", 0, "values", value=[1.0]), "as many values as at_s has"),
    ("rounds[0].series[0].at_s[1]", _put("rounds", 0, "series", 0, "at_s", 1, value=-1), "not be before the time"),
    ("rounds[0].processes[0].pss_bytes", _put("rounds", 0, "processes", 0, "pss_bytes", value=[]), "as many values"),
    ("rounds[0].marks[0].at_s", _put("rounds", 0, "marks", 0, "at_s", value=1e300), "from -1e+09 to 1e+09, not 1e+300"),
    ("rounds[0].counts.offered", _put("rounds", 0, "counts", "offered", value=-3), "must be a whole number from 0"),
    ("rounds[0].seconds", _put("rounds", 0, "seconds", value=-1), "must be a number from 0"),
    ("rounds[0].number", _put("rounds", 0, "number", value=0), "must be a whole number from 1"),
    ("rounds[0].metrics.p99.value", _put("rounds", 0, "metrics", "p99", "value", value=1e19), "not 1e+19"),
    (
        "rounds[0].latencies.outcome.percentiles_us.9x",
        _put("rounds", 0, "latencies", "outcome", "percentiles_us", "9x", value=1.0),
        "must be a percentile from 0 to 100",
    ),
    (
        "rounds[0].latencies.outcome.percentiles_us.101",
        _put("rounds", 0, "latencies", "outcome", "percentiles_us", "101", value=1.0),
        "must be a percentile from 0 to 100",
    ),
    (
        "rounds[0].latencies.outcome.histogram",
        _put("rounds", 0, "latencies", "outcome", "histogram", value="HISTFAAAAA=="),
        "must be an HdrHistogram",
    ),
    (
        "rounds[0].latencies.outcome.histogram",
        _put("rounds", 0, "latencies", "outcome", "count", value=7),
        "of count (7)",
    ),
    ("started_at", _put("started_at", value="yesterday"), "must be a time as ISO 8601 has it"),
    ("checks[0].met", _put("checks", 0, "measured", value=None), "must be false where nothing was measured"),
]


@pytest.mark.parametrize(("place", "change", "reason"), IMPOSSIBLE, ids=[f"{n}" for n in range(len(IMPOSSIBLE))])
def test_what_can_not_be_is_refused(
    place: str, change: Callable[[Any], None], reason: str, forge: Forging, tmp_path: Path
) -> None:
    """What nothing could be drawn of has one fault, at its place, with what would be right."""
    document = json.loads(to_json(forge(rounds=1)))
    change(document)
    (tmp_path / "x.json").write_text(json.dumps(document))
    with pytest.raises(ResultError) as caught:
        reading.read(tmp_path / "x.json")
    [(key, why)] = caught.value.faults
    assert key == place and reason in why
    done = CliRunner().invoke(main, ["report", str(tmp_path / "x.json")])
    assert done.exit_code == 2 and done.stderr.startswith("Error: load test result") and done.stderr.count("\n") == 1


def test_a_run_without_rounds_is_a_result(forge: Forging, tmp_path: Path) -> None:
    """One that was interrupted at once has circumstances, and nothing measured."""
    result = attrs.evolve(forge(rounds=0), ended="interrupted", checks=())
    write(result, tmp_path / "x.json")
    assert reading.read(tmp_path / "x.json") == result
