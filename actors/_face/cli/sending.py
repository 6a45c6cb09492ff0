"""What ``dispatch`` and ``request`` do, and what they print."""

from __future__ import annotations

import sys
from collections import Counter, deque
from typing import Any

import attrs
import click

from ..actors.receipt import Outcome, OutcomeKind, Receipt
from ..actors.system import PluginSystem
from ..config.errors import NyxPluginError
from ..plugins.errors import DispatchTimeout, FateUnknown, SystemStopped
from ..plugins.wire import PluginHeader
from .data import cbor_value, readable
from .failure import EXIT_REFUSED, Failure, exit_code_of, failure_of, one_line
from .fields import data_fields, error_fields, print_json
from .values import FRAME_TYPES

CHUNK_FRAMES = 256
# Receipts whose outcomes are not there yet: more are not held, however many frames are sent.
MAX_OPEN = 8192


@attrs.frozen
class Frame:
    """What to send; ``is_cbor`` says that the data was given as JSON."""

    plugin_id: int
    frame_type: int
    flags: int
    data: bytes
    is_cbor: bool = False

    @property
    def header(self) -> PluginHeader:
        """The header to dispatch."""
        return PluginHeader(self.plugin_id, self.flags, self.data)


def type_number(system: PluginSystem, frame_type: int | str) -> int:
    """The number of a frame type that may have been given by a name of the service's configuration."""
    if isinstance(frame_type, int):
        return frame_type
    own = system.settings.frame_types
    if frame_type not in own:
        known = ", ".join((*FRAME_TYPES, *own))
        raise Failure(f"there is no frame type {frame_type!r}: expected one of {known}, or a number from 0 to 255")
    return own[frame_type].type


class Sending:
    """One frame sent many times: counts what becomes of it, and keeps the first error and the last outcome.

    However many there are, it goes on for as long as it gets on: ``timeout`` is for each wait.
    """

    def __init__(self, system: PluginSystem, frame: Frame, wait: bool, timeout: float | None) -> None:
        self.accepted = 0
        self.unknown = 0
        """Those of which nobody can say whether they were accepted."""
        self.refused: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.error: NyxPluginError | None = None
        self.outcome: Outcome | None = None
        self._system = system
        self._item = (frame.frame_type, frame.header.encode())
        self._wait = wait
        self._limit = _limit(system, timeout)
        self._open: deque[Receipt] = deque()

    def run(self, count: int) -> None:
        """Send the frame ``count`` times; the first refusal for want of time, or of a system, ends it.

        Raises :class:`SystemStopped` if none was sent.
        """
        while count and not isinstance(self.error, DispatchTimeout | SystemStopped):
            chunk = min(count, CHUNK_FRAMES)
            self._send(chunk)
            count -= chunk
            self._settle(MAX_OPEN)
        self._settle(0)

    def _send(self, count: int) -> None:
        try:
            results = self._system.dispatch_many([self._item] * count, timeout=self._limit)
        except SystemStopped as stopped:
            if not self.accepted and self.error is None:
                raise
            results = [stopped] * count
        for result in results:
            self._take(result)

    def _take(self, result: Receipt | NyxPluginError) -> None:
        if isinstance(result, Receipt):
            self.accepted += 1
            if self._wait:
                self._open.append(result)
        elif isinstance(result, FateUnknown):
            self.unknown += 1
            self._note(result)
        else:
            self.refused[type(result).__name__] += 1
            self._note(result)

    def _settle(self, most: int) -> None:
        """Take the outcomes that are there, and wait for more until at most ``most`` are open."""
        while self._open and (self._open[0].done or len(self._open) > most):
            try:
                self.outcome = self._open.popleft().outcome(self._limit)
            except NyxPluginError as error:
                self.outcomes["unknown"] += 1
                self._note(error)
            else:
                self.outcomes[str(self.outcome.kind)] += 1

    def _note(self, error: NyxPluginError) -> None:
        self.error = self.error or error


def send(system: PluginSystem, frame: Frame, count: int, wait: bool, timeout: float | None, json_wanted: bool) -> None:
    """Dispatch, print what became of it, and end with the exit code that tells the same."""
    sending = Sending(system, frame, wait, timeout)
    sending.run(count)
    if json_wanted:
        print_json(_sent_fields(frame, sending, wait))
    else:
        _print_sent(frame, sending, count, wait)
    if code := _exit_code(sending):
        click.get_current_context().exit(code)


def ask(system: PluginSystem, frame: Frame, timeout: float | None, raw: bool, json_wanted: bool) -> None:
    """Request, and print the reply."""
    reply = system.request(frame.frame_type, frame.header, timeout)
    if raw:
        sys.stdout.buffer.write(reply or b"")
        sys.stdout.buffer.flush()
    elif json_wanted:
        print_json({"plugin_id": frame.plugin_id, "frame_type": frame.frame_type, **_reply_fields(reply)})
    else:
        click.echo("(no reply)" if reply is None else readable(reply, prefer_cbor=frame.is_cbor), err=reply is None)


def _limit(system: PluginSystem, timeout: float | None) -> float:
    return system.settings.limits.dispatch_timeout_s if timeout is None else timeout


def _reply_fields(reply: bytes | None) -> dict[str, Any]:
    if reply is None:
        return {"reply_hex": None, "reply_text": None, "reply_cbor": None}
    return {**data_fields(reply, "reply"), "reply_cbor": (cbor_value(reply) or (None,))[0]}


def _sent_fields(frame: Frame, sending: Sending, wait: bool) -> dict[str, Any]:
    return {
        "plugin_id": frame.plugin_id,
        "frame_type": frame.frame_type,
        "accepted": sending.accepted,
        "refused": dict(sending.refused),
        "unknown": sending.unknown,
        "outcomes": {str(kind): sending.outcomes[str(kind)] for kind in OutcomeKind} if wait else None,
        "last_outcome": _outcome_fields(sending.outcome),
        "error": error_fields(sending.error),
    }


def _outcome_fields(outcome: Outcome | None) -> dict[str, Any] | None:
    if outcome is None:
        return None
    facts = {"kind": str(outcome.kind), "reason": outcome.reason, "reply_lost": outcome.reply_lost}
    return {**facts, **_reply_fields(outcome.reply)}


def _print_sent(frame: Frame, sending: Sending, count: int, wait: bool) -> None:
    if count > 1:
        parts = [(sending.accepted, "accepted"), (sum(sending.refused.values()), "refused")]
        parts.append((sending.unknown, "of unknown fate"))
        parts += sorted((number, kind) for kind, number in sending.outcomes.items())
        shown = [f"{number:,} {word.replace('_', '-')}" for number, word in parts if number or word == "accepted"]
        click.echo(f"{count:,} frames for plugin {frame.plugin_id}: " + ", ".join(shown))
    elif sending.outcome is not None:
        click.echo(_outcome_line(sending.outcome, frame.is_cbor))
    elif sending.accepted:
        click.echo("accepted")
    if sending.error is not None:
        failure_of(sending.error).show()


def _outcome_line(outcome: Outcome, is_cbor: bool) -> str:
    kind = str(outcome.kind).replace("_", "-")
    if outcome.kind is not OutcomeKind.PROCESSED:
        return f"{kind}: {one_line(outcome.reason)}"
    if outcome.reply_lost:
        return f"{kind}; a crash took the reply"
    return (
        f"{kind}, without a reply"
        if outcome.reply is None
        else f"{kind}: {readable(outcome.reply, prefer_cbor=is_cbor)}"
    )


def _exit_code(sending: Sending) -> int:
    if sending.error is not None:
        return exit_code_of(sending.error)
    processed = sending.outcomes[str(OutcomeKind.PROCESSED)]
    return EXIT_REFUSED if processed < sum(sending.outcomes.values()) else 0
