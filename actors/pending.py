"""What a session will know later: waited for by threads, or told to an event loop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar, cast

from ..config.errors import fresh

T = TypeVar("T")


class Pending(Generic[T]):
    """A value or an error that is set once, by whoever holds the session's lock. What comes later is ignored."""

    __slots__ = ("_error", "_gate", "_on_done", "_value", "done")

    def __init__(self) -> None:
        self.done = False
        """Whether :meth:`result` has something to say."""
        self._value: T | None = None
        self._error: BaseException | None = None
        self._on_done: Callable[[], None] | None = None
        self._gate: threading.Lock | None = None

    def wait(self, timeout: float | None) -> bool:
        """Block the one thread that waits, up to ``timeout`` seconds (``None``: for ever); returns ``done``."""
        gate = threading.Lock()
        gate.acquire()
        self._gate = gate
        # Whoever ends it looks for a gate after that: one of the two sees the other.
        if not self.done:
            gate.acquire(timeout=-1 if timeout is None else max(0.0, timeout))
        return self.done

    def tell(self, on_done: Callable[[], None]) -> None:
        """Call ``on_done`` when it gets done, which it must not be yet: look again after this. It must not wait."""
        self._on_done = on_done

    def result(self) -> T:
        """Return the value, or raise the error."""
        assert self.done
        if self._error is not None:
            # One instance may end many.
            raise fresh(self._error)
        return cast(T, self._value)

    @property
    def succeeded(self) -> bool:
        """Whether it is done, and a value."""
        return self.done and self._error is None

    def succeed(self, value: T) -> None:
        """It is this."""
        self._finish(value, None)

    def fail(self, error: BaseException) -> None:
        """It will never be, because of this."""
        self._finish(None, error)

    def _finish(self, value: T | None, error: BaseException | None) -> None:
        if self.done:
            return
        self._value, self._error = value, error
        self.done = True
        if self._gate is not None:
            self._gate.release()
        if self._on_done is not None:
            self._on_done()
