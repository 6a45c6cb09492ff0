"""What the parts of the supervisor need of it."""

from __future__ import annotations

from typing import Any, Protocol

from . import messages as m
from ._thespian import ActorProcess, Address
from .events import Event


class Root(Protocol):
    """The supervisor, as its roster and its essential actors see it."""

    boot: m.Boot
    essential: dict[str, Address]
    """By role, as started last."""
    epochs: dict[str, int]
    """How often each of these has been started."""
    sessions: dict[int, m.SessionJoined]

    def send(self, target: Address, message: Any) -> None:
        """Send a message."""

    def create(self, actor: type[ActorProcess]) -> Address:
        """Start a child."""

    def pid_of_last_child(self) -> int:
        """Return the process id of the child created last, or 0."""

    def stop_child(self, child: Address) -> None:
        """Ask a child to end."""

    def alarm(self, name: object, after_s: float) -> None:
        """Set an alarm that comes back to :meth:`Roster.alarm`."""

    def cancel_alarm(self, name: object) -> None:
        """Forget an alarm."""

    def join(self, joined: m.SessionJoined) -> None:
        """Tell everybody of a session."""

    def leave(self, session: int) -> None:
        """Tell everybody that it is over. Idempotent."""

    def publish(self, *events: Event) -> None:
        """Tell the subscribers."""
