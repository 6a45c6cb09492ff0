"""Values that several messages carry, and messages that more than one actor takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from ...config.sandbox import SandboxOverride
from ...plugins.manifest import Manifest
from ...plugins.negotiation import HandshakeOffer
from ...plugins.policy import Policy
from .._thespian import Address
from ..events import ALL_STREAMS
from ..frames import Frames
from .pickling import by_position


@attrs.frozen
class Question:
    """Base of what a session asks; answered with one :class:`Reply`."""

    request_id: int
    reply_to: Address


@attrs.frozen
class Change(Question):
    """Base of what changes something, and may be asked again because an answer, or the question, may be lost."""

    asked_at: float = attrs.field(default=0.0, kw_only=True)
    """When it was asked for the first time (monotonic, in seconds), if this is a repetition; 0: it is none.

    What has been changed since by anybody stands: see :class:`Changes`.
    """


@attrs.frozen
class LoadSpec:
    """One plugin to load, as the caller asked for it; ``None`` leaves it to manifest and configuration."""

    bundle: str
    plugin_id: int | None = None
    capacity: int | None = None
    capacity_bytes: int | None = None
    permissions: tuple[str, ...] | None = None
    config: Mapping[str, Any] = attrs.field(factory=dict)
    sandbox: SandboxOverride | None = None
    instances: int | None = None
    balance: str | None = None
    require_handshake: bool | None = None
    durability: str | None = None

    def pinned(self, bundle: str, route: Route, manifest: Manifest) -> LoadSpec:
        """Return what is asked for of another bundle where this one runs: what it has come to be stays as it is."""
        return attrs.evolve(
            self,
            bundle=bundle,
            plugin_id=route.plugin_id,
            capacity=route.capacity,
            capacity_bytes=route.capacity_bytes,
            instances=self.instances or manifest.instances,
            balance=self.balance or manifest.balance,
        )


@attrs.frozen
class Route:
    """What a dispatcher and a session know of one plugin; ``state`` is that of the lifecycle."""

    plugin_id: int
    name: str
    version: str
    state: str
    permissions: frozenset[str]
    policy: Policy
    capacity: int
    capacity_bytes: int
    epoch: int
    """Which incarnation of the plugin actor this is; frames sent under an older one are sent again."""
    requires: Mapping[str, str] = attrs.field(factory=dict)
    """The plugins that it requires, by name, with ranges of versions."""
    optional: Mapping[str, str] = attrs.field(factory=dict)
    """Likewise those that it uses if they are there."""
    handshake: HandshakeOffer | None = None
    """What a sender has to come to terms with before its first frame; ``None``: with nothing."""
    stopping: bool = False
    """Whether it takes no more frames because the whole system stops."""
    durable: bool = False
    """Whether its frames outlive the system."""

    def of_version(self, manifest: Manifest, policy: Policy, require_handshake: bool | None) -> Route:
        """Return the route to another version of the plugin, in the same place."""
        return attrs.evolve(
            self,
            version=manifest.version,
            policy=policy,
            requires=manifest.requires,
            optional=manifest.optional,
            handshake=manifest.offer(require_handshake),
        )


@attrs.frozen
class Registration:
    """One row of the registry."""

    plugin_id: int
    name: str
    version: str
    digest: str
    state: str
    requested: frozenset[str]
    granted: frozenset[str]
    signed_by: str = ""
    """The public key of its signature; empty when it has none, or nobody has checked it."""


@attrs.frozen
class Extra:
    """What few frames have: a key, and an end of their time."""

    key: int | None = None
    """The check sum of a key: frames of the same go to the same instance of a plugin that balances by key."""
    expires_at_ms: int = 0
    """Wall clock, in milliseconds: not handed to the plugin any more then. 0: never."""
    letter: int = 0
    """The dead letter that this frame delivers again, which goes once it is accepted. 0: none."""


@attrs.frozen
class Batch:
    """Frames of one session for one plugin, which it has checked."""

    plugin_id: int
    epoch: int
    frames: Frames
    extras: Mapping[int, Extra] = attrs.field(factory=dict)
    """By sequence number, for those that have any."""
    settled_until: int = 0
    """Up to this number the session knows what became of its frames."""
    is_awaited: bool = True
    """Whether somebody waits for acceptance; else it may come with the outcomes."""

    __reduce__ = by_position


@attrs.frozen
class Refusal:
    """``count`` frames that a session refused itself; counted, and reported where they are violations."""

    plugin_id: int | None
    cause: str
    count: int
    violation: str | None = None
    """What the control frame asked for, if it was denied by the sandbox policy."""
    permission: bool = False
    """Whether it counts as a permission violation of the plugin."""
    was_submitted: bool = False
    """Whether the frames had been sent to the dispatcher before, and counted there."""


@attrs.frozen
class SessionJoined:
    """Supervisor to dispatcher and plugin actors: a session that may send and receive."""

    session: int
    address: Address
    streams: tuple[str, ...] = ALL_STREAMS
    """What it wants to be told of its own accord."""
    sends: bool = True
    """Whether it is to have room in mailboxes before it asks for some."""
    plugin_id: int | None = None
    """The plugin whose frames for other plugins these are: it needs the permission ``inter_plugin``."""


@attrs.frozen
class SessionLeft:
    """Supervisor to dispatcher and plugin actors: a session is gone."""

    session: int


@attrs.frozen
class Introduce:
    """Supervisor to sessions, plugin actors and essential actors: who has this role from now on.

    Sent when an essential actor (``dispatcher``, ``registry``, ``guard``) has been started again; ``epoch`` counts its
    starts from 1. What the one before it was told and has not answered may be lost.
    """

    role: str
    address: Address
    epoch: int


@attrs.frozen
class DeliverySeen:
    """Session to the source of a :class:`Delivery`."""

    session: int
    stream: str


@attrs.frozen
class GetPluginStats(Question):
    """Session to dispatcher, passed on to the plugin actor; the value is a ``MailboxStatistics``."""

    plugin_id: int


@attrs.frozen
class ScalePlugin(Change):
    """Session to supervisor, passed on to the plugin actor: run so many workers from now on."""

    plugin_id: int
    instances: int


@attrs.frozen
class ListDeadLetters(Question):
    """Session to dispatcher, passed on to the plugin actor if there is one; the value is a list of dead letters.

    They are those with numbers above ``after``, in ascending order: without their headers at most ``limit``, and with
    them as many of these as fit into a message, but at least one.
    """

    plugin_id: int
    after: int
    limit: int
    with_headers: bool = False


@attrs.frozen
class GetDeadLetter(Question):
    """Session to dispatcher, passed on to the plugin actor if there is one; the value is one dead letter."""

    plugin_id: int
    letter_id: int


@attrs.frozen
class DropDeadLetters(Question):
    """Session to dispatcher, passed on likewise; the value is how many were dropped (``ids`` ``None``: all)."""

    plugin_id: int
    ids: tuple[int, ...] | None


@attrs.frozen
class PausePlugin(Change):
    """Session to supervisor: hand no more frames to the plugin, or (``paused`` false) go on."""

    plugin_id: int
    paused: bool
