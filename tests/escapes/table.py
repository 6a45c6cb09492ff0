"""The table of attempts in docs/security.md: who may do it without the jail, and which layers alone stop it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from nyx_plugins.plugins.worker.jail import LAYERS, landlock

from .attempt import Attempt
from .catalogue import GROUPS, NUMBERED
from .conftest import Warden

ALONE = {
    "start": ("environment", "descriptors", "session", "signals", "parent_death"),
    "limits": ("limits", "capabilities", "no_new_privileges"),
    "capabilities": ("capabilities", "no_new_privileges"),
    "Landlock": ("no_new_privileges", "landlock"),
    "seccomp": ("no_new_privileges", "seccomp"),
}
"""What is tried alone; NO_NEW_PRIVS goes with the layers that the kernel wants it for."""
BEGIN, END = "<!-- attempts: begin -->", "<!-- attempts: end -->"
_HEADING = "| nr | attempt | ordinary user | " + " | ".join(ALONE) + " |"
_RULE = "|---:|---|:---:|" + ":---:|" * len(ALONE)


def machine() -> str:
    """Say where a table was measured."""
    major, minor = os.uname().release.split(".")[:2]
    return f"Linux {major}.{minor}, Landlock {landlock.version()}, {os.uname().machine}"


def table(warden: Warden) -> str:
    """Measure the whole table, as root."""
    return "\n".join(_lines(lambda attempt: stopping(warden, attempt)))


def stopping(warden: Warden, attempt: Attempt) -> set[str]:
    """Return the names of what stops an attempt alone."""
    return {name for name in tried(attempt) if not warden.run(attempt.source, ALONE[name], by_fork=True)["escaped"]}


def tried(attempt: Attempt) -> tuple[str, ...]:
    """Return what is worth trying: no capability is missing to what an ordinary user may do."""
    if attempt.alone:
        return attempt.alone
    return tuple(name for name in ALONE if name != "limits" and (name != "capabilities" or not attempt.ordinary))


def _lines(stopped_by: Callable[[Attempt], set[str]]) -> Iterator[str]:
    numbers = {attempt: number for number, attempt in NUMBERED.items()}
    yield f"Measured on {machine()}; {len(NUMBERED)} attempts.\n"
    totals = dict.fromkeys(ALONE, 0)
    for group, attempts in GROUPS.items():
        yield f"### {group[0].upper()}{group[1:]}\n"
        yield _HEADING
        yield _RULE
        for attempt in attempts:
            alone = stopped_by(attempt)
            for name in alone:
                totals[name] += 1
            marks = " | ".join("x" if name in alone else "" for name in ALONE)
            yield f"| {numbers[attempt]} | {attempt.title} | {_ordinary(attempt)} | {marks} |"
        yield ""
    counted = ", ".join(f"{name} {count}" for name, count in totals.items())
    yield f"Stopped by one layer alone: {counted}; by all together: {len(NUMBERED)}."


def _ordinary(attempt: Attempt) -> str:
    return "bomb" if attempt.bomb else "yes" if attempt.ordinary else "no"


assert {layer for layers in ALONE.values() for layer in layers} == set(LAYERS)
