"""What the dispatcher is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import attrs

from .._thespian import Address
from ..frame_rules import FrameRules
from .pickling import by_position
from .values import (
    Batch,
    DropDeadLetters,
    GetDeadLetter,
    GetPluginStats,
    Introduce,
    ListDeadLetters,
    Question,
    Refusal,
    Registration,
    Route,
    SessionJoined,
    SessionLeft,
)


@attrs.frozen
class StartDispatcher:
    """Supervisor to dispatcher; answered with ChildReady.

    With ``restarted`` another was there before. The routes that it had follow at once; it says with PermissionsKnown
    that it also has the permissions in force, and only then do ``sessions`` and plugin actors hear of it.
    """

    rules: FrameRules
    host_pid: int
    epoch: int = 1
    sessions: tuple[SessionJoined, ...] = ()
    restarted: bool = False
    directory: str | None = None
    """Where its counters are kept; ``None``: nowhere."""
    letters: str = ""
    """The folder for dead letters."""


@attrs.frozen
class SetRoute:
    """Supervisor to dispatcher: open a route or change its state; answered with RouteSet."""

    load_id: int
    route: Route
    actor: Address
    number: int = 0
    """Comes back in the answer."""
    again: bool = False
    """Whether a dispatcher that was there before has been told so, and has answered."""
    first_epoch: int = 0
    """The epoch of the first route since the plugin was loaded; 0: of this one."""


@attrs.frozen
class RoutesTold:
    """Supervisor to a dispatcher that it has started again: all routes are told; answered with ChildReady."""


@attrs.frozen
class DropRoute:
    """Supervisor to dispatcher: the plugin is gone; answered with RouteDropped."""

    load_id: int
    plugin_id: int
    drained: bool


@attrs.frozen
class KnownRegistrations:
    """Registry to dispatcher, when one of them has (re)started: every row, with the permissions that are in force."""

    registrations: tuple[Registration, ...]


@attrs.frozen
class RegistrationForgotten:
    """Registry to dispatcher: a plugin at rest is registered no more; the supervisor is told once all know."""

    plugin_id: int
    number: int


@attrs.frozen
class PermissionsChanged:
    """Registry to dispatcher: in force from now on; answers the session's question once nothing older is under way.

    Without ``reply_to`` nobody has asked: the plugin has been registered.
    """

    plugin_id: int
    permissions: frozenset[str]
    request_id: int
    reply_to: Address
    swap_id: int = 0
    """If a swap has changed them: the answer is a ``PermissionsInForce`` to the supervisor."""


@attrs.frozen
class Submit:
    """Session to dispatcher: frames to route, and what the session refused itself since the last time."""

    session: int
    batches: tuple[Batch, ...]
    refusals: tuple[Refusal, ...]

    __reduce__ = by_position


@attrs.frozen
class Rejoin:
    """Session to dispatcher, when this has been started again: what the last one knew of it; routes are the answer.

    Frames that are not accepted follow: they were counted by the session, and passed on or not.
    """

    session: int
    leases: Mapping[int, int]
    """Credits of each plugin, spent or not."""
    epochs: Mapping[int, int]
    """Of the routes that it knows, by plugin id."""
    sent: Mapping[int, int]
    """The last sequence number that was sent to each plugin."""
    dispatched: int
    """How many frames it has sent that were not refused."""
    refused: Mapping[str, int]
    """How many of its frames were refused, by cause."""


@attrs.frozen
class WantCredit:
    """Session to dispatcher: it has frames for the plugin and no credit left."""

    session: int
    plugin_id: int
    frames: int


@attrs.frozen
class ReturnCredit:
    """Session to dispatcher: credit that was recalled comes back."""

    session: int
    plugin_id: int
    frames: int
    epoch: int
    """Of the route that it was lent for: an earlier plugin's is nobody's any more."""


@attrs.frozen
class GetDispatchStats(Question):
    """Session to dispatcher; the value is a ``DispatchStats``."""


@attrs.frozen
class FindDeadLetters(Question):
    """Session to dispatcher; the value is a list of the ids of plugins that have dead letters, or had some."""


@attrs.frozen
class Overflowed:
    """Plugin actor to dispatcher: frames that are not in the mailbox, each (sequence number, error), to be rejected."""

    session: int
    plugin_id: int
    frames: tuple[tuple[int, BaseException], ...]


@attrs.frozen
class FencePassed:
    """Plugin actor to dispatcher: all that was sent before this fence is in the mailbox."""

    token: int


DispatcherMessage: TypeAlias = (
    StartDispatcher
    | Introduce
    | SessionJoined
    | SessionLeft
    | SetRoute
    | RoutesTold
    | DropRoute
    | KnownRegistrations
    | RegistrationForgotten
    | PermissionsChanged
    | Submit
    | Rejoin
    | WantCredit
    | ReturnCredit
    | GetDispatchStats
    | FindDeadLetters
    | GetPluginStats
    | ListDeadLetters
    | GetDeadLetter
    | DropDeadLetters
    | Overflowed
    | FencePassed
)
