"""Runs of two builds, taking turns: what disturbs the machine for minutes disturbs both."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import attrs

from nyx_plugins.config.errors import NyxPluginError

from ..errors import RunFailed
from ..reading import FILE_NAME, read
from ..result import Result
from .layout import Build

TIMEOUT_S = 900
PATIENCE_S = 60
"""For a run that was told to end."""


@attrs.frozen
class Turn:
    """One run of one build."""

    build: Build
    scenario: str
    pair: int
    result: Result


@attrs.frozen
class Plan:
    """What is to be run."""

    scenarios: tuple[str, ...]
    pairs: int
    seconds: float | None
    """Measured in each run; ``None`` for what the scenario says."""
    settings: tuple[str, ...] = ()
    """``KEY=VALUE``, as the command ``run`` takes them."""


Run = Callable[[Build, str, Path], Result]
"""Runs a scenario on a build, with a folder for it to write into."""


def turns(plan: Plan, base: Build, candidate: Build, folder: Path, run: Run) -> Iterator[Turn]:
    """Run each scenario in pairs. Who begins changes from pair to pair, so that neither always comes second."""
    for number, scenario in enumerate(plan.scenarios, 1):
        for pair in range(1, plan.pairs + 1):
            order = (base, candidate) if pair % 2 else (candidate, base)
            for build in order:
                place = folder / build.name / f"{number}-{Path(scenario).stem}-{pair}"
                yield Turn(build, scenario, pair, run(build, scenario, place))


def runner(plan: Plan) -> Run:
    """Return what runs a scenario in a process of its own."""

    def run(build: Build, scenario: str, folder: Path) -> Result:
        folder.mkdir(parents=True)
        log = folder / "output.txt"
        _wait(_command(plan, scenario, folder), build, log)
        try:
            return read(folder / FILE_NAME)
        except NyxPluginError as error:
            raise RunFailed(build.name, scenario, _last_line(log) or str(error)) from None

    return run


def _command(plan: Plan, scenario: str, folder: Path) -> Sequence[str]:
    module = [sys.executable, "-P", "-m", "nyx_plugins.load_tests", "run", scenario]
    seconds = [] if plan.seconds is None else ["--seconds", str(plan.seconds)]
    settings = [word for setting in plan.settings for word in ("--set", setting)]
    return [*module, "--rounds", "1", *seconds, *settings, "--output", str(folder), "--no-report", "--no-progress"]


def _wait(command: Sequence[str], build: Build, log: Path) -> None:
    """Run it to its end; a run that is given up is asked to end first, since it has processes to clean up."""
    with log.open("wb") as output:
        # A session of its own: Ctrl-C reaches us alone, and so reaches the run once.
        process = subprocess.Popen(
            command,
            env=build.environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise RunFailed(build.name, command[-1], f"it was not done after {TIMEOUT_S} s") from None
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1] if lines else ""
