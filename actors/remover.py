"""The remover: a short-lived actor that removes what takes long, such as the deep trees of a hostile plugin."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice

from . import messages as m
from ._thespian import ActorProcess, Address
from .trees import removing

# So many steps of a removal are done before it looks whether it is to end.
_STEPS = 64
# Alarms that are due go before messages: in between there has to be a moment for these, in seconds.
_PAUSE_S = 0.001


class Remover(ActorProcess):
    """The supervisor ends it when nothing is left; in the end the host removes what it has not."""

    def __init__(self) -> None:
        super().__init__()
        self._steps: Iterator[object] | None = None
        self._order: m.RemoveAll | None = None
        self._asker: Address = None

    def receive(self, message: m.RemoveAll, sender: Address) -> None:
        """Begin, or go on: what is under way looks for more by itself."""
        if self._order is None:
            self.end_with_host(message.host_pid)
        self._order, self._asker = message, sender
        if self._steps is None:
            self._steps = _removing_all(message.folder)
            self.alarm("go on", _PAUSE_S)

    def on_alarm(self, name: str) -> None:
        """Do some steps."""
        assert self._steps is not None and self._order is not None
        if sum(1 for _ in islice(self._steps, _STEPS)) == _STEPS:
            self.alarm("go on", _PAUSE_S)
            return
        self._steps = None
        self.send(self._asker, m.AllRemoved(self._order.number))


def _removing_all(folder: str) -> Iterator[object]:
    """Remove all folders in this one, those as well that come meanwhile; what can't be removed is left."""
    tried: set[str] = set()
    while names := [name for name in os.listdir(folder) if name not in tried]:
        for name in names:
            tried.add(name)
            try:
                yield from removing(os.path.join(folder, name))
            except OSError:
                continue
