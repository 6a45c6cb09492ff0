"""What a session is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import attrs

from ...plugins.worker.jail.level import Enforcement
from .._thespian import Address
from ..results import Outcomes
from ..word_book import Words
from .pickling import by_position
from .values import Introduce, Route


@attrs.frozen
class Reply:
    """The answer to a question: a value or an error; the session's routes are at least at ``version`` then."""

    request_id: int
    value: Any = None
    error: BaseException | None = None
    version: int = 0


@attrs.frozen
class Attached:
    """Supervisor to session: whom to talk to, and how well plugins are confined."""

    dispatcher: Address
    registry: Address
    enforcement: Enforcement
    dispatcher_epoch: int = 1


@attrs.frozen
class RoutesChanged:
    """Dispatcher to session: routes that are new or changed, and ids whose route is gone.

    ``gone`` maps to whether the plugin was drained: only then are there last words about frames that are still under
    way. An id that is in both has lost all that was under way, and then got the route.
    """

    version: int
    routes: tuple[Route, ...]
    gone: Mapping[int, bool]
    dispatcher_epoch: int = 1


@attrs.frozen
class CreditGranted:
    """Dispatcher to session: ``frames`` more may be sent to the plugin."""

    plugin_id: int
    frames: int
    dispatcher_epoch: int = 1


@attrs.frozen
class CreditRecalled:
    """Dispatcher to session: give back ``frames`` credits, what is unspent now and the rest with the outcomes."""

    plugin_id: int
    frames: int
    dispatcher_epoch: int = 1


@attrs.frozen
class Rejected:
    """Dispatcher to session: frames that were not accepted, each (sequence number, error)."""

    plugin_id: int
    frames: tuple[tuple[int, BaseException], ...]
    dispatcher_epoch: int = 1


@attrs.frozen
class Accepted:
    """Plugin actor to session: frames that are in the mailbox, as (first, last) ranges of sequence numbers."""

    plugin_id: int
    ranges: tuple[tuple[int, int], ...]
    confirm_to: Address = None
    """Where to send :class:`DeliverySeen`, with every so-many-th message; else ``None``."""

    __reduce__ = by_position


@attrs.frozen
class Settled:
    """Plugin actor to session: outcomes, each (sequence number, result)."""

    plugin_id: int
    outcomes: Outcomes
    confirm_to: Address = None
    """As with :class:`Accepted`."""
    accepted: tuple[tuple[int, int], ...] = ()
    """What there would be to say with :class:`Accepted` besides."""

    __reduce__ = by_position


@attrs.frozen
class LastWords:
    """Supervisor to session: what its plugin actor has said last of frames up to ``until`` that were under way.

    What it does not speak of was not accepted.
    """

    plugin_id: int
    until: int
    words: Words


@attrs.frozen
class Delivery:
    """A batch of one stream for one subscriber: events, emitted frames or log lines.

    Answered with :class:`DeliverySeen` to ``source``, which frees the next batch.
    """

    source: Address
    stream: str
    plugin_id: int | None
    items: tuple[Any, ...]
    dropped: int
    plugin: str = ""
    """The plugin's name, where there is a plugin."""


@attrs.frozen
class SystemStopping:
    """Supervisor to session: the system ends, for this reason."""

    reason: str


FROM_DISPATCHER = (RoutesChanged, CreditGranted, CreditRecalled, Rejected)
"""What carries the epoch of its dispatcher: of an older one than is known, nothing counts any more."""

SessionMessage: TypeAlias = (
    Reply
    | Attached
    | Introduce
    | RoutesChanged
    | CreditGranted
    | CreditRecalled
    | Rejected
    | Accepted
    | Settled
    | LastWords
    | Delivery
    | SystemStopping
)
