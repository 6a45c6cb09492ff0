"""The strategy *one for one* as a state machine: the end of a child concerns this child only, until it is given up.

Children are started in their order, each when the one before it is ready, and stopped in reverse order, each within its
own budget. A child that is given up stops all. ``step`` is pure: what happened goes in, what to do comes out.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import TypeAlias, assert_never

import attrs

from .child_spec import ChildSpec
from .verdict import GiveUp, Restart, Stay, decide


class Phase(enum.Enum):
    """Where a child is, or (without ``WAITING``) all of them together."""

    DOWN = enum.auto()
    STARTING = enum.auto()
    UP = enum.auto()
    WAITING = enum.auto()
    """It has ended, and its backoff is not over."""
    STOPPING = enum.auto()
    ENDED = enum.auto()


@attrs.frozen
class Child:
    """One child at present; ``restarts`` are the times (monotonic seconds) of its recent ones."""

    spec: ChildSpec
    phase: Phase = Phase.DOWN
    restarts: tuple[float, ...] = ()


@attrs.frozen
class State:
    """All children by name, in the order of their start; ``reason`` is why they are stopped."""

    children: Mapping[str, Child]
    phase: Phase = Phase.DOWN
    reason: str = ""
    killed: tuple[str, ...] = ()


# What happens.


@attrs.frozen
class Begin:
    """Start them."""


@attrs.frozen
class Ready:
    """A child has started."""

    name: str


@attrs.frozen
class Ended:
    """A child's process is gone, at ``now`` (monotonic seconds); ``random`` (0 to 1) spreads its backoff."""

    name: str
    now: float
    random: float
    normal: bool = False
    detail: str = ""
    """What it said of it, if anything."""


@attrs.frozen
class BackoffOver:
    """The time of :class:`StartIn` is over."""

    name: str


@attrs.frozen
class Stop:
    """Stop them all."""

    reason: str


@attrs.frozen
class BudgetOver:
    """The time of :class:`StopChild` is over."""

    name: str


Event: TypeAlias = Begin | Ready | Ended | BackoffOver | Stop | BudgetOver

# What is to be done.


@attrs.frozen
class Start:
    """Start this child now; ``again`` when it was there before."""

    name: str
    again: bool = False


@attrs.frozen
class StartIn:
    """Say :class:`BackoffOver` in so many seconds."""

    name: str
    after_s: float


@attrs.frozen
class StopChild:
    """Ask this child to end; say :class:`BudgetOver` in so many seconds."""

    name: str
    within_s: float


@attrs.frozen
class Kill:
    """End this child's process: it had its time."""

    name: str


@attrs.frozen
class Note:
    """A decision and its reason, for whoever wants to know: ``ended``, ``restarted`` or ``given up``."""

    name: str
    decision: str
    reason: str


@attrs.frozen
class Up:
    """All have started for the first time."""


@attrs.frozen
class Finished:
    """All have ended, for this reason; ``killed`` did not when they were asked to."""

    reason: str
    killed: tuple[str, ...]


Directive: TypeAlias = Start | StartIn | StopChild | Kill | Note | Up | Finished
Step: TypeAlias = tuple[State, tuple[Directive, ...]]


def begin(specs: tuple[ChildSpec, ...]) -> State:
    """Return the state before anything has happened."""
    return State({spec.name: Child(spec) for spec in specs})


def step(state: State, event: Event) -> Step:
    """Return the state after an event, and what to do, in order. What comes too late changes nothing."""
    match event:
        case Begin():
            return _start_next(state) if state.phase is Phase.DOWN else (state, ())
        case Ready():
            return _ready(state, event.name)
        case Ended():
            return _ended(state, event)
        case BackoffOver():
            return _start_again(state, event.name) if _is(state, event.name, Phase.WAITING) else (state, ())
        case Stop():
            return (state, ()) if state.phase in _OVER else _stop(state, event.reason)
        case BudgetOver():
            return _kill(state, event.name) if _is(state, event.name, Phase.STOPPING) else (state, ())
    assert_never(event)


_OVER = (Phase.STOPPING, Phase.ENDED)


def _is(state: State, name: str, phase: Phase) -> bool:
    return state.children[name].phase is phase


def _with(state: State, name: str, phase: Phase, restarts: tuple[float, ...] | None = None) -> State:
    child = state.children[name]
    changed = attrs.evolve(child, phase=phase, restarts=child.restarts if restarts is None else restarts)
    return attrs.evolve(state, children={**state.children, name: changed})


# Starting.


def _start_next(state: State) -> Step:
    state = attrs.evolve(state, phase=Phase.STARTING)
    for name, child in state.children.items():
        if child.phase is Phase.DOWN:
            return _with(state, name, Phase.STARTING), (Start(name),)
        if child.phase in (Phase.STARTING, Phase.WAITING):
            return state, ()
    return attrs.evolve(state, phase=Phase.UP), (Up(),)


def _ready(state: State, name: str) -> Step:
    if not _is(state, name, Phase.STARTING):
        return state, ()
    note = (Note(name, "restarted", f"the {name} is there again"),) if state.children[name].restarts else ()
    state = _with(state, name, Phase.UP)
    if state.phase is not Phase.STARTING:
        return state, note
    state, directives = _start_next(state)
    return state, (*note, *directives)


def _start_again(state: State, name: str) -> Step:
    return _with(state, name, Phase.STARTING), (Start(name, again=True),)


# Ends.


def _ended(state: State, event: Ended) -> Step:
    name, child = event.name, state.children[event.name]
    if state.phase in _OVER:
        return _stop_next(_with(state, name, Phase.ENDED)) if child.phase in _ALIVE else (state, ())
    if child.phase not in _ALIVE:
        return state, ()
    restarts, verdict = decide(child.spec, child.restarts, event.now, event.normal, event.random)
    match verdict:
        case Restart():
            return _restart(_with(state, name, Phase.WAITING, restarts), event, verdict.after_s)
        case GiveUp():
            return _give_up(_with(state, name, Phase.ENDED, restarts), event, verdict.reason)
        case Stay():
            return _with(state, name, Phase.ENDED), (Note(name, "ended", f"the {name} ended as it should"),)


_ALIVE = (Phase.STARTING, Phase.UP, Phase.STOPPING)


def _restart(state: State, event: Ended, after_s: float) -> Step:
    name, when = event.name, f"in {after_s:.3g} s" if after_s else "at once"
    note = Note(name, "ended", f"the {_told(event)}: it is started again {when}")
    if after_s:
        return state, (note, StartIn(name, after_s))
    state, directives = _start_again(state, name)
    return state, (note, *directives)


def _give_up(state: State, event: Ended, why: str) -> Step:
    reason = f"its {_told(event)}: {why}"
    state, directives = _stop(state, reason)
    return state, (Note(event.name, "given up", reason), *directives)


def _told(event: Ended) -> str:
    return f"{event.name} ended ({event.detail})" if event.detail else f"{event.name} ended"


# Stopping.


def _stop(state: State, reason: str) -> Step:
    return _stop_next(attrs.evolve(state, phase=Phase.STOPPING, reason=reason))


def _stop_next(state: State) -> Step:
    """Ask the last that is still there; nobody is asked before those that were started after it have ended."""
    for name, child in reversed(list(state.children.items())):
        if child.phase is Phase.STOPPING:
            return state, ()
        if child.phase in _ALIVE:
            return _with(state, name, Phase.STOPPING), (StopChild(name, child.spec.shutdown_s),)
        state = _with(state, name, Phase.ENDED)
    if state.phase is Phase.ENDED:
        return state, ()
    return attrs.evolve(state, phase=Phase.ENDED), (Finished(state.reason, state.killed),)


def _kill(state: State, name: str) -> Step:
    """A killed child is as good as ended: nobody waits for it."""
    state = attrs.evolve(_with(state, name, Phase.ENDED), killed=(*state.killed, name))
    state, directives = _stop_next(state)
    return state, (Kill(name), *directives)
