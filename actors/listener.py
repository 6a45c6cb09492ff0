"""What every owner of a worker does with what is not about its frames or its life: the actor is told."""

from __future__ import annotations

from .home import Home


class Listener:
    """The part of a worker's owner that its kinds have in common; those override what they take otherwise."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def worker_output(self, line: str) -> None:
        """Pass on what the plugin printed."""
        self._home.worker_output(line)

    def worker_denied(self, what: str) -> None:
        """Pass on what the policy has denied."""
        self._home.worker_denied(what)

    def worker_misbehaved(self, what: str) -> None:
        """Pass on a breach of the protocol."""
        self._home.worker_misbehaved(what)

    def await_answers(self) -> None:
        """Let others run."""
        self._home.await_answers()
