"""The lock of a system: one has it at a time, and it is free however its holder ends."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from nyx_plugins.actors.transports.unix import directory

AN_HOUR = 3600.0


def test_only_one_has_the_lock(short: Path, locked: Callable[[Path], int]) -> None:
    """A lock is not given to a second until the first has closed it, and is inherited by nobody."""
    held = directory.lock(str(short))
    assert held is not None
    assert not os.get_inheritable(held)
    assert directory.lock(str(short)) is None
    assert directory.lock(str(short), patience_s=0.001) is None
    os.close(held)
    locked(short)
    assert stat.S_IMODE((short / "lock").stat().st_mode) == 0o600


def test_a_lock_is_waited_for(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has patience gets the lock as soon as its holder closes it."""
    held = directory.lock(str(short))
    assert held is not None
    monkeypatch.setattr("time.sleep", lambda _: os.close(held))
    got = directory.lock(str(short), patience_s=AN_HOUR)
    assert got is not None
    os.close(got)


def test_the_lock_of_a_removed_file_is_none(
    short: Path, locked: Callable[[Path], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever locks a file that its holder is just removing has no lock, and gets one at the next attempt."""

    def remove_first(fd: int, operation: int) -> None:
        os.unlink(short / "lock")
        flock(fd, operation)

    flock = fcntl.flock
    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", remove_first)
        assert directory.lock(str(short)) is None
    locked(short)


def test_the_lock_of_a_replaced_file_is_none(
    short: Path, locked: Callable[[Path], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two who open the lock file before and after its removal, only the second holds the lock."""

    def replace_first(fd: int, operation: int) -> None:
        monkeypatch.undo()
        os.unlink(short / "lock")
        locked(short)
        flock(fd, operation)

    flock = fcntl.flock
    monkeypatch.setattr(fcntl, "flock", replace_first)
    assert directory.lock(str(short)) is None


def test_a_link_is_no_lock(short: Path) -> None:
    """A symbolic link in the place of the lock file is not followed."""
    (short / "lock").symlink_to(short / "other")
    with pytest.raises(OSError):
        directory.lock(str(short))
    assert not (short / "other").exists()
