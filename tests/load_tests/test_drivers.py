"""Drivers of everybody's own: whatever they do, what was measured before is kept, and one line says what went wrong."""

from __future__ import annotations

import inspect
import re
import threading
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import create_autospec

import pytest
from click.testing import CliRunner

from nyx_plugins import PluginSystem, StartupError
from nyx_plugins.load_tests import stage
from nyx_plugins.load_tests.__main__ import main
from nyx_plugins.load_tests.drivers import drive
from nyx_plugins.load_tests.parsing import parse
from nyx_plugins.load_tests.reading import read
from nyx_plugins.load_tests.scene import Scene, Silence

HEAD = """
from nyx_plugins.load_tests.result import Better, Counts, Metric, Round, Series
def drive(scene):
    made = Round(scene.number, 1.0, Counts(), {"answer": Metric(42.0, "x", Better.HIGHER)})
    if scene.number < 2:
        return made
"""
FAULTY = {
    "none": ("return None", "it has returned None, and has to return a nyx_plugins.load_tests.result.Round"),
    "text": ("return 'done'", "it has returned a str, and has to"),
    "raises": ("raise KeyError('x')", "KeyError: 'x' (faulty_raises.py, line 7)"),
    "exits": ("raise SystemExit(3)", "SystemExit: 3 (faulty_exits.py, line 7)"),
    "base": ("raise BaseException('x')", "BaseException: x (faulty_base.py, line 7)"),
    "wordless": (
        "raise type('Wordless', (Exception,), {'__str__': lambda _: 5})",
        "Wordless: (its text can't be had: TypeError) (faulty_wordless.py, line 7)",
    ),
    "half": ("raise ValueError('caf\\udce9')", "ValueError: caf? (faulty_half.py, line 7)"),
    "nan": (
        "return Round(2, float('nan'), Counts(), {})",
        "Round can't be: seconds: must be a number from 0 to 1e+09, not nan (faulty_nan.py, line 7)",
    ),
    "metric": (
        "return Round(2, 1.0, Counts(), {'x': Metric(float('inf'), 's', Better.LOWER)})",
        "Metric can't be: value: must be a number from -1e+18 to 1e+18, not inf",
    ),
    "types": (
        "return Round(2, 1.0, Counts(), {'x': 5}, notes=(1,))",
        "can't be: metrics.x: must be a table, not an integer (5); notes[0]: must be a string, not an integer (1)",
    ),
    "no_json": ("return Round(2, 1.0, Counts(), {'x': object()})", "what it has returned can't be: "),
    "lengths": ("Series('s', 'x', (1.0,), ())", "Series can't be: values: must have as many values as at_s has times"),
}


@pytest.mark.parametrize("kind", FAULTY)
def test_a_faulty_driver_is_named_and_earlier_rounds_are_kept(kind: str, tmp_path: Path) -> None:
    """The second round goes wrong: the result has the first one."""
    fault, reason = FAULTY[kind]
    (tmp_path / f"faulty_{kind}.py").write_text(f"{HEAD}    {fault}\n")
    (tmp_path / "own.toml").write_text(
        f'name = "own"\ndescription = "Ours."\nmode = "none"\ndriver = "faulty_{kind}:drive"\n'
    )
    words = ["run", str(tmp_path / "own.toml"), "--no-report", "--no-progress", "--output", str(tmp_path / "out")]
    done = CliRunner().invoke(main, words)
    last = done.stderr.splitlines()[-1]
    assert done.exit_code == 2 and last.startswith(f"Error: driver faulty_{kind}:drive in round 2: "), done.output
    assert reason in last
    result = read(tmp_path / "out")
    assert [one.metrics["answer"].value for one in result.rounds] == [42.0] and reason in result.ended


def test_what_is_no_text_and_where_a_driver_goes_harm_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a character, as a file's name may have one, is written as its number, and into the folder asked for."""
    monkeypatch.chdir(tmp_path)
    moved = f"{HEAD}".replace("answer", "caf\\udce9").replace("if scene", "__import__('os').chdir('/')\n    if scene")
    Path("moved.py").write_text(moved)
    Path("own.toml").write_text(
        'name = "own"\ndescription = "Ours."\nmode = "none"\ndriver = "moved:drive"\nrounds = 1\n'
    )
    done = CliRunner().invoke(main, ["run", "own.toml", "--no-report", "--no-progress", "--output", "out"])
    assert done.exit_code == 0, done.output
    assert list(read(tmp_path / "out").rounds[0].metrics) == ["caf\\udce9"]


def test_what_is_no_driver_is_told_before_anything_is_written(tmp_path: Path) -> None:
    """A function that takes nothing fails in the first round: there is no result."""
    (tmp_path / "own.toml").write_text('name = "own"\ndescription = "Ours."\nmode = "none"\ndriver = "os:getcwd"\n')
    words = ["run", str(tmp_path / "own.toml"), "--no-progress", "--output", str(tmp_path / "out")]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2 and "driver os:getcwd in round 1: TypeError" in done.stderr
    assert not (tmp_path / "out" / "result.json").exists()


MANUAL = (Path(__file__).parents[2] / "docs" / "load-tests.md").read_text(encoding="utf-8")
PLAN = 'name = "mine"\ndescription = "Mine."\nmode = "none"\ndriver = "mine:drive"\n[plugins.work]\n'


def test_the_driver_of_the_manual_fits_what_it_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever copies it measures how long a pause takes: each call is checked against what is really there."""
    scenario = parse(PLAN, "mine.toml", "/").scenario
    system = create_autospec(PluginSystem, instance=True)
    signature = inspect.signature(stage.staged)

    def staged(*given: object, **named: object) -> object:
        signature.bind(*given, **named)
        return nullcontext(SimpleNamespace(system=system, places=stage.places_of(scenario)))

    monkeypatch.setattr(stage, "staged", staged)
    [text] = re.findall(r"```python\n(.*?)```", MANUAL, re.S)
    module: dict[str, object] = {}
    exec(text, module)
    made = drive(module["drive"], Scene(scenario, 1, Path("/"), None, threading.Event(), Silence()))  # type: ignore[arg-type]
    assert list(made.metrics) == ["pause_s"] and system.pause.call_args.args == (70_001,)


@pytest.mark.parametrize("connect", [None, Path("/nowhere")])
def test_a_stage_leaves_the_room_in_mailboxes_to_clients(connect: Path | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own session is lent none before it sends, unless the driver says that it does."""
    seen: list[object] = []

    def started(*_: object, sends: bool, **__: object) -> object:
        seen.append(sends)
        raise StartupError("far enough")

    monkeypatch.setattr(stage, "PluginSystem", started)
    monkeypatch.setattr(started, "connect", started, raising=False)
    scenario = parse(PLAN, "mine.toml", "/").scenario
    for told in ({}, {"sends": True}):
        with pytest.raises(StartupError), stage.staged(scenario, Path("/"), connect, **told):
            pass
    assert seen == [False, True]
