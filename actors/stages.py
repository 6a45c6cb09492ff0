"""Where a plugin can be in its life."""

from __future__ import annotations

import enum


class Stage(enum.StrEnum):
    """Where a plugin is; the values are what users see as its state."""

    PREPARING = "preparing"
    WAITING = "waiting"
    DECIDING = "deciding"
    REGISTERING = "registering"
    STARTING = "starting"
    OPENING = "opening"
    READY = "ready"
    PAUSED = "paused"
    RESTARTING = "restarting"
    FAILED = "failed"
    QUARANTINED = "quarantined"
    CLOSING = "closing"
    DRAINING = "draining"
    UNDOING = "undoing"
    GONE = "gone"


LOADING = frozenset({Stage.PREPARING, Stage.WAITING, Stage.DECIDING, Stage.REGISTERING, Stage.STARTING, Stage.OPENING})
GIVEN_UP = frozenset({Stage.FAILED, Stage.QUARANTINED})
ENDING = frozenset({Stage.CLOSING, Stage.DRAINING, Stage.UNDOING, Stage.GONE})
