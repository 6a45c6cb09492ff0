"""What the parts of a plugin actor need of it."""

from __future__ import annotations

from typing import Any, Protocol

from . import messages as m
from ._thespian import Address
from .standing import Standing


class Owner(Protocol):
    """The actor, as its parts see it."""

    @property
    def plan(self) -> m.StartPlugin:
        """What the plugin was started with, brought up to date."""

    @property
    def standing(self) -> Standing:
        """Whether it takes frames and has workers."""

    def send(self, target: Address, message: Any) -> None:
        """Send a message."""

    def alarm(self, name: object, after_s: float) -> None:
        """Tell the part whose alarm this is after so many seconds."""

    def cancel_alarm(self, name: object) -> None:
        """See to it that this does not happen."""
