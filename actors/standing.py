"""How a plugin stands: whether it takes frames and has workers and, where not, why."""

from __future__ import annotations

import errno
import os

from ..config.errors import NyxPluginError
from ..plugins.errors import MailboxFailed, MailboxFull, PluginFailed, PluginQuarantined
from . import messages as m
from .held import Held


class Standing:
    """Of one plugin, kept by its plugin actor and read by all parts of it."""

    def __init__(self) -> None:
        self.has_been_ready = False
        """Whether it was ready once: then a worker that does not start is a crash, and no failed load."""
        self.is_paused = False
        """Whether no worker is to be given frames."""
        self.is_quarantined = False
        self.given_up = ""
        """Why no worker is started any more and no frame accepted; empty: both are done."""
        self.draining: m.DrainPlugin | None = None
        """What has ordered that it be unloaded, as long as that is under way."""

    def give_up(self, reason: str) -> None:
        """Start no worker any more, for this reason."""
        self.given_up = reason

    def quarantine(self, reason: str) -> None:
        """Start no worker any more, as the plugin has done what it must not."""
        self.given_up, self.is_quarantined = reason, True

    def refusal(self, plan: m.StartPlugin, held: Held, is_cramped: bool = False) -> NyxPluginError:
        """Why frames are not accepted, where so much is held, or the disk has no room (``is_cramped``)."""
        if self.is_quarantined:
            return PluginQuarantined(plan.plugin_id, self.given_up)
        if self.given_up:
            return PluginFailed(plan.plugin_id, self.given_up, "dispatch")
        if is_cramped:
            return MailboxFailed(plan.plugin_id, plan.directory, os.strerror(errno.ENOSPC))
        if held.frames < plan.capacity:
            return MailboxFull(plan.plugin_id, held.bytes, plan.capacity_bytes, "bytes")
        return MailboxFull(plan.plugin_id, held.frames, plan.capacity)

    def state(self, is_ready: bool) -> str:
        """What statistics call it."""
        if self.is_quarantined:
            return "quarantined"
        if self.given_up:
            return "failed"
        if self.is_paused:
            return "paused"
        return "ready" if is_ready else "restarting"
