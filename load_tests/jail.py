"""What the jail costs: a worker with it against the same worker without it, started in turn.

Run as ``python -m nyx_plugins.load_tests.jail``. Of each side the best counts, which other programs have disturbed
least. The exit code is 1 when a limit is not met.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import attrs
import click

from nyx_plugins import PluginHeader
from nyx_plugins.actors.confinement import confinement
from nyx_plugins.plugins.policy import Policy
from nyx_plugins.plugins.worker import protocol, spawn
from nyx_plugins.plugins.worker.batch import Batch
from nyx_plugins.plugins.worker.jail.plan import Worker

from .scratch import scratch

EXIT_NOT_MET = 1
START_LIMIT = 1.3
RATE_LIMIT = 0.95
BATCH = 200
MOST_BYTES = 1 << 20
PLUGIN = """
from nyx_plugins.plugins import Plugin
class Echo(Plugin):
    def on_data(self, frame):
        return frame.data
"""
POLICY = Policy(memory_bytes=256 << 20, open_files=64, threads=8, scratch_bytes=1 << 20)


@attrs.frozen
class Cost:
    """Seconds until a worker is ready, and frames of 1 KiB per second, in batches."""

    start_s: float
    rate: float


class Peer:
    """A worker, and the host's end of it."""

    def __init__(self, folder: Path, jailed: bool) -> None:
        self._socket, theirs = socket.socketpair()
        self._reader = protocol.MessageReader()
        page = os.memfd_create("page")
        os.ftruncate(page, protocol.PAGE_BYTES)
        with theirs, confinement(POLICY, str(folder / "bundle"), str(folder / "scratch")) as jail:
            fd = theirs.fileno()
            self._process = subprocess.Popen(
                spawn.worker_command(fd, page),
                env=jail.environment,
                stdin=subprocess.DEVNULL,
                pass_fds=(fd, page, *jail.descriptors()),
            )
            os.close(page)
            orders = jail.orders(Worker(self._process.pid, os.getpid(), (fd,)), jail.ruleset) if jailed else []
        message = spawn.start_message(
            plugin_id=1,
            name="echo",
            bundle=str(folder / "bundle"),
            entry_point="plugin:Echo",
            config={},
            max_reply_bytes=MOST_BYTES,
            jail=orders,
        )
        self._socket.sendall(protocol.encode(message))
        [ready] = self._messages()
        assert ready == [protocol.READY], ready

    def frames_per_second(self, frames: int) -> float:
        """Send frames, a batch at a time, and wait for their replies."""
        header = PluginHeader(1, 0, bytes(1024)).encode()
        begun = time.perf_counter()
        for first in range(0, frames, BATCH):
            self._socket.sendall(protocol.encode(Batch.of([(0x52, header)] * BATCH).message(first)))
            answered = 0
            while answered < BATCH:
                answered += sum(len(message[2]) for message in self._messages())
        return frames / (time.perf_counter() - begun)

    def _messages(self) -> list[protocol.Message]:
        found: list[protocol.Message] = []
        while not found:
            piece = self._socket.recv(MOST_BYTES)
            if not piece:
                raise EOFError("the worker has ended")
            found = self._reader.feed(piece)
        return found

    def close(self) -> None:
        """End the worker."""
        self._socket.close()
        self._process.wait()


def measure(rounds: int, frames: int) -> tuple[Cost, Cost]:
    """Return the best of ``rounds`` workers without the jail, and of as many with it."""
    seen: dict[bool, list[Cost]] = {False: [], True: []}
    spawn.prepare()
    with scratch("nyx-jail-") as folder:
        (folder / "bundle").mkdir()
        (folder / "bundle" / "plugin.py").write_text(PLUGIN)
        for _ in range(rounds):
            for jailed, costs in seen.items():
                costs.append(_one(folder, jailed, frames))
    return _best(seen[False]), _best(seen[True])


def _one(folder: Path, jailed: bool, frames: int) -> Cost:
    begun = time.perf_counter()
    with contextlib.closing(Peer(folder, jailed)) as peer:
        return Cost(time.perf_counter() - begun, peer.frames_per_second(frames))


def _best(costs: list[Cost]) -> Cost:
    return Cost(min(cost.start_s for cost in costs), max(cost.rate for cost in costs))


def lines(without: Cost, with_it: Cost) -> Iterator[tuple[str, bool]]:
    """Yield a line for each figure, and whether its limit is met."""
    start, rate = with_it.start_s / without.start_s, with_it.rate / without.rate
    milliseconds = f"{with_it.start_s * 1000:.1f} ms for {without.start_s * 1000:.1f} ms"
    yield f"start-up {milliseconds}: {start:.2f}x (at most {START_LIMIT}x)", start <= START_LIMIT
    frames = f"{with_it.rate:,.0f} frames/s for {without.rate:,.0f}"
    yield f"{frames}: {rate:.2f}x (at least {RATE_LIMIT}x)", rate >= RATE_LIMIT


@click.command()
@click.option("--rounds", default=30, show_default=True, type=click.IntRange(1), help="Workers of each kind.")
@click.option("--frames", default=10_000, show_default=True, type=click.IntRange(1), help="Frames for each worker.")
def main(rounds: int, frames: int) -> None:
    """Measure what the jail costs a worker."""
    met = True
    for line, is_met in lines(*measure(rounds, frames)):
        click.echo(f"{line}{'' if is_met else '  NOT MET'}")
        met = met and is_met
    if not met:
        click.get_current_context().exit(EXIT_NOT_MET)


if __name__ == "__main__":
    main()
