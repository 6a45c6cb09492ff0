"""``Director``: lets the events of a scenario happen when they are due, and notes when they did."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial

import cbor2

from nyx_plugins import FrameType, NyxPluginError, PluginHeader

from .chaos.census import kill
from .result import Mark
from .roles import PLUGIN_ACTOR, WORKER, roles
from .scenario import ORDERS, Event
from .stage import Place, Stage

ACCEPT_S = 10.0
UNLOAD_S = 5.0


class Director:
    """Each event has a thread of its own; times count from ``began``, those of events from ``measured``."""

    def __init__(self, stage: Stage, events: tuple[Event, ...], began: float, measured: float) -> None:
        self.marks: list[Mark] = []
        self.failed = 0
        """How many could not be done."""
        self._stage, self._began, self._measured = stage, began, measured
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._follow, args=(event,), daemon=True) for event in events]

    def start(self) -> None:
        """Begin to wait for what is due."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let nothing more happen."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _follow(self, event: Event) -> None:
        self._over.wait(self._measured + event.at_s - time.monotonic())
        while not self._over.is_set():
            self._happen(event)
            if not event.every_s:
                return
            self._over.wait(event.every_s)

    def _happen(self, event: Event) -> None:
        places = self._stage.place(event.group, event.number)
        if event.role not in (None, WORKER, PLUGIN_ACTOR):
            self._try(f"kill the {event.role}", partial(self._kill, event.role))
            return
        if event.do == "load":
            self._try(f"load {_names(places)}", partial(self._stage.load, places))
            return
        for place in places:
            self._try(self._text(event, place), partial(self._do, event, place))

    def _try(self, text: str, act: Callable[[], None]) -> None:
        self._mark(text)
        try:
            act()
        except NyxPluginError as error:
            self.failed += 1
            self._mark(f"{text} failed: {error}")

    def _mark(self, text: str) -> None:
        with self._lock:
            self.marks.append(Mark(round(time.monotonic() - self._began, 3), text))

    def _text(self, event: Event, place: Place) -> str:
        lasts = f" for {event.lasts_s:g} s" if event.do in (*ORDERS, "pause") and event.lasts_s else ""
        what = f"kill the {event.role or WORKER} of" if event.do == "kill" else event.do
        many = f" to {event.instances or 1}" if event.do == "scale" else ""
        return f"{what} plugin {place.label}{many}{lasts}"

    def _do(self, event: Event, place: Place) -> None:
        system = self._stage.system
        match event.do:
            case "stall" | "spin" | "flood":
                order = cbor2.dumps({"do": event.do, "for_s": event.lasts_s})
                system.dispatch(FrameType.CONTROL, PluginHeader(place.id, 0, order), ACCEPT_S)
            case "kill":
                self._kill(f"{event.role or WORKER} {place.label}")
            case "swap":
                system.swap(place.id, self._stage.bundles.another(place.group, place.id))
            case "unload":
                system.unload(place.id, UNLOAD_S)
            case "scale":
                system.scale(place.id, event.instances or 1)
            case "reset":
                system.reset(place.id)
            case "resume":
                system.resume(place.id)
            case "pause":
                system.pause(place.id)
                if event.lasts_s:
                    self._over.wait(event.lasts_s)
                    system.resume(place.id)

    def _kill(self, role: str) -> None:
        stats = {place.label: self._stage.system.plugin_stats(place.id) for place in self._stage.places}
        found = roles(self._stage.system.host_pid, stats)
        for pid, name in found.items():
            if name == role or name.startswith(f"{role}."):
                kill(pid, list(found))


def _names(places: tuple[Place, ...]) -> str:
    return f"plugin {places[0].label}" + (f" and {len(places) - 1} more" if len(places) > 1 else "")
