"""What a plugin actor is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import attrs

from ...config.settings import Settings
from ...plugins.manifest import Manifest
from ...plugins.policy import Policy
from .._thespian import Address
from ..frames import Frames
from .pickling import by_position
from .to_session import (
    Accepted,
    CreditGranted,
    CreditRecalled,
    LastWords,
    Rejected,
    RoutesChanged,
    Settled,
    SystemStopping,
)
from .values import (
    DeliverySeen,
    DropDeadLetters,
    Extra,
    GetDeadLetter,
    GetPluginStats,
    Introduce,
    ListDeadLetters,
    PausePlugin,
    ScalePlugin,
    SessionJoined,
    SessionLeft,
)


@attrs.frozen
class StartPlugin:
    """Supervisor to plugin actor: open or recover the mailbox, start the worker; PluginStarted or PluginStartFailed."""

    load_id: int
    plugin_id: int
    manifest: Manifest
    policy: Policy
    directory: str
    """Of its mailboxes, which stay where they are when its version changes."""
    bundle_directory: str
    """Of the bundle's copy (``bundle``) and of what its workers write."""
    digest: str
    """Of the bundle's copy in there; checked before each start of a worker."""
    capacity: int
    capacity_bytes: int
    config: Mapping[str, Any]
    settings: Settings
    guard: Address
    dispatcher: Address
    sessions: tuple[SessionJoined, ...]
    host_pid: int
    paused: bool
    dispatcher_epoch: int = 1
    instances: int = 1
    leftovers: str = ""
    """Why frames of an earlier plugin actor are dead-lettered; empty: they are processed."""
    given_up: str = ""
    """Why no worker is started: the actor only tells what became of frames. Mostly empty."""
    restarts: tuple[float, ...] = ()
    """When the plugin's worker and its actor were restarted lately (monotonic seconds); all count together."""
    balance: str = "round_robin"
    letters: str = ""
    """The folder for dead letters; empty: none are kept."""
    durable: str = ""
    """The folder in which its frames outlive the system; empty: they don't."""
    nursery: str = ""
    """The socket of the process from which workers are forked; empty: they are exec'ed."""


@attrs.frozen
class Enqueue:
    """Dispatcher to plugin actor: frames that passed every check."""

    session: int
    frames: Frames
    extras: Mapping[int, Extra] = attrs.field(factory=dict)
    """By sequence number, for those that have any."""
    settled_until: int = 0
    """Up to this number the session knows what became of its frames."""
    dispatcher_epoch: int = 1
    """What an older dispatcher than the present one has let through does not reach the mailbox any more."""
    is_awaited: bool = True
    """Whether somebody waits for acceptance; else it may come with the outcomes."""

    __reduce__ = by_position


@attrs.frozen
class Refuse:
    """Dispatcher to plugin actor: frames that were sent again and pass no more, each (sequence number, error).

    Those that are in the mailbox already are answered as such; of the others the dispatcher is told with Overflowed.
    """

    session: int
    frames: tuple[tuple[int, BaseException], ...]
    dispatcher_epoch: int = 1


@attrs.frozen
class Fence:
    """Dispatcher to plugin actor; answered with FencePassed, once all before it is accepted (``settled``: finished)."""

    token: int
    settled: bool = False
    dispatcher_epoch: int = 1
    """As with :class:`Enqueue`: who passes this fence has heard of the dispatcher."""


@attrs.frozen
class NoteViolations:
    """Dispatcher to plugin actor: add to its counter of permission violations."""

    count: int


@attrs.frozen
class ViolationSeen:
    """Guard to plugin actor: the report of this number was counted."""

    number: int


@attrs.frozen
class Quarantine:
    """Supervisor to plugin actor: end the worker for good, for this reason, and finish what is in the mailbox."""

    reason: str


@attrs.frozen
class SwapPlugin:
    """Supervisor to plugin actor: put this version in the place of the present one; PluginSwapped or SwapAbandoned.

    ``timeout_s`` is for each of: starting its workers, waiting for the end of frames in hand, and moving over.
    """

    swap_id: int
    manifest: Manifest
    policy: Policy
    digest: str
    bundle_directory: str
    timeout_s: float


@attrs.frozen
class DrainPlugin:
    """Supervisor to plugin actor: finish what is in the mailbox, stop the worker; answered with PluginDrained."""

    drain_s: float
    reason: str
    keep: bool = False
    """Whether durable frames that are not finished in time are left to the next system."""


PluginQuestion: TypeAlias = GetPluginStats | ListDeadLetters | GetDeadLetter | DropDeadLetters
"""What is answered at once."""

PluginOrder: TypeAlias = StartPlugin | PausePlugin | ScalePlugin | Quarantine | SwapPlugin | DrainPlugin
"""What the supervisor wants."""

PluginMessage: TypeAlias = (
    PluginOrder
    | PluginQuestion
    | Enqueue
    | Refuse
    | Fence
    | NoteViolations
    | ViolationSeen
    | Introduce
    | SessionJoined
    | SessionLeft
    | DeliverySeen
    | RoutesChanged
    | CreditGranted
    | CreditRecalled
    | Rejected
    | Accepted
    | Settled
    | LastWords
    | SystemStopping
)
