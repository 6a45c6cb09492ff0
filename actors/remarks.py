"""What there is to say about a plugin besides outcomes: what it emits and logs, what it tried, how its worker ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..plugins.worker.answers import Emit, Log
from . import messages as m
from ._thespian import Address
from .deaths import OVERSTEPPING, Death
from .denials import Denials
from .streams import ERROR, INFO, Streams

# While no guard is there, so many violations are kept for the next one; the oldest go first.
MAX_UNSEEN = 1000


class Remarks:
    """Those of one plugin, to the sessions and the guard; sets alarms for :meth:`on_alarm`."""

    def __init__(
        self,
        plan: m.StartPlugin,
        source: Address,
        send: Callable[[Address, Any], None],
        alarm: Callable[[object, float], None],
    ) -> None:
        self.violations = 0
        self.last_death: Death | None = None
        self._guard = plan.guard
        self._unseen: dict[int, m.ReportViolation] = {}
        self._plan = plan
        self._source = source
        self._send = send
        self._alarm = alarm
        self._streams = Streams(plan.plugin_id, plan.settings.limits, send, plan.manifest.name)
        self._denials = Denials(self._report_denied)

    def join(self, message: m.SessionJoined) -> None:
        """Tell this session from now on what it wants to know."""
        self._streams.join(message.session, message.address, message.streams)

    def leave(self, session: int) -> None:
        """Nobody listens there any more."""
        self._streams.leave(session)

    def acknowledge(self, session: int, stream: str) -> None:
        """The session has taken the last delivery of this stream."""
        self._streams.acknowledge(session, stream)
        self._streams.flush(self._source)

    def finish(self) -> None:
        """Send what waits: this plugin will say nothing more."""
        self._streams.finish(self._source)

    def said(self, message: Emit | Log) -> None:
        """Pass on what the plugin emits and logs."""
        if isinstance(message, Emit):
            for frame in message.frames:
                self._streams.emit(*frame)
        else:
            for line in message.lines:
                self._log(*line)
        self._streams.flush(self._source)

    def printed(self, line: str) -> None:
        """Log what the plugin printed."""
        self._log(INFO, line)
        self._streams.flush(self._source)

    def _log(self, level: int, text: str) -> None:
        if self._streams.log(level, text):
            self._alarm("log", 1.0)

    def trouble(self, text: str) -> None:
        """Log what went wrong around the plugin."""
        self._log(ERROR, text)
        self._streams.flush(self._source)

    def denied(self, what: str) -> None:
        """Report, not each time, what the policy has denied."""
        if self._denials.note(what):
            self._alarm("denials", 1.0)

    def _report_denied(self, what: str, count: int) -> None:
        # It asked as it should, perhaps for what its sender wanted: nothing to be quarantined for.
        self._send(self._guard, m.ReportViolation(self._plan.plugin_id, what, count, by_sender=True))

    def violated(self, request: str) -> None:
        """Tell the guard what the worker tried; it decides when that is too much."""
        self.violations += 1
        report = m.ReportViolation(self._plan.plugin_id, request, 1, number=self.violations)
        self._unseen[report.number] = report
        if len(self._unseen) > MAX_UNSEEN:
            del self._unseen[next(iter(self._unseen))]
        self._send(self._guard, report)

    def violation_seen(self, number: int) -> None:
        """The guard has counted it."""
        self._unseen.pop(number, None)

    def guard_changed(self, guard: Address) -> None:
        """Another guard is there: tell it what the one before it may not have counted."""
        self._guard = guard
        for report in self._unseen.values():
            self._send(guard, report)

    def note_death(self, death: Death) -> None:
        """Keep, report and log why a worker ended."""
        self.last_death = death
        if death.cause in OVERSTEPPING:
            self.violated(f"worker {death}")
        if not death.normal:
            self._log(ERROR, f"worker {death} (cause: {death.cause})")
            self._streams.flush(self._source)

    def on_alarm(self, name: str) -> None:
        """Tell what was held back (``"log"``, ``"denials"``)."""
        if name == "log":
            self._streams.tell_losses()
            self._streams.flush(self._source)
        elif self._denials.tell():
            self._alarm("denials", 1.0)
