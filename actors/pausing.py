"""Pausing a plugin: its workers are given no more frames, and who asked is answered once they have none in hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from . import messages as m
from ._thespian import Address
from .lanes import Lanes
from .standing import Standing


@attrs.frozen(eq=False)
class Pausing:
    """Of one plugin actor: whoever waits for it to be paused, or to go on."""

    _standing: Standing
    _lanes: Lanes
    _send: Callable[[Address, Any], None]
    _asked: list[m.PausePlugin] = attrs.field(factory=list)

    def ask(self, question: m.PausePlugin) -> None:
        """Pause, or go on."""
        self._standing.is_paused = question.paused
        self._asked.append(question)
        self.answer()
        self._lanes.pump()

    def answer(self) -> None:
        """Answer who asked, unless a worker has still something in hand."""
        if self._standing.is_paused and self._lanes.is_under_way:
            return
        for question in self._asked:
            self._send(question.reply_to, m.Reply(question.request_id))
        self._asked.clear()

    def end(self) -> None:
        """Pause no longer."""
        self._standing.is_paused = False
        self.answer()
