"""What ``top`` does: look, draw, and listen to keys, until the user has seen enough or the service stops."""

from __future__ import annotations

import sys
import time
from collections import deque
from datetime import datetime

from rich.console import Console, Group
from rich.live import Live

from ..actors.events import Event
from ..actors.subscription import Subscription
from ..actors.system import PluginSystem
from ..plugins.errors import DispatchTimeout
from ..service.sampler import Sampler
from ..service.snapshot import Snapshot, as_json
from . import tables
from .fields import print_json
from .keyboard import Keyboard
from .managing import SYSTEM, described
from .screen import EVENT_LINES, EventLine, Picture, draw, table_alone
from .view import QUIT, View

# How soon an event is on the screen.
EVENT_PATIENCE_S = 0.25


def run_top(system: PluginSystem, interval: float, sort: str, once: bool, json_wanted: bool) -> None:
    """Show the system until the user quits, or once; raises :class:`SystemStopped`."""
    sampler = Sampler(system)
    try:
        if json_wanted or once or not (sys.stdout.isatty() and sys.stdin.isatty()):
            _print_once(sampler, interval, sort, json_wanted)
        else:
            with system.subscribe() as notices:
                Screen(sampler, notices, View(sort), interval).run()
    finally:
        sampler.close()


def _print_once(sampler: Sampler, interval: float, sort: str, json_wanted: bool) -> None:
    sampler.sample()
    time.sleep(interval)
    snapshot = sampler.sample()
    if json_wanted:
        print_json(as_json(snapshot))
        return
    console = tables.console()
    for line in table_alone(snapshot, View(sort), console.width):
        line.rstrip()
        console.print(line, no_wrap=True, overflow="ignore", crop=False, soft_wrap=True)


class Screen:
    """The live view on a terminal."""

    def __init__(self, sampler: Sampler, notices: Subscription, view: View, interval: float) -> None:
        self._sampler = sampler
        self._notices = notices
        self._view = view
        self._interval = interval
        self._console = Console(highlight=False, markup=False, emoji=False)
        self._live = Live(console=self._console, screen=True, auto_refresh=False)
        self._events: deque[EventLine] = deque(maxlen=EVENT_LINES)
        self._problem = ""

    def run(self) -> None:
        """Show, until ``q`` is pressed or the terminal has gone."""
        snapshot = self._sampler.sample()
        with Keyboard(sys.stdin.fileno(), self._live.stop, self._live.start) as keyboard, self._live:
            while self._watch(keyboard, snapshot):
                snapshot = self._look(snapshot)

    def _look(self, before: Snapshot) -> Snapshot:
        try:
            snapshot = self._sampler.sample()
        except DispatchTimeout as error:
            self._problem = f"this is how it was: {error}"
            return before
        self._problem = ""
        return snapshot

    def _watch(self, keyboard: Keyboard, snapshot: Snapshot) -> bool:
        """Show one snapshot for one interval; whether to go on."""
        until = time.monotonic() + self._interval
        picture = self._draw(snapshot)
        while (left := until - time.monotonic()) > 0:
            keys = keyboard.wait(min(left, EVENT_PATIENCE_S))
            if QUIT in keys:
                return False
            for key in keys:
                self._view = self._view.press(key, picture.columns, picture.rows, picture.page)
            if self._take_events(snapshot) or keys:
                picture = self._draw(snapshot)
        return True

    def _draw(self, snapshot: Snapshot) -> Picture:
        self._take_events(snapshot)
        width, height = self._console.size
        self._view = self._view.within(len(snapshot.plugins), 1)
        picture = draw(snapshot, self._view, width, height, tuple(self._events), self._problem)
        self._live.update(Group(*picture.lines), refresh=True)
        return picture

    def _take_events(self, snapshot: Snapshot) -> bool:
        names = {sample.info.plugin_id: sample.info.name for sample in snapshot.plugins}
        taken = False
        while (notice := self._notices.get(0)) is not None:
            if isinstance(notice, Event):
                whom = notice.plugin_id
                text = SYSTEM if whom is None else described(whom, names.get(whom, ""))
                text += f"  {notice.reason}" if notice.reason else ""
                self._events.append(EventLine(f"{datetime.now():%H:%M:%S}", str(notice.kind), text))
                taken = True
        return taken
