"""Hears what the system's processes print: an actor that ends by a fault of its own comes back, but must not pass."""

from __future__ import annotations

import logging

from nyx_plugins.actors.log_lines import PLUGINS

from .verdict import Faults

TELLTALE = "Traceback (most recent call last)"
MOST_LINES = 20


class Witness(logging.Handler):
    """While it is entered, tracebacks of all but plugins become faults; ``lines`` has the first of the rest."""

    def __init__(self, faults: Faults) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []
        self._faults = faults
        self._logger = logging.getLogger("nyx_plugins")

    def __enter__(self) -> Witness:
        self._logger.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Hear one line, or several that belong together."""
        if record.name.startswith(PLUGINS):
            return
        self.hear(self.format(record))

    def hear(self, text: str) -> None:
        """Judge what was said."""
        if TELLTALE in text:
            self._faults.note("somebody failed without being killed", text)
        elif len(self.lines) < MOST_LINES:
            self.lines.append(text)
