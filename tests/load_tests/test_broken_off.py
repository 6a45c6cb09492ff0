"""What is left of a run that is broken off in some round, and its exit code: with drivers that take no time."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from nyx_plugins import AlreadyLoaded, NyxPluginError, SystemStopped
from nyx_plugins.config.errors import StartupError
from nyx_plugins.load_tests import run as runs
from nyx_plugins.load_tests.parsing import parse
from nyx_plugins.load_tests.result import Better, Counts, Metric, Result, Round
from nyx_plugins.load_tests.running import broken_off
from nyx_plugins.load_tests.scene import Scene

TEXT = 'name = "own"\ndescription = "Ours."\nmode = "none"\ndriver = "os:getcwd"\nrounds = 3\n'


def driven(monkeypatch: pytest.MonkeyPatch, second: Callable[[Scene], Round]) -> tuple[Result, NyxPluginError | None]:
    """Run three rounds, the second of which is what ``second`` makes of it."""

    def drive(scene: Scene) -> Round:
        return second(scene) if scene.number == 2 else measured(scene)

    monkeypatch.setattr(runs, "find", lambda name, folder: drive)
    return runs.attempt(parse(TEXT, "own.toml", "/", {}), stop=threading.Event())


def measured(scene: Scene) -> Round:
    """Return a round with a figure."""
    return Round(scene.number, 1.0, Counts(), {"a": Metric(float(scene.number), "s", Better.LOWER)})


def test_a_round_that_has_measured_nothing_when_it_is_interrupted_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise its zeros would change all medians."""

    def nothing(scene: Scene) -> Round:
        scene.stop.set()
        return Round(scene.number, 0.0, Counts(), {})

    result, error = driven(monkeypatch, nothing)
    assert ([one.number for one in result.rounds], result.ended, error) == ([1], "interrupted", None)


def test_what_was_measured_by_then_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A round with figures stays, interrupted or not."""

    def something(scene: Scene) -> Round:
        scene.stop.set()
        return measured(scene)

    assert [one.number for one in driven(monkeypatch, something)[0].rounds] == [1, 2]


def test_a_second_interruption_keeps_the_rounds_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one under way is lost; one that was not announced by a first is an interruption like any other."""

    def twice(scene: Scene) -> Round:
        scene.stop.set()
        raise KeyboardInterrupt

    def once(scene: Scene) -> Round:
        raise KeyboardInterrupt

    result, _ = driven(monkeypatch, twice)
    assert ([one.number for one in result.rounds], result.ended) == ([1], "interrupted")
    with pytest.raises(KeyboardInterrupt):
        driven(monkeypatch, once)


def test_what_breaks_a_run_off_is_known_besides_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its text is how the run has ended."""

    def stopped(scene: Scene) -> Round:
        raise StartupError("the system stopped meanwhile")

    result, error = driven(monkeypatch, stopped)
    assert isinstance(error, StartupError) and result.ended == str(error) and len(result.rounds) == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [(StartupError("?"), 3), (SystemStopped("?"), 3), (AlreadyLoaded(7, "running"), 2), (NyxPluginError("?"), 2)],
)
def test_only_a_system_that_is_gone_has_a_code_of_its_own(error: NyxPluginError, code: int) -> None:
    """Neither 1, which is a limit that was not met, nor 4."""
    assert broken_off(error).exit_code == code
