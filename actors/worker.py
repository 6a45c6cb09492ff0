"""A worker, as its plugin actor sees it: what it is started with, what it can be told, and whom it tells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

import attrs

from ..config.errors import NyxPluginError
from ..plugins.policy import Policy
from ..plugins.worker.answers import Answer
from ..plugins.worker.batch import Batch
from ..plugins.worker.outside import Refusal
from .deaths import Death

RequestAnswer: TypeAlias = int | Refusal | bytes | NyxPluginError | None
"""What a worker gets for what it asks: a descriptor or none, a reply (``None``: nothing to say) or an error."""


class Owner(Protocol):
    """Who receives what a worker does."""

    def from_worker(self, message: Answer) -> None:
        """Take one message, already checked."""

    def worker_gone(self, death: Death) -> None:
        """Take note that the worker has ended, and why."""

    def worker_output(self, line: str) -> None:
        """Take one line that the worker wrote to standard output or standard error."""

    def worker_denied(self, what: str) -> None:
        """Take note that the plugin has asked for what its policy denies."""

    def worker_misbehaved(self, what: str) -> None:
        """Take note that the worker broke the protocol (it will be gone next)."""

    def await_answers(self) -> None:
        """On transport ``inline``: let others run until nothing more can come for a plugin that waits."""


@attrs.frozen
class WorkerPlan:
    """What a worker is started with."""

    plugin_id: int
    name: str
    bundle: str
    entry_point: str
    config: Mapping[str, Any]
    policy: Policy
    max_reply_bytes: int
    scratch: str
    """Where its private directory for files is made, if its policy has one."""
    max_snapshot_bytes: int = 0
    nursery: str = ""
    """The socket of the process from which it is forked; empty: it is exec'ed."""
    standby: bool = False
    """Whether it is to take another worker's place, and gets no frames before it has."""


class Worker(Protocol):
    """A place where plugin code runs: a process, or on transport ``inline`` this one."""

    pid: int

    def start(self, plan: WorkerPlan) -> None:
        """Begin; ``Ready`` or ``StartFailed`` follows."""

    def serve(self, owner: Owner) -> None:
        """From now on, tell this owner what happens."""

    def send_batch(self, first_index: int, frames: Batch) -> None:
        """Hand over frames; ``Done`` follows."""

    def send_stop(self) -> None:
        """Ask for ``on_unload``; ``Stopped`` follows."""

    def send_snapshot(self) -> None:
        """Ask for the plugin's state; ``SnapshotPart`` and ``SnapshotDone`` follow, or ``SwapFailed``."""

    def send_restore(self, version: int, state: bytes | None) -> None:
        """Let it take another worker's place, with its state if there is one; ``StateTaken`` and
        ``Restored`` follow, or ``SwapFailed``."""

    @property
    def answers_waiting(self) -> int:
        """How many answers to its requests it has not taken yet."""

    def answer(self, request_id: int, answer: RequestAnswer) -> None:
        """Hand over a descriptor, which is closed here then, a reply of another plugin, or what refuses either."""

    def mark(self) -> tuple[int, int]:
        """Return (ring index, count) of the frames last started; a count of 0 means none."""

    def exceeded(self) -> Death | None:
        """Why the worker has to be ended now; ``None`` when it holds no more than its policy allows."""

    def halt(self) -> None:
        """End it now; what it has started can still be told. Idempotent; ``worker_gone`` is not called."""

    def kill(self) -> None:
        """End it now and release everything. Idempotent; ``worker_gone`` is not called."""
