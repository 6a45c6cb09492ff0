"""The trays of one lane, in the order in which they are served: control frames before all others."""

from __future__ import annotations

from pathlib import Path

from .home import Home
from .lane_files import CONTROL, DATA, mailbox_path, open_mailbox
from .tray import Tray


class Rack:
    """One tray for data frames, and once there was a control frame one for those."""

    def __init__(self, home: Home, number: int) -> None:
        self.number = number
        self._home = home
        self.by_flag: dict[int, Tray] = {}
        self._served: Tray | None = None
        self.trays: list[Tray] = []
        """Those that there are, in the order in which they are served."""
        self.data = self.tray(DATA)
        if mailbox_path(Path(home.plan.directory), number, CONTROL).exists():
            self.tray(CONTROL)

    @property
    def _max_deliveries(self) -> int:
        manifest = self._home.plan.manifest
        return manifest.max_deliveries if manifest.idempotent else 1

    @property
    def depth(self) -> int:
        """Frames without outcome."""
        return sum(tray.box.depth for tray in self.trays)

    @property
    def is_waiting(self) -> bool:
        """Whether there are frames that the worker was not given."""
        for tray in self.trays:  # noqa: SIM110 - asked three times for each frame: any() takes two calls more
            if tray.is_waiting:
                return True
        return False

    @property
    def is_quick(self) -> bool:
        """Whether the worker has all that there is, and takes no time for it to speak of."""
        for tray in self.trays:  # noqa: SIM110 - as above
            if not tray.is_quick:
                return False
        return True

    @property
    def expires_at_ms(self) -> int:
        """When the time of the first frame is over that no worker has; 0: never."""
        first = 0
        for tray in self.trays:
            if (at := tray.expires_at_ms) and not 0 < first <= at:
                first = at
        return first

    @property
    def is_under_way(self) -> bool:
        """Whether the worker has frames in hand."""
        return any(tray.is_under_way for tray in self.trays)

    def tray(self, flag: int) -> Tray:
        """Where frames of this kind wait; that for control frames is made when the first comes."""
        tray = self.by_flag.get(flag)
        if tray is None:
            box = open_mailbox(self._home.plan, self.number, flag)
            self.by_flag[flag] = tray = Tray(box, flag, self._max_deliveries)
            self.trays = [self.by_flag[flag] for flag in (CONTROL, DATA) if flag in self.by_flag]
        return tray

    def next(self, is_written: bool) -> Tray | None:
        """Whose frames come next: the control frames. A worker has those of one tray in hand, so that it is plain
        what a crash makes suspect; and before its mark is one in the other, it ``is_written`` what came of the first.
        """
        first, *others = self.trays
        if not others:
            self._served = first
            return first
        [data] = others
        chosen, other = (first, data) if first.is_waiting else (data, first)
        if other.is_under_way or (other is self._served and not is_written):
            return None
        self._served = chosen
        return chosen

    def renew(self) -> None:
        """The plan is that of another version."""
        for tray in self.trays:
            tray.max_deliveries = self._max_deliveries

    def rewind(self) -> None:
        """No worker has anything in hand any more."""
        for tray in self.trays:
            tray.rewind()

    def close(self) -> None:
        """Release the mailboxes."""
        for tray in self.trays:
            tray.box.close()
