"""Receipts for asyncio."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from ..plugins.errors import FateUnknown
from .arguments import checked_wait
from .bridge import Bridge, Signal
from .receipt import Outcome, Receipt


class AsyncReceipt:
    """One frame on its way: first accepted or refused, then (if accepted) an outcome.

    ``accepted`` is ``None`` as long as neither is known. Any number of tasks may wait, in the loop of its system only;
    one that is cancelled changes nothing: the frame stays on its way.
    """

    __slots__ = ("_bridge", "_receipt", "_waits")

    def __init__(self, receipt: Receipt, bridge: Bridge) -> None:
        self._receipt = receipt
        self._bridge = bridge
        self._waits: list[tuple[Callable[[], bool], Signal]] = []

    def __repr__(self) -> str:
        return f"<Async{repr(self._receipt)[1:]}"

    @property
    def plugin_id(self) -> int:
        """The plugin that the frame is for."""
        return self._receipt.plugin_id

    @property
    def seq(self) -> int:
        """The number of the frame, among those that this system has sent to this plugin."""
        return self._receipt.seq

    @property
    def size(self) -> int:
        """The length of the header in bytes."""
        return self._receipt.size

    @property
    def accepted(self) -> bool | None:
        """Whether the frame was accepted; ``None`` as long as, or if never, anything is known of it."""
        return self._receipt.accepted

    @property
    def done(self) -> bool:
        """Whether nothing more will happen to the frame."""
        return self._receipt.done

    @property
    def error(self) -> BaseException | None:
        """Why the frame was refused or its fate is unknown; ``None`` if neither is the case."""
        return self._receipt.error

    async def wait_accepted(self, timeout: float | None = None, *, asked: float | None = None) -> None:
        """Wait up to ``timeout`` seconds (``None``: for ever) until the frame is accepted.

        ``asked`` is the time to name when it is over, where a part of it was spent before.

        Raises the refusal, :class:`DispatchTimeout` (the frame may still be accepted then), or :class:`FateUnknown`;
        :class:`TypeError` and :class:`ValueError` for what is no time.
        """
        await self._wait(lambda: self._receipt.decided, "acceptance", timeout, asked)
        with self._as_its_own():
            self._receipt.raise_refusal()

    async def outcome(self, timeout: float | None = None, *, asked: float | None = None) -> Outcome:
        """Wait up to ``timeout`` seconds (``None``: for ever) for the outcome; ``asked`` as above.

        Raises the refusal, :class:`FateUnknown` or :class:`DispatchTimeout`; :class:`TypeError` and :class:`ValueError`
        for what is no time.
        """
        await self._wait(lambda: self._receipt.done, "an outcome", timeout, asked)
        with self._as_its_own():
            return self._receipt.result()

    @contextlib.contextmanager
    def _as_its_own(self) -> Iterator[None]:
        try:
            yield
        except FateUnknown as unknown:
            unknown.receipt = self
            raise

    async def _wait(self, ready: Callable[[], bool], what: str, timeout: float | None, asked: float | None) -> None:
        if asked is None:
            asked = timeout = checked_wait(timeout)
        if ready():
            return
        self._bridge.check()
        wait = (ready, self._bridge.signal())
        self._waits.append(wait)
        self._receipt.tell(self._on_change)
        try:
            # It may have happened before anybody was told.
            if not ready():
                await wait[1].wait(timeout)
        finally:
            self._waits.remove(wait)
        if not ready():
            late = self._receipt.late(what, asked)
            late.receipt = self
            raise late

    def _on_change(self) -> None:
        """In a thread of the session."""
        for ready, signal in list(self._waits):
            if ready():
                signal.post()
