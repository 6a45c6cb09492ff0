"""Changes of the registry's file that nobody can refuse any more and that could not be written yet."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Hashable

from .registry_file import is_damaged


class Owed:
    """What stands already: it is written later, in its order, and before anything else is."""

    def __init__(self) -> None:
        self._changes: dict[Hashable, Callable[[], object]] = {}

    def __bool__(self) -> bool:
        return bool(self._changes)

    def write(self, what: Hashable, change: Callable[[], object]) -> sqlite3.Error | None:
        """Make a change now, or owe it: then the error says why. It replaces an earlier one of the same ``what``."""
        self._changes.pop(what, None)
        self._changes[what] = change
        try:
            self.settle()
        except sqlite3.Error as error:
            if is_damaged(error):
                raise
            return error
        return None

    def settle(self) -> None:
        """Make all changes that are owed; what can't be made (:class:`sqlite3.Error`) is owed on, with all after it."""
        while self._changes:
            what, change = next(iter(self._changes.items()))
            change()
            del self._changes[what]
