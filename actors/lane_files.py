"""The files of lanes, in the directory of their plugin: two mailboxes for each, and a page."""

from __future__ import annotations

from pathlib import Path

from . import messages as m
from .mailbox import Mailbox
from .tray import FLAG

DATA, CONTROL = 0, FLAG
"""What tells the two mailboxes of a lane apart; set in ring indices where they leave the lane."""
_ASSIGNED = "lanes"
_NAMES = {DATA: "data", CONTROL: "control"}


def mailbox_path(directory: Path, lane: int, flag: int) -> Path:
    """Where the mailbox for frames of one kind is."""
    return directory / f"mailbox-{lane}-{_NAMES[flag]}"


def mark_path(directory: Path, lane: int) -> Path:
    """Where the page is that a lane shares with its worker."""
    return directory / f"mark-{lane}"


def lanes_on_disk(directory: Path) -> int:
    """How many lanes have ever been there: the numbers begin at 0 and have no gaps."""
    count = 0
    while mailbox_path(directory, count, DATA).exists():
        count += 1
    return count


def read_assigned(directory: Path) -> int:
    """Among how many lanes frames are spread, as it was written last; 0 for never."""
    try:
        return int((directory / _ASSIGNED).read_bytes())
    except FileNotFoundError:
        return 0


def write_assigned(directory: Path, count: int) -> None:
    """Note among how many lanes frames are spread from now on; a kill leaves the old number or the new one."""
    unfinished = directory / f"{_ASSIGNED}.new"
    unfinished.write_bytes(b"%d" % count)
    unfinished.rename(directory / _ASSIGNED)


def open_mailbox(plan: m.StartPlugin, lane: int, flag: int) -> Mailbox:
    """Open it as its last writer left it, or create it. Each has room for all frames of the plugin."""
    path = mailbox_path(Path(plan.directory), lane, flag)
    if path.exists():
        return Mailbox.open(path, plan.plugin_id)
    result_bytes = max(plan.capacity_bytes, plan.settings.limits.max_reply_bytes)
    return Mailbox.create(path, plan.plugin_id, plan.capacity, plan.capacity_bytes, result_bytes)
