"""Runtime directories: held while their system lives, and removed when it is gone without having done so itself."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nyx_plugins import PluginSystem
from nyx_plugins.actors import runtime_dir
from nyx_plugins.actors.processes import await_ends, descendants, reap, watch_ends

HOUR_S = 3600.0
PATIENCE_S = 60.0


def aged(path: Path) -> Path:
    """Let a directory look as if it was an hour old."""
    then = time.time() - HOUR_S
    os.utime(path, (then, then))
    return path


def test_a_directory_is_private(tmp_path: Path) -> None:
    """It is 0700, and what marks it 0600."""
    path = runtime_dir.make(tmp_path)
    assert path.parent == tmp_path
    assert path.stat().st_mode & 0o777 == 0o700
    assert [file.stat().st_mode & 0o777 for file in path.iterdir()] == [0o600]


def test_a_stale_directory_is_removed_with_all_that_is_in_it(tmp_path: Path) -> None:
    """Nobody holds it, and it is not new."""
    path = runtime_dir.make(tmp_path)
    (path / "plugins" / "1").mkdir(parents=True)
    (path / "plugins" / "1" / "mailbox").write_text("frames")
    aged(path)
    runtime_dir.remove_stale(tmp_path)
    assert not path.exists()


def test_a_directory_that_is_held_stays_until_it_is_let_go(tmp_path: Path) -> None:
    """Its lock says that its system lives."""
    path = aged(runtime_dir.make(tmp_path))
    held = runtime_dir.hold(path)
    aged(path)
    runtime_dir.remove_stale(tmp_path)
    assert path.exists()
    os.close(held)
    runtime_dir.remove_stale(tmp_path)
    assert not path.exists()


def test_a_new_directory_stays(tmp_path: Path) -> None:
    """Its system may be about to start."""
    path = runtime_dir.make(tmp_path)
    runtime_dir.remove_stale(tmp_path)
    assert path.exists()


def _without_marker(path: Path) -> None:
    for file in path.iterdir():
        file.unlink()


def _others_may_enter(path: Path) -> None:
    path.chmod(0o755)


def _renamed(path: Path) -> None:
    path.rename(path.with_name("nyx-my-documents"))


def _behind_a_link(path: Path) -> None:
    target = path.rename(path.parent.parent / "elsewhere")
    path.symlink_to(target)


@pytest.mark.parametrize("change", [_without_marker, _others_may_enter, _renamed, _behind_a_link])
def test_what_is_not_ours_stays(tmp_path: Path, change: Callable[[Path], None]) -> None:
    """A directory that only looks like one of ours is left alone."""
    base = tmp_path / "base"
    base.mkdir()
    path = runtime_dir.make(base)
    change(path)
    for entry in base.iterdir():
        aged(entry)
    runtime_dir.remove_stale(base)
    assert len(list(base.iterdir())) == 1


@pytest.mark.needs_worker(reason="there is no process to kill")
def test_a_system_removes_what_a_killed_one_left(
    make_system: Callable[..., PluginSystem], runtime_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After kill -9 of a host its directory is there until the next system starts; that of a live system stays."""
    killed = make_system()
    killed.load("builtin:echo")
    [left] = runtime_base.iterdir()
    _kill_without_cleaning(killed, monkeypatch)
    assert left.exists()
    aged(left)
    live = make_system()
    assert not left.exists()
    [used] = runtime_base.iterdir()
    aged(used)
    make_system()
    assert used.exists()
    live.close()


def _kill_without_cleaning(system: PluginSystem, monkeypatch: pytest.MonkeyPatch) -> Any:
    """End a system as if the application had been killed together with its host."""
    below = watch_ends(descendants(system.host_pid))
    with monkeypatch.context() as patch:
        patch.setattr("nyx_plugins.actors.launch.remove", lambda _: None)
        os.kill(system.host_pid, signal.SIGKILL)
        system.close(timeout=0.0)
    # What ends by itself still writes to the directory, which would be young again.
    assert await_ends(below, PATIENCE_S) == []
    reap()
