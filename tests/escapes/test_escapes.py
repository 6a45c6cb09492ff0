"""Every attempt in a fresh process: contained with the jail, and successful without it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from nyx_plugins.plugins.worker.jail import LAYERS
from nyx_plugins.plugins.worker.jail.level import enforcement

from .attempt import Attempt
from .catalogue import NUMBERED
from .conftest import USERS, Warden

pytestmark = pytest.mark.skipif(enforcement().level != "full", reason="this machine can't put the whole jail on")
MACHINE = os.uname().machine
HERE = {number: attempt for number, attempt in NUMBERED.items() if attempt.machine in ("", MACHINE)}
# What may show in place of success: refused, or ended by the kernel.
REFUSED, RAISED = 3, 4


def named(number: int) -> str:
    """Name a case by number and title."""
    return f"{number:02d} {NUMBERED[number].title}"


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("number", HERE, ids=named)
def test_it_is_contained(number: int, user: str, warden: Callable[[str], Warden]) -> None:
    """With the jail on, the attempt is refused, or ends the process that makes it."""
    seen = warden(user).run(HERE[number].source, LAYERS)
    assert not seen["escaped"], seen
    assert seen["status"] in (REFUSED, RAISED) or seen["status"] < 0, seen
    assert "not done in time" not in seen["output"]


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("number", [number for number in HERE if not HERE[number].bomb], ids=named)
def test_it_succeeds_without_the_jail(number: int, user: str, warden: Callable[[str], Warden]) -> None:
    """The same code does what it says where nothing confines it: what contains it is the jail."""
    attempt = HERE[number]
    seen = warden(user).run(attempt.source, (), by_fork=True)
    if user == "root" or (attempt.ordinary and not hidden(attempt)):
        assert seen["escaped"], seen
    elif not attempt.ordinary:
        assert not seen["escaped"], f"an ordinary user can do it: {seen}"


def hidden(attempt: Attempt) -> bool:
    """Whether a setting of this kernel forbids it to ordinary users."""
    path = Path(attempt.hidden_by or "/nothing")
    return path.exists() and path.read_text().strip() not in ("0", "-1")


def test_there_are_enough() -> None:
    """At least sixty attempts, each with a title of its own."""
    titles = [attempt.title for attempt in NUMBERED.values()]
    assert len(set(titles)) == len(titles) >= 60
