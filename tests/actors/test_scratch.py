"""A scratch directory that is begun anew."""

from __future__ import annotations

import errno
import threading
from pathlib import Path

import pytest

from nyx_plugins.actors import scratch
from nyx_plugins.actors.scratch import AT_ONCE, begin


def full(path: Path, files: int) -> Path:
    """Make a folder with so many files."""
    path.mkdir()
    for number in range(files):
        (path / str(number)).touch()
    return path


def await_threads() -> None:
    """Wait until what is removed meanwhile is gone."""
    for thread in threading.enumerate():
        if thread.name == "scratch":
            thread.join(60.0)


@pytest.mark.parametrize("left", [0, 1, AT_ONCE, AT_ONCE + 1])
def test_it_begins_empty(tmp_path: Path, left: int) -> None:
    """It is private, and whatever was in it is gone, if not at once."""
    path = begin(full(tmp_path / "scratch", left))
    assert (path.stat().st_mode & 0o777, list(path.iterdir())) == (0o700, [])
    await_threads()
    assert list(tmp_path.iterdir()) == [path]


def test_nobody_waits_for_what_takes_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The directory is there while the one before is still being removed."""
    gate, done = threading.Event(), threading.Event()

    def removing(path: Path) -> None:
        assert gate.wait(60.0)
        done.set()

    monkeypatch.setattr(scratch, "remove", removing)
    begin(full(tmp_path / "scratch", AT_ONCE + 1))
    assert not done.is_set()
    gate.set()
    assert done.wait(60.0)


def test_without_a_thread_it_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there can be no more threads, the directory is there a little later."""

    def no_more(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_more)
    path = begin(full(tmp_path / "scratch", AT_ONCE + 1))
    assert list(tmp_path.iterdir()) == [path]


def test_where_there_is_no_room_beside_what_was_left_that_is_removed_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that has filled the disk does not keep the next one from starting."""
    path = full(tmp_path / "scratch", AT_ONCE + 1)
    real = Path.mkdir

    def mkdir(new: Path, mode: int) -> None:
        if any(tmp_path.iterdir()):
            raise OSError(errno.ENOSPC, "full")
        real(new, mode)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    monkeypatch.setattr(threading.Thread, "start", lambda thread: None)
    assert list(begin(path).iterdir()) == []
    assert list(tmp_path.iterdir()) == [path]
