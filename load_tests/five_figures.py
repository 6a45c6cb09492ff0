"""The five performance tests of the reference implementation, against this one: figure, limit, met or not.

Run as ``python -m nyx_plugins.load_tests.five_figures``. The exit code is 1 when a limit is not met.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs
import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from nyx_plugins import FrameType, NyxPluginError, PluginFailed, PluginHeader, PluginSettings, PluginSystem
from nyx_plugins.actors.processes import descendants
from nyx_plugins.config.errors import Fault

from .errors import ScenarioError
from .result import Better, Counts, Metric, Round
from .scene import Scene

EXIT_NOT_MET = 1
TIMEOUT_S = 60.0
CALLERS = 16
UNKNOWN_ID = 999
THREE_TYPES = (FrameType.HANDSHAKE, FrameType.DATA, FrameType.CONTROL)
MIB = 1024 * 1024


@attrs.frozen
class Figure:
    """One line of the table; ``met`` is ``None`` for what is measured only."""

    test: int
    what: str
    value: str
    limit: str = "measured"
    met: bool | None = None
    number: float = 0.0
    metric: str = ""
    """What it is called in a result, if it is to be there."""


def one_plugin(system: PluginSystem, frames: int = 1000) -> Iterator[Figure]:
    """(1) One plugin with room for 10,000 frames takes frames of 1 KiB, and processes all."""
    load_echoes(system, 1, capacity=10_000)
    seconds = timed(lambda: send(system, [(FrameType.DATA, 1, 1024)] * frames))
    yield exactly(1, "frames of 1 KiB processed", processed(system, [1]), frames)
    rate = frames / seconds
    yield Figure(1, "frames/s", f"{rate:,.0f}", "over 500", rate > 500, rate, "processed_per_s")


def many_plugins(system: PluginSystem, plugins: int = 100) -> Iterator[Figure]:
    """(2) Plugins are loaded at the same time, each answers a request, and all are unloaded."""
    ids = range(1, plugins + 1)

    def load_and_ask() -> None:
        load_echoes(system, plugins)
        answer_all(system, ids)

    seconds = timed(load_and_ask)
    yield at_most(2, f"seconds until {plugins} plugins have answered", seconds, 5.0, "ready_s")
    seconds = timed(lambda: unload_all(system, ids))
    yield at_most(2, f"seconds to unload {plugins} plugins", seconds, 3.0, "unload_s")
    yield exactly(2, "plugins left", system.loaded_plugin_count(), 0)


def stress(system: PluginSystem, plugins: int = 10, frames: int = 100) -> Iterator[Figure]:
    """(3) Plugins take frames of 512 bytes of three types, in turn; all are processed, none fails."""
    ids = range(1, plugins + 1)
    load_echoes(system, plugins, capacity=1000)
    mixed = [(THREE_TYPES[number % 3], plugin_id, 512) for number in range(frames) for plugin_id in ids]
    seconds = timed(lambda: send(system, mixed))
    yield exactly(3, f"frames of 512 B processed by {plugins} plugins", processed(system, ids), plugins * frames)
    yield exactly(3, "errors", sum(system.plugin_stats(plugin_id).errors for plugin_id in ids), 0)
    rate = plugins * frames / seconds
    yield Figure(3, "frames/s", f"{rate:,.0f}", number=rate, metric="stress_processed_per_s")


def memory(system: PluginSystem, plugins: int = 50, frames: int = 20) -> Iterator[Figure]:
    """(4) Many plugins have work at once; each gets its share, and the memory of all processes is measured."""
    ids = range(1, plugins + 1)
    load_echoes(system, plugins)
    send(system, [(FrameType.DATA, plugin_id, 100) for _ in range(frames) for plugin_id in ids])
    least = min(system.plugin_stats(plugin_id).messages_processed for plugin_id in ids)
    yield Figure(4, f"frames of 100 B processed by the slowest of {plugins}", f"{least:,}", "at least 1", least >= 1)
    total = proportional_set_size([system.host_pid, *descendants(system.host_pid)])
    each = total / plugins
    yield Figure(4, "MiB (PSS) of all processes", f"{total / MIB:,.0f}", number=total, metric="memory_bytes")
    yield Figure(4, "MiB (PSS) for each plugin", f"{each / MIB:,.1f}", number=each, metric="memory_bytes_per_plugin")


def refusals(system: PluginSystem, plugins: int = 5) -> Iterator[Figure]:
    """(5) As many frames for an id that is not registered as for plugins that are."""
    load_echoes(system, plugins)
    frames = [(FrameType.DATA, target, 10) for known in range(1, plugins + 1) for target in (known, UNKNOWN_ID)]
    send(system, frames)
    stats = system.dispatch_stats()
    yield exactly(5, "frames dispatched", stats.frames_dispatched, plugins)
    yield exactly(5, f"dispatch errors, for id {UNKNOWN_ID}", stats.dispatch_errors, plugins)


TESTS: Sequence[Callable[[PluginSystem], Iterator[Figure]]] = (one_plugin, many_plugins, stress, memory, refusals)


# What the tests are made of.


def load_echoes(system: PluginSystem, plugins: int, capacity: int | None = None) -> None:
    """Load the bundled echo plugin under the ids from 1 on, all at once; raises the first error."""
    wanted = [PluginSettings("builtin:echo", id=number, capacity=capacity) for number in range(1, plugins + 1)]
    for result in system.load_many(wanted):
        if isinstance(result, NyxPluginError):
            raise result


def answer_all(system: PluginSystem, ids: Sequence[int]) -> None:
    """Have every plugin answer one request, all asked at once; raises the first error."""
    questions = [b"are you there, %d?" % plugin_id for plugin_id in ids]
    headers = [PluginHeader(plugin_id, 0, question) for plugin_id, question in zip(ids, questions, strict=True)]
    receipts = system.dispatch_many([(FrameType.DATA, header) for header in headers], timeout=TIMEOUT_S)
    for plugin_id, question, receipt in zip(ids, questions, receipts, strict=True):
        if isinstance(receipt, NyxPluginError):
            raise receipt
        answer = receipt.outcome(TIMEOUT_S).reply
        if answer != question:
            raise PluginFailed(plugin_id, f"it answered {answer!r}", "request")


def unload_all(system: PluginSystem, ids: Sequence[int]) -> None:
    """Unload all these, several at the same time."""
    with ThreadPoolExecutor(CALLERS) as pool:
        list(pool.map(system.unload, ids))


def send(system: PluginSystem, frames: Sequence[tuple[int, int, int]]) -> None:
    """Dispatch frames, each (type, plugin id, bytes of data), and wait for their outcomes."""
    headers = [(kind, PluginHeader(plugin_id, 0, bytes(size)).encode()) for kind, plugin_id, size in frames]
    system.dispatch_many(headers, timeout=TIMEOUT_S)
    system.drain(TIMEOUT_S)


def processed(system: PluginSystem, ids: Sequence[int]) -> int:
    """Add up what these plugins have processed."""
    return sum(system.plugin_stats(plugin_id).processed for plugin_id in ids)


def timed(work: Callable[[], object]) -> float:
    """Return how long ``work`` takes, in seconds."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def exactly(test: int, what: str, value: int, wanted: int) -> Figure:
    """Judge a count that has one right value."""
    return Figure(test, what, f"{value:,}", f"{wanted:,}", value == wanted, value)


def at_most(test: int, what: str, seconds: float, limit: float, metric: str) -> Figure:
    """Judge a duration."""
    return Figure(test, what, f"{seconds:.2f}", f"under {limit:g}", seconds < limit, seconds, metric)


def proportional_set_size(pids: Sequence[int]) -> int:
    """Add up the memory of these processes in bytes, what they share counted once; those that have ended have none."""
    return sum(map(_pss, pids))


def _pss(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def run(transport: str, note: Callable[[str], None], stop: threading.Event | None = None) -> list[Figure]:
    """Run all five, each on a system of its own, or as many as there is time for until ``stop`` is set."""
    figures: list[Figure] = []
    for test in TESTS:
        if stop is not None and stop.is_set():
            break
        note((test.__doc__ or "").splitlines()[0])
        with PluginSystem(transport=transport) as system:
            figures += test(system)
    return figures


def drive(scene: Scene) -> Round:
    """Be the driver of the scenario ``reference``."""
    if scene.connect is not None:
        raise ScenarioError(
            "--connect", [Fault("", "the tests of the reference need a system of their own: leave it out")]
        )
    begun = time.monotonic()
    figures = run("unix", scene.show.phase, scene.stop)
    return round_of(scene.number, time.monotonic() - begun, figures)


def round_of(number: int, seconds: float, figures: Sequence[Figure]) -> Round:
    """Return the figures as a round; a note tells of tests that were not done, and then nobody knows how many miss."""
    done = len({figure.test for figure in figures})
    notes = () if done == len(TESTS) else (f"{done} of {len(TESTS)} tests were done, so not all limits were measured",)
    return Round(number, seconds, _counts(figures), dict(_metrics(figures)), notes=notes)


def _metrics(figures: Sequence[Figure]) -> Iterator[tuple[str, Metric]]:
    if {figure.test for figure in figures} == set(range(1, len(TESTS) + 1)):
        yield "figures_not_met", Metric(sum(figure.met is False for figure in figures), "figures", Better.LOWER)
    for figure in figures:
        if figure.metric:
            better = Better.HIGHER if figure.metric.endswith("_per_s") else Better.LOWER
            unit = "frames/s" if better is Better.HIGHER else figure.metric.rpartition("_")[2]
            yield figure.metric, Metric(figure.number, {"plugin": "bytes"}.get(unit, unit), better)


def _counts(figures: Sequence[Figure]) -> Counts:
    processed = sum(int(figure.number) for figure in figures if "processed" in figure.what and figure.test in (1, 3))
    return Counts(processed, processed)


def as_table(figures: Sequence[Figure]) -> Table:
    """Lay the figures out."""
    table = Table("test", "figure", box=SIMPLE_HEAD, show_edge=False)
    table.add_column("value", justify="right")
    table.add_column("limit", justify="right")
    table.add_column("met")
    for figure in figures:
        verdict = {True: "yes", False: "[red]NO[/]", None: ""}[figure.met]
        table.add_row(str(figure.test), figure.what, figure.value, figure.limit, verdict)
    return table


@click.command()
@click.option("--transport", type=click.Choice(["unix", "inline"]), default="unix", show_default=True)
def main(transport: str) -> None:
    """Run the reference's five performance tests and print what they give."""
    figures = run(transport, lambda text: click.echo(text, err=True))
    Console().print(as_table(figures))
    if not all(figure.met is not False for figure in figures):
        click.get_current_context().exit(EXIT_NOT_MET)


if __name__ == "__main__":
    main()
