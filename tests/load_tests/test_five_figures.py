"""The load test itself, with few plugins and few frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from nyx_plugins import PluginSystem
from nyx_plugins.load_tests import five_figures
from nyx_plugins.load_tests.five_figures import Figure

SMALL = {
    "one_plugin": partial(five_figures.one_plugin, frames=50),
    "many_plugins": partial(five_figures.many_plugins, plugins=3),
    "stress": partial(five_figures.stress, plugins=2, frames=9),
    "memory": partial(five_figures.memory, plugins=2, frames=2),
    "refusals": partial(five_figures.refusals, plugins=2),
}


@pytest.mark.parametrize("name", SMALL)
def test_each_test_gives_its_figures(name: str, system: PluginSystem) -> None:
    """Every test runs on every transport; what is counted is as it must be, whatever the time taken."""
    figures = list(SMALL[name](system))
    assert {figure.test for figure in figures} == {list(SMALL).index(name) + 1}
    assert [figure for figure in figures if figure.met is False and "/s" not in figure.what] == []


def test_memory_of_a_process_that_has_ended_is_none() -> None:
    """A process that ends while the memory is added up counts for nothing."""
    assert five_figures.proportional_set_size([2**22 + 1]) == 0


@pytest.mark.parametrize(("met", "exit_code"), [(True, 0), (None, 0), (False, 1)])
def test_the_exit_code_says_whether_all_limits_were_met(
    met: bool | None, exit_code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One figure beyond its limit is exit code 1; what is only measured has no limit."""

    def pretend(system: Any) -> Iterator[Figure]:
        """(1) Nothing at all."""
        yield Figure(1, "something", "5", "4", met)

    monkeypatch.setattr(five_figures, "TESTS", [pretend])
    result = CliRunner().invoke(five_figures.main, ["--transport", "inline"])
    assert result.exit_code == exit_code
    assert "something" in result.stdout and ("NO" in result.stdout) == (met is False)
    assert result.stderr == "(1) Nothing at all.\n"


def test_durations_and_counts_are_judged() -> None:
    """A count has one right value; a duration must stay below its limit."""
    judged: list[tuple[Callable[..., Figure], Any, Any, bool]] = [
        (five_figures.exactly, 5, 5, True),
        (five_figures.exactly, 4, 5, False),
        (partial(five_figures.at_most, metric="some_s"), 2.99, 3.0, True),
        (partial(five_figures.at_most, metric="some_s"), 3.0, 3.0, False),
    ]
    for judge, value, limit, met in judged:
        assert judge(1, "figure", value, limit).met is met


def test_limits_of_tests_that_were_not_done_are_not_met() -> None:
    """After an interruption nobody knows how many would be met."""
    figures = [five_figures.at_most(test, "", 1.0, 2.0, f"seconds_{test}") for test in range(1, 6)]
    whole, broken = five_figures.round_of(1, 1.0, figures), five_figures.round_of(1, 1.0, figures[:3])
    assert whole.metrics["figures_not_met"].value == 0 and not whole.notes
    assert "figures_not_met" not in broken.metrics and "seconds_3" in broken.metrics
    assert broken.notes == ("3 of 5 tests were done, so not all limits were measured",)


def test_the_table_has_a_line_for_each_figure() -> None:
    """All figures are shown."""
    console = Console(width=80)
    with console.capture() as shown:
        console.print(five_figures.as_table([Figure(1, "one", "1"), Figure(2, "two", "2", "3", True)]))
    assert len(shown.get().splitlines()) == 4
