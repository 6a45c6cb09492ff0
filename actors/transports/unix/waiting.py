"""What is sent to a child: at once, or once it is up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from thespian.actors import ActorAddress
from thespian.system.addressManager import CannotPickleAddress
from thespian.system.transport import SendStatus, TransmitIntent


class Waiting:
    """Intents for children that are not up yet. Thespian's own compares addresses with each other, all with all."""

    def __init__(self) -> None:
        self._intents: dict[int, list[TransmitIntent]] = {}

    def add(self, address: ActorAddress, intent: TransmitIntent) -> None:
        """Keep an intent until ``address``, the name that this process has for its child, means something."""
        self._intents.setdefault(address.addressDetails.addressInstanceNum, []).append(intent)

    def remove_intents_for_address(self, address: ActorAddress) -> list[TransmitIntent]:
        """Thespian's: take those for one child."""
        return self._intents.pop(address.addressDetails.addressInstanceNum, [])

    def fmap(self, function: Callable[[Any], Any]) -> None:
        """Thespian's: for its status report."""
        for number, intents in self._intents.items():
            function((number, intents))


def resolve(manager: Any, intent: TransmitIntent) -> bool:
    """Put the address of a child in place of its parent's name for it; false if there is nothing to be sent.

    Raises CannotPickleAddress as long as the child is not up.
    """
    target, message = manager.prepMessageSend(intent.targetAddr, intent.message)
    if message is SendStatus.DeadTarget:
        intent.tx_done(SendStatus.Sent)
        return False
    if target is None:
        raise CannotPickleAddress(intent.targetAddr)
    intent.changeTargetAddr(target)
    intent.changeMessage(message)
    return True
