"""What ends a run from outside: its exit code, what is kept, and what is told. Signals are sent to this process."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from click.testing import CliRunner, Result

from nyx_plugins.load_tests import library, report
from nyx_plugins.load_tests import run as runs
from nyx_plugins.load_tests.__main__ import main
from nyx_plugins.load_tests.drafts import drafted
from nyx_plugins.load_tests.interruption import HEARD, Interruption, Stop, interruptible
from nyx_plugins.load_tests.reading import read

Forging = Callable[..., Any]
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


@pytest.fixture(autouse=True)
def heard() -> Iterator[None]:
    """Have the signals do what they do in a terminal, also where these tests run in the background."""
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", HEARD)
def test_each_signal_has_its_exit_code(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In any command: that which a shell shows for it."""
    monkeypatch.setattr(library, "shipped", lambda: os.kill(os.getpid(), number))
    before = signal.getsignal(number)
    result = CliRunner().invoke(main, ["list"])
    assert (result.exit_code, signal.getsignal(number)) == (CODES[signal.Signals(number)], before)
    assert "everything that was started has been stopped" in result.output


def test_other_signals_interrupt_as_ctrl_c_does() -> None:
    """And tell which they are."""
    with pytest.raises(KeyboardInterrupt) as raised, interruptible():
        os.kill(os.getpid(), signal.SIGHUP)
    assert isinstance(raised.value, Interruption) and raised.value.number == signal.SIGHUP


def test_who_is_to_outlive_the_terminal_does() -> None:
    """As nohup asks for it."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with interruptible():
        os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def pretended(monkeypatch: pytest.MonkeyPatch, forge: Forging, folder: Path, number: int = 0) -> Result:
    """Run a scenario which a signal ends early, without a system."""

    def attempt(plan: object, *, stop: Stop, **others: object) -> object:
        if number:
            os.kill(os.getpid(), number)
        return forge(changes={"ended": "interrupted" if stop.is_set() else "completed"}), None

    monkeypatch.setattr(runs, "attempt", attempt)
    return CliRunner().invoke(main, ["run", "throughput", "--output", str(folder)])


@pytest.mark.parametrize("number", HEARD)
def test_who_is_hurried_draws_no_report(
    number: int, monkeypatch: pytest.MonkeyPatch, forge: Forging, tmp_path: Path
) -> None:
    """After Ctrl-C there is one; a supervisor waits for a while only, and is told how to get it later."""
    monkeypatch.setattr(report, "write_report", lambda result, folder: folder / "report.html")
    result = pretended(monkeypatch, forge, tmp_path, number)
    assert result.exit_code == CODES[signal.Signals(number)] and read(tmp_path).ended == "interrupted"
    is_drawn = number == signal.SIGINT
    assert (f"report: {tmp_path}" in result.output, "no report is drawn" in result.output) == (is_drawn, not is_drawn)


def test_ctrl_c_while_the_report_is_drawn_keeps_the_result(
    monkeypatch: pytest.MonkeyPatch, forge: Forging, tmp_path: Path
) -> None:
    """And says where it is."""

    def draw(*_: object) -> NoReturn:
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError

    monkeypatch.setattr(report, "write_report", draw)
    result = pretended(monkeypatch, forge, tmp_path)
    assert result.exit_code == 143 and read(tmp_path).ended == "completed"
    assert f"the figures are in {tmp_path / 'result.json'}" in result.output


def test_a_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    """Whatever happens while it is written; an error names the file, and nothing else is left."""
    path = tmp_path / "file"
    path.write_text("before")
    with pytest.raises(KeyboardInterrupt), drafted(path) as draft:
        draft.write_text("hal")
        raise KeyboardInterrupt
    with pytest.raises(OSError, match=r"No space left on device: '.*/file'") as raised, drafted(path):
        raise OSError(28, "No space left on device")
    assert raised.value.filename == str(path)
    assert list(tmp_path.iterdir()) == [path] and path.read_text() == "before"
    with drafted(path) as draft:
        draft.write_text("after")
    assert list(tmp_path.iterdir()) == [path] and path.read_text() == "after"
