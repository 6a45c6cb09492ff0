"""Who waits for room in a mailbox: first come, first served. Not thread-safe: their session holds the lock."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from ..plugins.negotiation import Agreement
from .messages import Extra
from .pending import Pending
from .receipt import Receipt


class Waiter(Pending[Receipt]):
    """One frame that has found no room; done when it has been let in, or refused."""

    __slots__ = ("agreement", "data_length", "extra", "frame_type", "header", "plugin_id")

    def __init__(
        self,
        plugin_id: int,
        frame_type: int,
        header: bytes,
        extra: Extra | None = None,
        agreement: Agreement | None = None,
        data_length: int = 0,
    ) -> None:
        super().__init__()
        self.plugin_id = plugin_id
        self.frame_type = frame_type
        self.header = header
        self.extra = extra
        self.agreement = agreement
        self.data_length = data_length


class WaitingLine:
    """The waiters of one plugin. Each step takes the same time, however many they are: any of them may leave."""

    def __init__(self) -> None:
        self._waiters: OrderedDict[Waiter, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._waiters)

    def __iter__(self) -> Iterator[Waiter]:
        return iter(list(self._waiters))

    @property
    def first(self) -> Waiter | None:
        """Whose turn it is."""
        return next(iter(self._waiters), None)

    def join(self, waiter: Waiter) -> None:
        """Wait behind all others."""
        self._waiters[waiter] = None

    def leave(self, waiter: Waiter) -> bool:
        """Wait no longer; returns whether it did."""
        return self._waiters.pop(waiter, self) is None
