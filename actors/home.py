"""What lanes need of their plugin actor: the actor itself, who keeps its books, and who decides what follows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from ..config.errors import NyxPluginError
from ..plugins.policy import Policy
from ..plugins.worker.answers import Connect, Emit, Log, Open, Send
from . import messages as m
from .deaths import Death
from .letter_book import DeadFrame
from .results import Result
from .standing import Standing
from .tray import HandOut, Settled, Tray
from .worker import Worker


class Books(Protocol):
    """Where it is put down what becomes of frames, before anybody is told."""

    def hand_out(self, number: int, batch: HandOut, then: Callable[[], None]) -> None:
        """Of the lane of this number: call ``then``, which gives the batch to the worker, once it may be."""

    @property
    def is_on_disk(self) -> bool:
        """Whether it is put down for longer than the system."""

    def suspect(self, tray: Tray, count: int, then: Callable[[], None]) -> None:
        """The oldest frames of a tray go to another worker, and count as often delivered as they were by now."""

    def after(self, then: Callable[[], None]) -> None:
        """Call ``then`` once all is put down that was said before."""

    def bury(self, reason: str, frames: Sequence[DeadFrame]) -> None:
        """Keep frames that are about to be dead-lettered."""

    def buried(self, number: int, tray: Tray) -> list[Result]:
        """The results of the oldest frames, if an earlier plugin actor was killed after it had kept them as dead."""

    def settled(self, outcomes: Settled, then: Callable[[], None] | None = None) -> None:
        """Tell the sessions the outcomes of their frames, and call ``then``."""


class Superior(Protocol):
    """Who decides what follows."""

    def lane_ready(self) -> None:
        """The worker of one is ready."""

    def lane_failed(self, reason: str, error: NyxPluginError | None) -> None:
        """The first start of the plugin has failed."""

    def lane_crashed(self, number: int, death: Death) -> None:
        """The worker of this one ended, and what was suspect is settled; decide what follows."""

    def lane_went_on(self) -> None:
        """The worker of one has less in hand than before, or nothing."""

    def lane_stopped(self, number: int, error: str | None) -> None:
        """The worker of this one has ended because it was asked to; ``error`` is what ``on_unload`` raised."""


class Home(Protocol):
    """The actor, as its lanes see it. Names of alarms are ``(kind, number of the lane)``."""

    @property
    def plan(self) -> m.StartPlugin:
        """What the plugin was started with."""

    @property
    def is_host_gone(self) -> bool:
        """Whether the whole system is coming to its end, as its host process has."""

    @property
    def standing(self) -> Standing:
        """Whether the plugin is paused, was ready once, or is given up."""

    @property
    def ledger(self) -> Books:
        """Where it is put down what becomes of frames."""

    @property
    def foreman(self) -> Superior:
        """Who decides what follows."""

    def watch(self, fd: int, watcher: Callable[[int], None], events: int = ...) -> None:
        """Call ``watcher`` whenever ``fd`` is ready."""

    def unwatch(self, fd: int) -> None:
        """Stop that."""

    def alarm(self, name: object, after_s: float) -> None:
        """Call :meth:`Lane.on_alarm` in so many seconds."""

    def cancel_alarm(self, name: object) -> None:
        """See to it that this does not happen."""

    def worker_said(
        self, message: Emit | Log | Connect | Open | Send, worker: Worker, policy: Policy | None = None
    ) -> None:
        """Take what is not about frames or the worker's life; ``policy`` is that of the plan if it is ``None``."""

    def worker_output(self, line: str) -> None:
        """Take one line that the plugin printed."""

    def worker_denied(self, what: str) -> None:
        """Take note of what the policy has denied."""

    def worker_misbehaved(self, what: str) -> None:
        """Take note of a breach of the protocol."""

    def await_answers(self) -> None:
        """On transport ``inline``: let others run until nothing more can come for a plugin that waits."""

    def note_death(self, death: Death) -> None:
        """Take note that a worker ended, or has to."""

    def worker_dropped(self, worker: Worker) -> None:
        """Clean up behind a worker that was killed."""
