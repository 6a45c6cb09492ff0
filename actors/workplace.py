"""Where the workers of one lane work: their pages of marks, their directories, and the making of them."""

from __future__ import annotations

import contextlib
from pathlib import Path

from . import messages as m
from .home import Home
from .inline_worker import InlineWorker
from .lane_files import mark_path
from .tray import BATCH_FRAMES, BATCHES_UNDER_WAY
from .worker import Owner, Worker, WorkerPlan
from .worker_link import WorkerLink


class Workplace:
    """Has room for a worker, and for one of another version beside it (``standby``)."""

    def __init__(self, home: Home, number: int) -> None:
        self._home = home
        self._number = number
        marks = Path(home.plan.durable or home.plan.directory)
        self._mark = mark_path(marks, number)
        self.standby_mark = marks / f"mark-{number}-standby"
        """The page of the worker beside the present one."""

    def new_worker(self, owner: Owner, standby: bool = False) -> Worker:
        """A worker that is not started; what it does, ``owner`` is told. With ``standby`` it comes beside another."""
        plan = self._home.plan
        if plan.settings.system.transport == "inline":
            return InlineWorker(owner)
        page, most = self.standby_mark if standby else self._mark, BATCHES_UNDER_WAY * BATCH_FRAMES
        return WorkerLink(owner, self._home, page, plan.settings.limits.max_reply_bytes, most)

    def worker_plan(self, plan: m.StartPlugin, standby: bool = False) -> WorkerPlan:
        """What a worker of this version of the plugin is started with."""
        return WorkerPlan(
            plan.plugin_id,
            plan.manifest.name,
            str(Path(plan.bundle_directory, "bundle")),
            plan.manifest.entry_point,
            plan.config,
            plan.policy,
            plan.settings.limits.max_reply_bytes,
            str(Path(plan.bundle_directory, f"scratch-{self._number}")),
            plan.settings.limits.snapshot_bytes,
            # What starts programs is a child of the plugin actor, which ends what it leaves behind.
            "" if plan.policy.subprocesses else plan.nursery,
            standby,
        )

    def switch(self) -> None:
        """The worker that was beside the other is the only one now."""
        with contextlib.suppress(FileNotFoundError):
            # A plugin actor that comes after this one looks for the mark of the worker that works.
            self.standby_mark.replace(self._mark)

    def clear_standby(self) -> None:
        """The worker beside the present one is gone."""
        self.standby_mark.unlink(missing_ok=True)
