"""What a policy has denied, reported at once and then at most once in a second, with how often it was."""

from __future__ import annotations

from collections.abc import Callable


class Denials:
    """Gathers denials, so that a plugin that asks for ever costs its guard no more than one message in a second."""

    def __init__(self, report: Callable[[str, int], None]) -> None:
        self._report = report
        self._last = ""
        self._count = 0
        self._waiting = False

    def note(self, what: str) -> bool:
        """Report it, or keep it for :meth:`tell`; returns whether that is due in a second from now."""
        if self._waiting:
            self._last, self._count = what, self._count + 1
            return False
        self._report(what, 1)
        self._waiting = True
        return True

    def tell(self) -> bool:
        """Report what was kept; returns whether this is due again in a second."""
        if self._count:
            self._report(self._last, self._count)
        self._waiting, self._count = bool(self._count), 0
        return self._waiting
