"""Frames of one call that were let in together: their receipts are made where somebody asks for one."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, overload

from .frames import NewFrame
from .receipt import Receipt
from .results import Result

if TYPE_CHECKING:
    from .runs import Run

_COLUMNS = ("data_sizes", "headers", "types")
_NUMBERS = ("accepted_until", "first", "settled_until", "stop")


class Stretch(Sequence[Receipt]):
    """Receipts of frames in a row, accepted and settled from the first on; what comes otherwise is for each by itself.

    The session's lock is held where frames are accepted or settled, and not where a receipt is looked at: who makes one
    puts it down before it looks what has become of the frame, who says what has become of it looks for receipts after.
    """

    __slots__ = ("_changed", "_made", "_plugin_id", "_results", "_sizes", *_COLUMNS, *_NUMBERS)

    def __init__(self, first: int, run: Run, sizes: list[int], changed: threading.Condition) -> None:
        """Take the first frames of a run, as many as there are ``sizes`` of headers."""
        count, plugin_id = len(sizes), run.plugin_id
        self.first = self.accepted_until = self.settled_until = first
        """Sequence numbers: all frames below the latter two are accepted, or have their outcomes."""
        self.stop = first + count
        self.types, self.headers, self.data_sizes = run.types[:count], run.headers[:count], run.data_lengths[:count]
        """The frames in columns, until all of them are accepted."""
        self._plugin_id = plugin_id
        self._sizes = sizes
        self._changed = changed
        self._made: dict[int, Receipt] = {}
        self._results: list[Result] | None = None
        """``None`` as long as no frame has had a reply."""

    def __len__(self) -> int:
        return self.stop - self.first

    @overload
    def __getitem__(self, place: int) -> Receipt: ...
    @overload
    def __getitem__(self, place: slice) -> list[Receipt]: ...
    def __getitem__(self, place: int | slice) -> Receipt | list[Receipt]:
        seqs = range(self.first, self.stop)[place]
        return self.receipt(seqs) if isinstance(seqs, int) else [self.receipt(seq) for seq in seqs]

    def __iter__(self) -> Iterator[Receipt]:
        return map(self.receipt, range(self.first, self.stop))

    def __repr__(self) -> str:
        return f"<Stretch plugin {self._plugin_id} #{self.first} to #{self.stop - 1}>"

    def receipt(self, seq: int) -> Receipt:
        """The receipt of the frame with this number; always the same one."""
        receipt = self._made.get(seq)
        if receipt is None:
            size = self._sizes[seq - self.first]
            receipt = self._made.setdefault(seq, Receipt(self._plugin_id, seq, size, self._changed))
            if seq < self.settled_until:
                receipt._settle(self._result(seq))
            elif seq < self.accepted_until:
                receipt._accept()
        return receipt

    @property
    def stretches(self) -> tuple[Stretch]:
        """As with a :class:`Woven`: this one alone."""
        return (self,)

    @property
    def unaccepted(self) -> int:
        """How many frames are not accepted yet."""
        return self.stop - self.accepted_until

    @property
    def unsettled(self) -> int:
        """How many frames have no outcome yet."""
        return self.stop - self.settled_until

    def rows(self) -> list[NewFrame]:
        """Each frame by itself that is not accepted yet."""
        start = self.accepted_until - self.first
        columns = self.types[start:], self.headers[start:], self.data_sizes[start:]
        return list(zip(range(self.accepted_until, self.stop), *columns, strict=True))

    def size(self, start: int, stop: int) -> int:
        """How many bytes the headers of the frames from ``start`` to ``stop`` have."""
        return sum(self._sizes[start - self.first : stop - self.first])

    def accept(self, until: int) -> None:
        """All frames below this number are accepted."""
        start, self.accepted_until = self.accepted_until, max(self.accepted_until, until)
        for receipt in self._made_in(start, self.accepted_until):
            receipt._accept()
        if self.accepted_until == self.stop:
            self.types, self.headers, self.data_sizes = [], [], []

    def settle(self, results: Sequence[Result], has_replies: bool) -> None:
        """The next frames have these outcomes, ``has_replies`` says whether there is any but ``None`` among them."""
        start, until = self.settled_until, self.settled_until + len(results)
        if has_replies and self._results is None:
            self._results = [None] * (start - self.first)
        if self._results is not None:
            self._results += results
        self.settled_until = until
        self.accept(until)
        for receipt in self._made_in(start, until):
            receipt._settle(self._result(receipt.seq))

    def _result(self, seq: int) -> Result:
        return None if self._results is None else self._results[seq - self.first]

    def _made_in(self, start: int, stop: int) -> Iterable[Receipt]:
        if not self._made:
            return ()
        return [self._made[seq] for seq in sorted(self._made) if start <= seq < stop]
