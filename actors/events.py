"""What a subscriber receives: events of the system, frames that plugins emit, and the statistics' values."""

from __future__ import annotations

import enum
from typing import TypeAlias

import attrs

from .deaths import Death
from .latency import LatencyHistogram

EVENTS = "events"
EMITS = "emits"
LOG = "log"
ALL_STREAMS = (EVENTS, EMITS, LOG)
"""What a session can be told of its own accord; the first by the supervisor, the others by plugin actors."""


class EventKind(enum.StrEnum):
    """What happened to a plugin, or (the last four) to the system itself."""

    LOADED = "loaded"
    READY = "ready"
    CRASHED = "crashed"
    RESTARTED = "restarted"
    FAILED = "failed"
    UNLOADED = "unloaded"
    VIOLATION = "violation"
    QUARANTINED = "quarantined"
    SWAPPED = "swapped"
    SWAP_FAILED = "swap_failed"
    ACTOR_ENDED = "actor_ended"
    ACTOR_RESTARTED = "actor_restarted"
    SET_ASIDE = "set_aside"
    SYSTEM_FAILED = "system_failed"


@attrs.frozen
class Event:
    """A fact about a plugin, or with ``plugin_id`` ``None`` about the system; ``reason`` says why, in words."""

    kind: EventKind
    plugin_id: int | None
    reason: str = ""


@attrs.frozen
class Emitted:
    """A frame that a plugin sent towards the application."""

    plugin_id: int
    frame_type: int
    flags: int
    data: bytes


Notice: TypeAlias = Event | Emitted
"""What a subscription yields."""


@attrs.frozen
class DispatchStats:
    """Counters of the dispatcher since the system started.

    ``frames_dispatched`` counts accepted frames, ``dispatch_errors`` every refused one; ``refused`` tells the
    refusals apart by cause (the name of the error class).
    """

    plugins_loaded: int
    plugins_unloaded: int
    frames_dispatched: int
    dispatch_errors: int
    refused: dict[str, int]


@attrs.frozen
class InstanceStats:
    """One of the workers that a plugin runs in, and its share; ``processed`` counts what a handler saw to its end."""

    state: str
    """``ready`` or ``restarting``."""
    worker_pid: int | None
    depth: int
    processed: int
    restarts: int


@attrs.frozen
class PluginStats:
    """Counters of one plugin; the first four are named as in the reference.

    ``bytes_processed`` counts header bytes plus data bytes; ``in_mailbox`` counts accepted frames without outcome:
    ``accepted == processed + failed + dead_lettered + in_mailbox``, where ``messages_processed`` counts the frames
    that a handler has seen to its end (``processed + failed``) and ``errors`` those whose handler raised.

    ``permission_violations`` counts frames that permissions or the policy refused: those that the plugin has sent to
    others, and those of programs for it. ``violations`` is what the worker tried beyond its bounds. That and
    ``latency`` begin anew with each plugin actor; the process ids are its own and the worker's (``None`` while there
    is none, and on ``inline``). ``last_death`` is the end of the last worker that it has lost. ``dead_letters`` are
    kept, of this run and earlier ones; ``dead_letters_lost`` had to go to make room for others, or could not be kept.
    """

    messages_processed: int
    errors: int
    bytes_processed: int
    permission_violations: int
    accepted: int
    processed: int
    failed: int
    dead_lettered: int
    in_mailbox: int
    peak: int
    capacity: int
    bytes_held: int
    capacity_bytes: int
    restarts: int
    state: str
    latency: LatencyHistogram
    actor_pid: int
    worker_pid: int | None
    violations: int = 0
    last_death: Death | None = None
    dead_letters: int = 0
    dead_letters_lost: int = 0
    instances: tuple[InstanceStats, ...] = ()
    """One for each instance, in order; the frames of those that were scaled away count in the sums only."""
