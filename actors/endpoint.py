"""How a session reaches the actors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from ._thespian import Address


class Endpoint(Protocol):
    """There is one for each transport."""

    address: Address
    supervisor: Address
    synchronous: bool
    """Whether ``send`` runs the actors until all is done, on the caller's thread."""

    def start(self, on_message: Callable[[Any], None], on_failure: Callable[[str], None]) -> None:
        """Call ``on_message`` with all that arrives, and ``on_failure(reason)`` if nothing will arrive any more."""

    def send(self, target: Address, message: Any) -> None:
        """Send one message."""

    def close(self) -> None:
        """Release everything. Idempotent."""
