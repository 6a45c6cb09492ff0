"""The files of lanes, in the directory of their plugin: two mailboxes for each, and a page."""

from __future__ import annotations

from pathlib import Path

from . import messages as m
from .mailbox import Mailbox
from .tray import FLAG

DATA, CONTROL = 0, FLAG
"""What tells the two mailboxes of a lane apart; set in ring indices where they leave the lane."""
_NAMES = {DATA: "data", CONTROL: "control"}


def mailbox_path(directory: Path, lane: int, flag: int) -> Path:
    """Where the mailbox for frames of one kind is."""
    return directory / f"mailbox-{lane}-{_NAMES[flag]}"


def mark_path(directory: Path, lane: int) -> Path:
    """Where the page is that a lane shares with its worker."""
    return directory / f"mark-{lane}"


def open_mailbox(plan: m.StartPlugin, lane: int, flag: int) -> Mailbox:
    """Open it as its last writer left it, or create it. Each has room for all frames of the plugin."""
    path = mailbox_path(Path(plan.directory), lane, flag)
    if path.exists():
        return Mailbox.open(path, plan.plugin_id)
    result_bytes = max(plan.capacity_bytes, plan.settings.limits.max_reply_bytes)
    return Mailbox.create(path, plan.plugin_id, plan.capacity, plan.capacity_bytes, result_bytes)
