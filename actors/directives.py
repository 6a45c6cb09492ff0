"""What the life of a plugin says is to be done."""

from __future__ import annotations

import enum
from typing import TypeAlias

import attrs

from .events import EventKind


class Do(enum.Enum):
    """What the supervisor shall do for this plugin."""

    AWAIT_DEPENDENCIES = enum.auto()
    DECIDE_POLICY = enum.auto()
    REGISTER = enum.auto()
    SPAWN_ACTOR = enum.auto()
    SET_ROUTE = enum.auto()
    NOTE_STATE = enum.auto()
    QUARANTINE = enum.auto()
    FORGIVE = enum.auto()
    ANSWER_RESET = enum.auto()
    DRAIN = enum.auto()
    STOP_ACTOR = enum.auto()
    KILL_ACTOR = enum.auto()
    DROP_ROUTE = enum.auto()
    UNREGISTER = enum.auto()
    FORGET_POLICY = enum.auto()
    REMOVE_FILES = enum.auto()
    ANSWER_LOAD = enum.auto()
    ANSWER_UNLOAD = enum.auto()
    FORGET = enum.auto()


@attrs.frozen
class Publish:
    """Tell the subscribers."""

    kind: EventKind
    reason: str = ""


@attrs.frozen
class RestartIn:
    """Call :meth:`PluginLife.restart_due` in ``after_s`` seconds."""

    after_s: float


Directive: TypeAlias = Do | Publish | RestartIn
