"""``Recorder``: looks at the system from a thread of its own, keeps what the page shows, and tells the browsers."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from ...config.errors import NyxPluginError
from ...plugins.errors import SystemStopped
from ..feed import Feed, Publisher, TimedEvent
from ..sampler import Sampled, Sampler
from ..snapshot import as_json
from .history import History, point_of

WATCHED_S = 1.0
"""How often is looked while somebody watches,"""
UNWATCHED_S = 5.0
"""and while nobody does, so that there is a history to show."""
HASTE_S = 0.2
"""How soon after a look there may be another, because something has happened."""
SHARE = 30
"""The CPU time of the looks is at most one part in so many: of many plugins there are fewer. With what the system does
to answer, a look costs about three times as much."""
RECENT_EVENTS = 200

_log = logging.getLogger("nyx_plugins.service")


class Recorded(Sampled, Publisher, Protocol):
    """What is recorded: a ``PluginSystem``."""


class Recorder:
    """Publishes each ``snapshot`` and ``event``, ``trouble`` when a look fails, and ``stopped`` once at the end."""

    def __init__(
        self, system: Recorded, publish: Callable[[str, Any], None], is_watched: Callable[[], bool] = lambda: True
    ) -> None:
        self._publish = publish
        self._is_watched = is_watched
        self._lock = threading.Lock()
        self._history = History()
        self._events: deque[dict[str, Any]] = deque(maxlen=RECENT_EVENTS)
        self._now: dict[str, Any] = {"snapshot": None, "trouble": "", "stopped": ""}
        self._due = threading.Event()
        self._closed = threading.Event()
        self._sampler = Sampler(system)
        self._feed = Feed(system, self._note)
        self._thread = threading.Thread(target=self._run, name="nyx-plugins-dashboard-look", daemon=True)
        self._thread.start()

    def so_far(self) -> dict[str, Any]:
        """What a browser has to know when it comes."""
        with self._lock:
            return {**self._now, "history": self._history.as_json(), "events": list(self._events)}

    def look(self) -> None:
        """Look soon rather than at the next turn."""
        self._due.set()

    def close(self) -> None:
        """Look no more. Idempotent."""
        self._closed.set()
        self._due.set()
        self._feed.close()
        self._thread.join(5.0)
        self._sampler.close()

    def _run(self) -> None:
        while not self._closed.is_set():
            began_s = time.thread_time()
            self._due.clear()
            if not self._look():
                return
            self._pause(SHARE * (time.thread_time() - began_s))

    def _pause(self, least_s: float) -> None:
        every_s, least_s = WATCHED_S if self._is_watched() else UNWATCHED_S, max(HASTE_S, least_s)
        if not self._closed.wait(least_s):
            self._due.wait(every_s - least_s)

    def _look(self) -> bool:
        """Look once; returns whether to go on."""
        try:
            snapshot = self._sampler.sample()
        except SystemStopped as stopped:
            self._tell("stopped", stopped.reason)
            return False
        except NyxPluginError as error:
            self._tell("trouble", str(error))
        except Exception:
            if self._closed.is_set():
                return False
            _log.exception("the dashboard can't look at the system")
            self._tell("trouble", "an error of the dashboard itself, which is in the log")
        else:
            with self._lock:
                self._history.add(point_of(snapshot))
                self._now["trouble"] = ""
            self._tell("snapshot", as_json(snapshot))
        return True

    def _note(self, timed: TimedEvent) -> None:
        event = timed.event
        told = {"time_s": timed.time_s, "kind": event.kind, "plugin_id": event.plugin_id, "reason": event.reason}
        with self._lock:
            self._events.append(told)
        self._publish("event", told)
        self._due.set()

    def _tell(self, kind: str, value: Any) -> None:
        with self._lock:
            self._now[kind] = value
        self._publish(kind, value)
