"""The old version's workers after a swap: they unload, and are ended when that takes too long."""

from __future__ import annotations

from collections.abc import Callable

from ..plugins.policy import Policy
from ..plugins.worker.answers import Answer, Connect, Emit, Log, Open, Send, Stopped
from ..plugins.worker.protocol import ProtocolError
from .deaths import Death
from .home import Home
from .listener import Listener
from .worker import Worker

ALARM = "retire"


class Retiree(Listener):
    """One of them: it gets no frames any more, and what it does until its end goes on as before."""

    def __init__(self, home: Home, worker: Worker, policy: Policy, on_end: Callable[[Retiree], None]) -> None:
        super().__init__(home)
        self.worker = worker
        self._policy = policy
        self._on_end = on_end

    def from_worker(self, message: Answer) -> None:
        """Take one message."""
        match message:
            case Emit() | Log() | Connect() | Open() | Send():
                self._home.worker_said(message, self.worker, self._policy)
            case Stopped():
                if message.error is not None:
                    self._home.worker_output(f"the old version's on_unload failed: {message.error}")
                self.end()
            case _:
                raise ProtocolError(f"{type(message).__name__} is out of place in a worker that stops")

    def worker_gone(self, death: Death) -> None:
        """Its process has ended."""
        if not death.normal:
            self._home.worker_output(f"the old version's worker {death}")
        self.end()

    def end(self) -> None:
        """End it, if it has not ended."""
        self.worker.kill()
        self._on_end(self)


class Retiring:
    """All of one swap; ``on_end`` is called once when the last has ended."""

    def __init__(self, home: Home, policy: Policy, on_end: Callable[[], None]) -> None:
        self._home = home
        self._policy = policy
        self._on_end = on_end
        self._retirees: list[Retiree] = []

    @property
    def workers(self) -> list[Worker]:
        """Those that have not ended."""
        return [retiree.worker for retiree in self._retirees]

    def begin(self, workers: tuple[Worker, ...]) -> None:
        """Ask all to unload."""
        self._retirees = [Retiree(self._home, worker, self._policy, self._ended) for worker in workers]
        self._home.alarm(ALARM, self._home.plan.settings.system.stop_timeout_s)
        for retiree in list(self._retirees):
            retiree.worker.serve(retiree)
            retiree.worker.send_stop()
        if not workers:
            self._all_ended()

    def end(self) -> None:
        """End those that have not ended by themselves."""
        for retiree in list(self._retirees):
            self._home.worker_output("the old version's on_unload did not end in time")
            retiree.end()

    def _ended(self, retiree: Retiree) -> None:
        if retiree in self._retirees:
            self._retirees.remove(retiree)
            self._home.worker_dropped(retiree.worker)
            if not self._retirees:
                self._all_ended()

    def _all_ended(self) -> None:
        self._home.cancel_alarm(ALARM)
        self._on_end()
