"""What is removed of a system that has ended, and what stays."""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nyx_plugins.actors.transports.unix import directory

AN_HOUR = 3600.0


def _is_free(path: Path) -> bool:
    held = directory.lock(str(path))
    if held is not None:
        os.close(held)
    return held is not None


def _age(path: Path, seconds: float = AN_HOUR) -> None:
    then = time.time() - seconds
    os.utime(path, (then, then))


def _dead_socket(path: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
    return path


def _old_system(path: Path) -> Path:
    path.mkdir(0o700, parents=True)
    _dead_socket(path / "admin")
    (path / "lock").touch()
    _age(path)
    return path


def test_a_live_socket_is_told_from_a_dead_one(short: Path, listening: Callable[[Path], socket.socket]) -> None:
    """Only a path at which some process listens is live."""
    listening(short / "live")
    (short / "file").touch()
    assert directory.is_listening(str(short / "live"))
    for path in (_dead_socket(short / "dead"), short / "missing", short / "file", short / ("x" * 200)):
        assert not directory.is_listening(str(path))


def test_a_full_queue_is_alive(short: Path, listening: Callable[[Path], socket.socket]) -> None:
    """A process that has not accepted for long counts as alive."""
    listening(short / "full").listen(0)
    with socket.socket(socket.AF_UNIX) as waiting:
        waiting.connect(str(short / "full"))
        assert directory.is_listening(str(short / "full"))


def test_only_dead_sockets_are_removed(short: Path, listening: Callable[[Path], socket.socket]) -> None:
    """A socket is removed if nobody listens at it; there need not be one."""
    listening(short / "live")
    _dead_socket(short / "dead")
    for name in ("live", "dead", "missing"):
        directory.remove_socket(str(short / name))
    assert [path.name for path in short.iterdir()] == ["live"]


def test_the_last_one_leaves_nothing(root: Path) -> None:
    """With nobody left, the dead sockets, key, lock and directory go, and the place of all systems with the last."""
    paths = [root / "1", root / "2"]
    for path in paths:
        directory.prepare(str(path))
        directory.make_key(str(path))
        directory.publish_key(str(path))
        _dead_socket(path / "admin")
    for path in paths:
        held = directory.lock(str(path))
        assert held is not None
        directory.tidy(str(path))
        os.close(held)
        directory.forget_key(str(path))
        assert not path.exists()
        assert root.exists() == (path == paths[0])


def test_sockets_that_go_meanwhile_do_not_matter(
    short: Path, locked: Callable[[Path], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Processes that end at the same time remove their own sockets, and everything else is removed all the same."""

    def remove_others(path: str) -> bool:
        for each in sockets:
            if str(each) != path:
                each.unlink(missing_ok=True)
        return False

    path = short / "system"
    path.mkdir(0o700)
    sockets = [_dead_socket(path / name) for name in "abcd"]
    locked(path)
    monkeypatch.setattr(directory, "is_listening", remove_others)
    directory.tidy(str(path))
    assert not path.exists()


def test_a_place_of_ones_own_stays(short: Path, locked: Callable[[Path], int]) -> None:
    """The directory above one that a system was given is left alone."""
    directory.prepare(str(short / "parent" / "system"))
    locked(short / "parent" / "system")
    directory.tidy(str(short / "parent" / "system"))
    assert list(short.rglob("*")) == [short / "parent"]


@pytest.mark.parametrize("tidy", [directory.tidy, directory.tidy_unused])
def test_what_others_use_stays(
    short: Path, listening: Callable[[Path], socket.socket], tidy: Callable[[str], None]
) -> None:
    """While others listen or keep files there, their things stay, and of the system's only the lock."""
    listening(short / "live")
    _dead_socket(short / "dead")
    for name in ("lock", "key", "notes"):
        (short / name).touch()
    tidy(str(short))
    assert {path.name for path in short.iterdir()} == {"live", "lock", "notes"}


def test_a_system_that_lives_is_not_tidied(short: Path, locked: Callable[[Path], int]) -> None:
    """Nothing is removed of a system whose lock is held."""
    _dead_socket(short / "dead")
    (short / "key").touch()
    locked(short)
    directory.tidy_unused(str(short))
    assert {path.name for path in short.iterdir()} == {"dead", "key", "lock"}


def test_what_is_unused_goes(short: Path) -> None:
    """A system whose lock is free is removed, and where there is none, nothing happens and nothing is made."""
    path = _old_system(short / "system")
    directory.tidy_unused(str(path))
    directory.tidy_unused(str(path))
    assert not path.exists()


def test_an_old_directory_whose_lock_is_free_is_removed(short: Path) -> None:
    """What systems have left that nobody has held for a while is removed and named."""
    paths = [_old_system(short / "systems" / name) for name in "ab"]
    (short / "systems").chmod(0o700)
    assert sorted(directory.remove_stale(str(short / "systems"))) == [str(path) for path in paths]
    assert list((short / "systems").iterdir()) == []


def test_a_young_directory_stays(short: Path) -> None:
    """A directory whose system may just be starting stays, and so does its free lock."""
    for name, age in (("new", 0.0), ("young", 30.0), ("from the future", -AN_HOUR)):
        _age(_old_system(short / name), age)
    assert directory.remove_stale(str(short)) == []
    assert len(list(short.iterdir())) == 3


def test_a_directory_whose_lock_is_held_stays(short: Path, locked: Callable[[Path], int]) -> None:
    """The directory of a live system stays, however old it is."""
    path = _old_system(short / "system")
    locked(path)
    _age(path)
    assert directory.remove_stale(str(short)) == []
    assert (path / "admin").exists()
    assert not _is_free(path)


def test_what_is_no_directory_stays(short: Path) -> None:
    """Files and links stay, and so does what links lead to."""
    other = _old_system(short / "other" / "system")
    place = short / "place"
    place.mkdir(0o700)
    (place / "file").touch()
    (place / "link").symlink_to(other)
    for each in place.iterdir():
        then = time.time() - AN_HOUR
        os.utime(each, (then, then), follow_symlinks=False)
    assert directory.remove_stale(str(place)) == []
    assert (place / "file").exists() and (place / "link").is_symlink() and (other / "admin").exists()


def test_where_there_is_no_place_nothing_is_stale(short: Path) -> None:
    """A place that does not exist, or is a file, has nothing stale in it."""
    (short / "file").touch()
    assert directory.remove_stale(str(short / "missing")) == []
    assert directory.remove_stale(str(short / "file")) == []


def test_a_system_that_starts_meanwhile_stays(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever gets the lock of an old directory while it is about to be removed keeps the directory."""

    def start_first(path: str, **options: Any) -> None:
        held.append(directory.lock(path))
        rmtree(path, **options)

    path, held, rmtree = _old_system(short / "system"), [], shutil.rmtree
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", start_first)
        directory.remove_stale(str(short))
    for fd in held:
        if fd is not None:
            os.close(fd)
    assert held != [] and (held == [None] or path.exists())


def test_a_place_that_is_a_link_is_not_cleaned(short: Path) -> None:
    """Somebody else may have put a link in the usual place, to have the directories of this user removed."""
    home = short / "home"
    home.mkdir(0o700)
    (home / "documents").mkdir()
    _age(home / "documents")
    (short / "place").symlink_to(home)
    assert directory.remove_stale(str(short / "place")) == []
    assert (home / "documents").exists()


def test_a_place_where_others_may_write_is_not_cleaned(short: Path) -> None:
    """What lies where others may rename directories is left alone: it need not be what it seems."""
    _old_system(short / "place" / "system")
    (short / "place").chmod(0o777)
    assert directory.remove_stale(str(short / "place")) == []
    assert (short / "place" / "system").exists()
