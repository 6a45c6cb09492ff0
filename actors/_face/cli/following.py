"""What ``events`` does: follow the notices of a system, one line each."""

from __future__ import annotations

import contextlib
import math
import os
import select
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime

import click

from ..actors.events import Emitted, Notice
from ..actors.subscription import Subscription
from ..actors.system import PluginSystem
from ..plugins.errors import DispatchTimeout, SystemStopped
from .data import readable
from .failure import one_line
from .fields import emitted_fields, event_fields, print_json_line
from .managing import SYSTEM, described

# How often the reader of the output is looked for.
PATIENCE_S = 0.5
SHOWN_CHARS = 200


class Follower:
    """Prints notices until there were enough of them, the time is over, or nobody reads what is printed."""

    def __init__(self, notices: Subscription, show: Callable[[Notice], None], tell_lost: Callable[[int], None]) -> None:
        self.lines = 0
        self._notices = notices
        self._show = show
        self._tell_lost = tell_lost
        self._lost = 0

    def run(self, count: int | None, timeout: float | None) -> bool:
        """Follow; whether it is known that there will be no more notices."""
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        while count is None or self.lines < count:
            waking = min(deadline, time.monotonic() + PATIENCE_S)
            notice = self._notices.get(max(0.0, waking - time.monotonic()))
            if notice is not None:
                self._take(notice)
            elif (now := time.monotonic()) < waking:
                return True
            elif now >= deadline or not is_read():
                return False
        return False

    def _take(self, notice: Notice) -> None:
        if (lost := self._notices.dropped - self._lost) > 0:
            self._lost += lost
            self._tell_lost(lost)
        self._show(notice)
        self.lines += 1


def follow(system: PluginSystem, count: int | None, timeout: float | None, json_wanted: bool) -> None:
    """Print notices as they come, until there were ``count``, or ``timeout`` seconds are over.

    Raises :class:`DispatchTimeout` and :class:`SystemStopped`.
    """
    show, tell_lost = (_show_json, _lost_json) if json_wanted else (_Lines(system).show, _lost_line)
    try:
        with system.subscribe() as notices:
            follower = Follower(notices, show, tell_lost)
            if follower.run(count, timeout):
                # Raises the reason for which the system has stopped.
                system.dispatch_stats()
    except BrokenPipeError:
        forget_output()
    else:
        if count is not None and timeout is not None and follower.lines < count and is_read():
            raise DispatchTimeout(None, f"{follower.lines:,} of {count:,} events came: the others did", timeout)


def is_read() -> bool:
    """Whether anybody can still read standard output: that a pipe has lost its reader, only a write would tell."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        return not poll.poll(0)
    except (OSError, ValueError):
        return True


def forget_output() -> None:
    """Let nothing more be written to a pipe that nobody reads, at the end of the program either."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


class _Lines:
    """Notices as lines for people, with the names of plugins, those too that are unloaded meanwhile."""

    def __init__(self, system: PluginSystem) -> None:
        self._system = system
        self._names: dict[int, str] = {}
        self._learn()

    def show(self, notice: Notice) -> None:
        click.echo(f"{datetime.now():%H:%M:%S}  {_kind(notice):<9}  {self._whom(notice)}{_details(notice)}")

    def _whom(self, notice: Notice) -> str:
        if notice.plugin_id is None:
            return SYSTEM
        if notice.plugin_id not in self._names:
            self._learn()
        return described(notice.plugin_id, self._names.setdefault(notice.plugin_id, ""))

    def _learn(self) -> None:
        with contextlib.suppress(DispatchTimeout, SystemStopped):
            self._names |= {info.plugin_id: info.name for info in self._system.plugins()}


def _kind(notice: Notice) -> str:
    return "emitted" if isinstance(notice, Emitted) else str(notice.kind)


def _details(notice: Notice) -> str:
    if isinstance(notice, Emitted):
        text = one_line(readable(notice.data))
        shown = text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}..."
        return f"  0x{notice.frame_type:02x}, {len(notice.data):,} bytes: {shown}"
    return f"  {one_line(notice.reason)}" if notice.reason else ""


def _show_json(notice: Notice) -> None:
    fields = emitted_fields(notice) if isinstance(notice, Emitted) else event_fields(notice)
    print_json_line({"time": _now(), **fields})


def _lost_json(lost: int) -> None:
    print_json_line({"time": _now(), "kind": "lost", "count": lost})


def _lost_line(lost: int) -> None:
    click.echo(f"({lost:,} events were lost: they came faster than they were read)", err=True)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
