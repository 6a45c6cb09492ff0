"""How long one call that sends many frames waits: for room, and until they are accepted."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from ..config.errors import NyxPluginError
from .receipt import Receipt
from .series import Piece
from .session import Session
from .stretch import Stretch
from .waiting import Waiter
from .woven import Woven


class Patience:
    """Of a caller's thread: ``timeout`` seconds from now on, for all frames of the call."""

    def __init__(self, session: Session, timeout: float) -> None:
        self._session = session
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout

    def await_room(self, waiter: Waiter) -> None:
        """Wait until this one has been let in or refused."""
        waiter.wait(self._left())
        self._session.expire(waiter, self._timeout)

    def accepted(self, pieces: Iterable[Piece]) -> Iterator[Receipt | NyxPluginError | Stretch | Woven]:
        """Wait for each to be accepted; yields an error in the place of what is not."""
        for piece in pieces:
            if not isinstance(piece, (Stretch, Woven)):
                yield self._accepted_or_error(piece)
            elif all(self._is_accepted(stretch) for stretch in piece.stretches):
                yield piece
            else:
                for receipt in piece:
                    yield self._accepted_or_error(receipt)

    def _is_accepted(self, stretch: Stretch) -> bool:
        """Wait for the last one: most often all are accepted then."""
        last = stretch[-1]
        if self._accepted_or_error(last) is not last:
            return False
        return not stretch.unaccepted or all(receipt.accepted for receipt in stretch)

    def _accepted_or_error(self, item: Receipt | Waiter | NyxPluginError) -> Receipt | NyxPluginError:
        if isinstance(item, NyxPluginError) or (isinstance(item, Receipt) and item.accepted):
            return item
        try:
            if isinstance(item, Waiter):
                item = self._session.result(item, self._left(), self._timeout)
            item.wait_accepted(self._left(), asked=self._timeout)
        except NyxPluginError as error:
            return error
        return item

    def _left(self) -> float:
        return max(0.0, self._deadline - time.monotonic())
