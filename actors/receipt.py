"""Receipts: what a sender holds of a frame on its way, and the outcome that ends it."""

from __future__ import annotations

import enum
import threading
from collections.abc import Callable
from typing import Literal, TypeAlias, get_args

import attrs

from ..config.errors import fresh
from ..plugins.errors import DispatchTimeout, FateUnknown, PluginFailed
from ..plugins.negotiation import Agreement
from .arguments import checked_wait
from .results import DeadLetter, Failed, ReplyLost, Result


class OutcomeKind(enum.StrEnum):
    """What became of an accepted frame; there is exactly one for each."""

    PROCESSED = "processed"
    FAILED = "failed"
    DEAD_LETTERED = "dead_lettered"


@attrs.frozen
class Outcome:
    """The end of an accepted frame.

    ``reply`` holds what the handler returned; ``reply_lost`` says that there may have been a reply which a crash
    took along; ``reason`` tells why a frame failed or was dead-lettered.
    """

    kind: OutcomeKind
    reply: bytes | None = None
    reason: str = ""
    reply_lost: bool = False


def outcome_of(result: Result) -> Outcome:
    """Translate a mailbox's result."""
    if result is None:
        return _NO_REPLY
    match result:
        case Failed():
            return Outcome(OutcomeKind.FAILED, reason=f"{result.type}: {result.text}")
        case DeadLetter():
            return Outcome(OutcomeKind.DEAD_LETTERED, reason=result.reason)
        case ReplyLost():
            return Outcome(OutcomeKind.PROCESSED, reply_lost=True)
    return Outcome(OutcomeKind.PROCESSED, reply=result)


_NO_REPLY = Outcome(OutcomeKind.PROCESSED)


def reply_of(plugin_id: int, outcome: Outcome) -> bytes | None:
    """Return a handler's reply; raises :class:`PluginFailed` when there is none to be had."""
    check_processed(plugin_id, outcome)
    if outcome.reply_lost:
        raise PluginFailed(plugin_id, "the frame was processed, but a crash took the reply", "reply")
    return outcome.reply


Confirm = Literal["accepted", "processed"]
"""What a sender waits for."""


def checked_confirm(confirm: object) -> None:
    """Raise :class:`ValueError` for what nobody can wait for."""
    if confirm not in get_args(Confirm):
        raise ValueError(f"confirm must be one of {', '.join(get_args(Confirm))}, not {confirm!r}")


def check_processed(plugin_id: int, outcome: Outcome) -> None:
    """Raise :class:`PluginFailed` for an outcome that is another."""
    if outcome.kind is not OutcomeKind.PROCESSED:
        raise PluginFailed(plugin_id, outcome.reason, str(outcome.kind))


_Gate: TypeAlias = tuple[Callable[[], bool], threading.Lock]
"""What a thread waits for, and the lock at which it does."""

_PUBLIC = ("accepted", "agreement", "plugin_id", "seq", "size")


class Receipt:
    """One frame on its way: first accepted or refused, then (if accepted) an outcome.

    All methods are thread-safe. ``accepted`` is ``None`` as long as neither is known; if neither ever will be,
    ``error`` is :class:`FateUnknown`. ``agreement`` is what a handshake came to, where the plugin requires one. In a
    process that was forked there is no news: to wait for it raises :class:`SystemStopped`.
    """

    __slots__ = ("_changed", "_error", "_gates", "_is_settled", "_on_change", "_outcome", "_result", *_PUBLIC)

    def __init__(
        self,
        plugin_id: int,
        seq: int,
        size: int,
        changed: threading.Condition,
        agreement: Agreement | None = None,
    ) -> None:
        self.plugin_id = plugin_id
        self.seq = seq
        self.size = size
        self.agreement = agreement
        self.accepted: bool | None = None
        self._is_settled = False
        self._outcome: Outcome | None = None
        self._result: Result = None
        self._error: BaseException | None = None
        self._on_change: Callable[[], None] | None = None
        self._gates: tuple[_Gate, ...] = ()
        """Of the threads that wait."""
        self._changed = changed

    def __repr__(self) -> str:
        if self._error is not None:
            state = f"{'refused' if self.accepted is False else 'of unknown fate'}: {self._error}"
        elif self._is_settled:
            state = str(outcome_of(self._result).kind)
        else:
            state = "accepted" if self.accepted else "on its way"
        return f"<Receipt plugin {self.plugin_id} #{self.seq} {state}>"

    @property
    def done(self) -> bool:
        """Whether nothing more will happen to the frame."""
        return self._is_settled or self._error is not None

    @property
    def error(self) -> BaseException | None:
        """Why the frame was refused or its fate is unknown; ``None`` if neither is the case."""
        return self._error

    def wait_accepted(self, timeout: float | None = None, *, asked: float | None = None) -> None:
        """Wait up to ``timeout`` seconds (``None``: for ever) until the frame is accepted.

        ``asked`` is the time to name when it is over, where a part of it was spent before.

        Raises the refusal, :class:`DispatchTimeout` (the frame may still be accepted then), or :class:`FateUnknown`;
        :class:`TypeError` and :class:`ValueError` for what is no time.
        """
        self._wait(lambda: self.decided, "acceptance", timeout, asked)
        self.raise_refusal()

    def outcome(self, timeout: float | None = None, *, asked: float | None = None) -> Outcome:
        """Wait up to ``timeout`` seconds (``None``: for ever) for the outcome; ``asked`` as above.

        Raises the refusal, :class:`FateUnknown` or :class:`DispatchTimeout`; :class:`TypeError` and :class:`ValueError`
        for what is no time.
        """
        self._wait(lambda: self.done, "an outcome", timeout, asked)
        return self.result()

    # Without waiting.

    @property
    def decided(self) -> bool:
        """Whether the frame is accepted or refused, or never will be either."""
        return self.accepted is not None or self._error is not None

    def raise_refusal(self) -> None:
        """Raise what refused the frame; nothing happens as long as nothing has."""
        if self._error is not None and not self.accepted:
            raise self._why(self._error)

    def result(self) -> Outcome:
        """Return the outcome of a frame that is done, or raise why there is none."""
        if not self._is_settled:
            assert self._error is not None
            raise self._why(self._error)
        if self._outcome is None:
            self._outcome = outcome_of(self._result)
        return self._outcome

    def _why(self, error: BaseException) -> BaseException:
        if isinstance(error, FateUnknown):
            return error.of(self, self.accepted)
        # One instance may end many.
        return fresh(error)

    def late(self, what: str, timeout: float | None) -> DispatchTimeout:
        """Make the error of one who has waited in vain; it carries the receipt."""
        error = DispatchTimeout(self.plugin_id, what, timeout or 0.0)
        error.receipt = self
        return error

    def tell(self, on_change: Callable[[], None]) -> None:
        """Call ``on_change`` whenever there is news, instead of whom was told before. It must not wait."""
        self._on_change = on_change

    # For the session, which holds the lock of ``changed``.

    def _accept(self) -> None:
        if self.accepted is None:
            self.accepted = True
            if self._on_change is not None or self._gates:
                self._tell()

    def _settle(self, result: Result) -> None:
        self.accepted = True
        self._result = result
        self._is_settled = True
        if self._on_change is not None or self._gates:
            self._tell()

    def _refuse(self, error: BaseException) -> None:
        # The reason first: who sees a refusal without the lock has to find it.
        self._error = error
        if self.accepted is None:
            self.accepted = False
        self._tell()

    def _lose(self, error: BaseException) -> None:
        """Nobody will say any more what has become of it."""
        self._error = error
        self._tell()

    def _tell(self) -> None:
        """There is news: only threads that have waited for it are woken."""
        if self._on_change is not None:
            self._on_change()
        for is_ready, gate in self._gates:
            if is_ready() and gate.locked():
                gate.release()

    def _wait(self, ready: Callable[[], bool], what: str, timeout: float | None, asked: float | None) -> None:
        if asked is None:
            asked = timeout = checked_wait(timeout)
        if ready():
            return
        gate = threading.Lock()
        gate.acquire()
        with self._changed:
            self._gates += ((ready, gate),)
        # What has come before that is seen here, and what comes after it opens the gate.
        if not ready():
            gate.acquire(timeout=-1 if timeout is None else max(0.0, timeout))
        if not ready():
            with self._changed:
                self._gates = tuple(other for other in self._gates if other[1] is not gate)
            raise self.late(what, asked)
