"""Supervision as data: what a child is promised, and what follows when it ends. Pure; the supervisor acts on it."""

from __future__ import annotations

from .child_spec import Backoff, ChildSpec, Intensity
from .one_for_one import (
    BackoffOver,
    Begin,
    BudgetOver,
    Child,
    Directive,
    Ended,
    Event,
    Finished,
    Kill,
    Note,
    Phase,
    Ready,
    Start,
    StartIn,
    State,
    Stop,
    StopChild,
    Up,
    begin,
    step,
)
from .verdict import GiveUp, Restart, Stay, Verdict, decide

__all__ = [
    "Backoff",
    "BackoffOver",
    "Begin",
    "BudgetOver",
    "Child",
    "ChildSpec",
    "Directive",
    "Ended",
    "Event",
    "Finished",
    "GiveUp",
    "Intensity",
    "Kill",
    "Note",
    "Phase",
    "Ready",
    "Restart",
    "Start",
    "StartIn",
    "State",
    "Stay",
    "Stop",
    "StopChild",
    "Up",
    "Verdict",
    "begin",
    "decide",
    "step",
]
