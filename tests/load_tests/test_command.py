"""The load tests as one command."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from nyx_plugins import __version__
from nyx_plugins.load_tests import extra
from nyx_plugins.load_tests.__main__ import main


@pytest.mark.parametrize("name", ["bench", "chaos", "compare", "gate", "growth", "peers", "recovery", "swap"])
def test_each_load_test_tells_what_it_does(name: str) -> None:
    """It has its place in the list, and a help of its own."""
    assert f"\n  {name} " in CliRunner().invoke(main, ["--help"]).output
    assert "  --" in CliRunner().invoke(main, [name, "--help"]).output


def test_the_version_is_that_of_the_package() -> None:
    """Both commands come with it."""
    assert CliRunner().invoke(main, ["--version"]).output == f"nyx-plugins-load, version {__version__}\n"


@pytest.mark.parametrize("name", ["run", "gate", "compare", "report"])
def test_help_names_what_is_not_installed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever looks for the options of a command learns what it needs besides, before it is run."""
    monkeypatch.setattr(extra.importlib.util, "find_spec", lambda module: None)
    done = CliRunner().invoke(main, [name, "--help"])
    assert done.exit_code == 0 and "pip install 'nyx-plugins[load]'" in " ".join(done.output.split())


@pytest.mark.parametrize("words", [["show", "nosuch"], ["run", "nosuch"]])
def test_a_scenario_that_is_not_there_is_told_with_those_that_are(words: list[str]) -> None:
    """Nothing is suggested that is spelt quite differently."""
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2 and "known are chaos, churn," in done.stderr and "did you mean" not in done.stderr


def test_settings_are_not_for_a_service() -> None:
    """One that runs already keeps its own, and nobody believes otherwise."""
    words = ["run", "throughput", "--connect", "/nowhere", "--set", "settings.limits.mailbox_capacity=5"]
    done = CliRunner().invoke(main, words)
    assert (done.exit_code, done.stderr) == (
        2,
        "Error: scenario --set: settings: is for a system of the run's own: no --connect with it\n",
    )


@pytest.mark.parametrize(
    ("option", "text"),
    [("--seed", "'x' is no whole number, such as 1000"), ("--rate", "'x' is no number, such as 1.5")],
)
def test_a_wrong_number_is_told_in_plain_words(option: str, text: str) -> None:
    """What the library that reads options calls its own types is nobody's business."""
    done = CliRunner().invoke(main, ["chaos", option, "x"])
    said = f"Error: invalid value for '{option}': {text}; try 'main chaos --help'\n"
    assert (done.exit_code, done.stderr) == (2, said)


def test_a_service_that_is_not_there_gets_no_plugins(tmp_path: Path) -> None:
    """It is told before anything is said to be loaded."""
    done = CliRunner().invoke(main, ["run", "latency", "--connect", str(tmp_path / "nowhere")])
    assert done.exit_code == 3 and "no service is running in" in done.stderr and "loading" not in done.stderr
