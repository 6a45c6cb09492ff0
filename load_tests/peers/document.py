"""A comparison as the result of a load test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import attrs
import click

from nyx_plugins.load_tests.interruption import code_after, is_hurried, number_of
from nyx_plugins.load_tests.machine import machine, versions
from nyx_plugins.load_tests.result import Check, Counts, Machine, Metric, Mode, Result, Round
from nyx_plugins.load_tests.run import COMPLETED, INTERRUPTED

from .results import Comparison


@attrs.frozen
class Beginning:
    """When a run has begun, on which machine."""

    at: datetime
    machine: Machine


class Ending:
    """How a run ends: what is done within this may be interrupted, and what was measured before is still there.

    Ctrl-C does it, and SIGTERM.
    """

    def __init__(self) -> None:
        self.text = COMPLETED
        self._number = 0

    def __enter__(self) -> None:
        """There is nothing to prepare."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, KeyboardInterrupt):
            self.text, self._number = INTERRUPTED, number_of(error)
        return self.text == INTERRUPTED

    @property
    def is_hurried(self) -> bool:
        """Whether somebody has interrupted it who may not wait until pictures are drawn."""
        return self.text == INTERRUPTED and is_hurried(self._number)

    def exit(self, code: int = 0) -> None:
        """End the command, once everything is written: with ``code``, or as one that was interrupted."""
        if self.text == INTERRUPTED:
            click.echo("interrupted: there is what was measured by then", err=True)
            click.get_current_context().exit(code_after(self._number))
        click.get_current_context().exit(code)


def begin() -> Beginning:
    """Look at the clock and at the machine."""
    return Beginning(datetime.now(UTC), machine())


def result_of(comparison: Comparison, beginning: Beginning, ending: Ending, settings: Mapping[str, object]) -> Result:
    """Return what was measured of all peers; the settings tell the windows, and why some have no figures."""
    told = {**settings, "windows": comparison.windows, "failures": comparison.failures}
    return document("peers", "The same work with other systems.", beginning, ending, comparison.rounds, told)


def document(
    scenario: str,
    description: str,
    beginning: Beginning,
    ending: Ending,
    rounds: Sequence[Mapping[str, Metric]],
    settings: Mapping[str, object],
    checks: Sequence[Check] = (),
) -> Result:
    """Return a result whose rounds have metrics only."""
    seconds = (datetime.now(UTC) - beginning.at).total_seconds() / max(1, len(rounds))
    return Result(
        scenario,
        description,
        beginning.at.isoformat(timespec="seconds"),
        ending.text,
        Mode.CLOSED,
        False,
        beginning.machine,
        versions(),
        settings,
        tuple(Round(number, seconds, Counts(), metrics) for number, metrics in enumerate(rounds, 1)),
        tuple(checks),
    )
