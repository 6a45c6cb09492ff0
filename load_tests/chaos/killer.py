"""Kills processes as planned, until told to stop."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator

from .census import CLIENT, Census, kill
from .clients import Clients
from .plan import Strike


class Killer(threading.Thread):
    """Carries out strikes; ``kills`` counts the dead by role."""

    def __init__(self, strikes: Iterator[Strike], census: Census, clients: Clients) -> None:
        super().__init__(name="killer", daemon=True)
        self.kills: Counter[str] = Counter()
        self.error: BaseException | None = None
        self._strikes, self._census, self._clients = strikes, census, clients
        self._over = threading.Event()

    def run(self) -> None:
        """Strike."""
        try:
            for strike in self._strikes:
                if self._over.wait(strike.after_s):
                    return
                for role, place in strike.victims:
                    self.kills[role] += self._kill(role, place)
        except BaseException as error:
            self.error = error

    def end(self) -> None:
        """Strike no more."""
        self._over.set()
        self.join()

    def _kill(self, role: str, place: int) -> bool:
        if role == CLIENT:
            return self._clients.kill(place)
        victims = self._census.of(role)
        if not victims:
            # It is dead already, and its successor not yet born.
            return False
        return kill(victims[place % len(victims)], self._census.parents_of(role))
