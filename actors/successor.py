"""The worker of a new version beside the one of the old, from its start until it works in that one's place."""

from __future__ import annotations

import enum
from typing import Protocol

from ..plugins.worker.answers import (
    Answer,
    Connect,
    Emit,
    Log,
    Open,
    Ready,
    Restored,
    Send,
    SnapshotDone,
    SnapshotPart,
    StartFailed,
    StateTaken,
    SwapFailed,
)
from ..plugins.worker.protocol import ProtocolError
from . import messages as m
from .deaths import Death
from .home import Home
from .lane import Lane
from .listener import Listener
from .snapshots import SnapshotAnswer

# What a plugin emits before it is in its place is held back; honest ones emit little.
MAX_EMITS = 1000
MAX_EMITTED_BYTES = 1 << 20


class Phase(enum.StrEnum):
    """How far it is; the values are what a failure calls the step."""

    STARTING = "start"
    READY = "ready"
    COLLECTING = "snapshot"
    RESTORING = "restore"
    GETTING_READY = "on_ready"
    RESTORED = "restored"


class Party(Protocol):
    """Whom a successor belongs to."""

    def advance(self) -> None:
        """Go on, if all have come as far as is needed."""

    def fail(self, step: str, reason: str) -> None:
        """A step has failed for one of them."""


class Successor(Listener):
    """A worker with the plan of the new version, for one lane. What it may say depends on its phase."""

    def __init__(self, home: Home, lane: Lane, plan: m.StartPlugin, party: Party) -> None:
        super().__init__(home)
        self.phase = Phase.STARTING
        self.has_state = False
        self.lane = lane
        self._plan = plan
        self._party = party
        self._pieces: list[bytes] = []
        self._size = 0
        self._emits: list[Emit] = []
        self._emitted = self._emitted_bytes = 0
        self.worker = lane.workplace.new_worker(self, standby=True)

    def start(self) -> None:
        """Start it; the party is told when it is ready. Raises :class:`ImportError`."""
        self.worker.start(self.lane.workplace.worker_plan(self._plan, standby=True))

    def take_over(self) -> None:
        """Get the state of the lane's present worker, and go on from it; the lane has nothing in hand."""
        self.phase = Phase.COLLECTING
        if not self.lane.send_snapshot(self._from_predecessor):
            self._restore(0, None)

    def let_out(self) -> None:
        """It is in its place: what it has emitted so far goes out."""
        for emit in self._emits:
            self._home.worker_said(emit, self.worker)
        self._emits.clear()

    def kill(self) -> None:
        """It is not needed."""
        self.worker.kill()
        self.lane.workplace.clear_standby()
        self._home.worker_dropped(self.worker)

    # What the old version says.

    def _from_predecessor(self, message: SnapshotAnswer) -> None:
        match message:
            case SnapshotPart():
                self._collect(message.piece)
            case SnapshotDone():
                self._collected(message.version)
            case SwapFailed():
                self._party.fail("snapshot", f"{message.type}: {message.text}")

    def _collect(self, piece: bytes) -> None:
        most = self._home.plan.settings.limits.snapshot_bytes
        self._size += len(piece)
        if self._size > most:
            raise ProtocolError(f"state of more than {most:,} bytes")
        self._pieces.append(piece)

    def _collected(self, version: int | None) -> None:
        if (version is None) != (not self._pieces):
            raise ProtocolError("state has a version and bytes, or neither")
        state, self._pieces = b"".join(self._pieces), []
        self.has_state = version is not None
        self._restore(version or 0, state if self.has_state else None)

    def _restore(self, version: int, state: bytes | None) -> None:
        self.phase = Phase.RESTORING
        self.worker.send_restore(version, state)

    # What the new version says.

    def from_worker(self, message: Answer) -> None:
        """Take one message of the new worker."""
        match message:
            case Ready() if self.phase is Phase.STARTING:
                self._come_to(Phase.READY)
            case StartFailed() if self.phase is Phase.STARTING:
                self._party.fail("start", f"{message.type}: {message.text}")
            case StateTaken() if self.phase is Phase.RESTORING:
                self.phase = Phase.GETTING_READY
            case Restored() if self.phase is Phase.GETTING_READY:
                self._come_to(Phase.RESTORED)
            case SwapFailed() if message.step == self.phase != Phase.COLLECTING:
                self._party.fail(message.step, f"{message.type}: {message.text}")
            case Emit():
                self._hold_back(message)
            case Log() | Connect() | Open() | Send():
                self._home.worker_said(message, self.worker, self._plan.policy)
            case SwapFailed():
                raise ProtocolError(f"{message.step} failed, and was not asked for")
            case _:
                raise ProtocolError(f"{type(message).__name__} is out of place in a worker that takes over")

    def _come_to(self, phase: Phase) -> None:
        self.phase = phase
        self._party.advance()

    def _hold_back(self, message: Emit) -> None:
        self._emitted += len(message.frames)
        self._emitted_bytes += sum(len(frame.data) for frame in message.frames)
        if self._emitted > MAX_EMITS or self._emitted_bytes > MAX_EMITTED_BYTES:
            most = f"{MAX_EMITS:,} frames or {MAX_EMITTED_BYTES:,} bytes"
            self._party.fail(self._step, f"it emitted more than {most} before it was in its place")
        else:
            self._emits.append(message)

    def worker_denied(self, what: str) -> None:
        """Log what the policy has denied; the plugin in its place is not to blame."""
        self._home.worker_output(f"the new version was denied: {what}")

    def worker_misbehaved(self, what: str) -> None:
        """The end of the worker follows, and tells why."""

    def await_answers(self) -> None:
        """Nothing that it asks for takes time."""

    def worker_gone(self, death: Death) -> None:
        """The new version's process has ended: the old one goes on."""
        self._party.fail(self._step, f"the new version's worker {death}")

    @property
    def _step(self) -> str:
        """What it was at last, as a failure calls it."""
        return _LAST_STEPS.get(self.phase, self.phase)


_LAST_STEPS = {Phase.READY: Phase.STARTING, Phase.RESTORED: Phase.GETTING_READY}
