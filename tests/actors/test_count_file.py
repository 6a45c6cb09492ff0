"""Numbers in a file whose writer may be killed at any instruction."""

from __future__ import annotations

import contextlib
import errno
import itertools
import mmap
import os
import stat
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nyx_plugins.actors import count_file
from nyx_plugins.actors.count_file import ROW, CountFile, Key
from nyx_plugins.actors.ring_file import Pages

KEYS = st.tuples(st.integers(1, 3), st.sampled_from(["a", "refused PluginNotRegistered", "ü" * 24]))
NUMBERS = st.integers(-(1 << 63), (1 << 63) - 1)
STEPS = st.lists(st.tuples(KEYS, NUMBERS, st.booleans()), max_size=8)


class Killed(BaseException):
    """Stands for a kill."""


def read(path: Path) -> dict[Key, int]:
    """All numbers in the file that are not 0."""
    file = CountFile(path)
    found = {key: value for key, value in file.items().items() if value}
    file.close()
    return found


def change(file: CountFile, key: Key, value: int, anew: bool) -> None:
    """Change one number, in its place or with all the others."""
    if anew:
        file.replace({**file.items(), key: value})
    else:
        file.put(*key, value)


@settings(max_examples=40)
@given(STEPS)
def test_what_was_written_is_there_when_it_is_opened_again(steps: list[tuple[Key, int, bool]]) -> None:
    """Whether it was changed in its place or written anew; its writer need not close it."""
    with TemporaryDirectory() as folder:
        path, expected = Path(folder) / "counts", {}
        file = CountFile(path)
        for key, value, anew in steps:
            change(file, key, value, anew)
            expected[key] = value
            assert read(path) == {key: value for key, value in expected.items() if value}
        file.close()


@settings(max_examples=60)
@given(STEPS, st.tuples(KEYS, NUMBERS, st.booleans()), st.integers(0, 30))
def test_a_kill_leaves_all_of_a_change_or_nothing(
    steps: list[tuple[Key, int, bool]], last: tuple[Key, int, bool], stores: int
) -> None:
    """After so many stores of the last change its writer is killed; the next one goes on from there."""
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = Path(folder) / "counts"
        file = CountFile(path)
        for step in steps:
            change(file, *step)
        before = read(path)
        left = itertools.count(stores, -1)
        for name in ("store", "put"):
            patch.setattr(Pages, name, _until_killed(getattr(Pages, name), left))
        with contextlib.suppress(Killed):
            change(file, *last)
        patch.undo()
        key, value, _ = last
        after = {key: value for key, value in {**before, key: value}.items() if value}
        assert read(path) in (before, after)
        file.close()
        again = CountFile(path)
        again.add(9, "more", 5)
        assert read(path)[9, "more"] == 5
        again.close()


def _until_killed(write: Any, left: Any) -> Any:
    def limited(*arguments: Any) -> None:
        if next(left) <= 0:
            raise Killed
        write(*arguments)

    return limited


def test_sums_and_what_there_is_not(tmp_path: Path) -> None:
    """A number that was never written is 0; a total is over all owners."""
    file = CountFile(tmp_path / "counts")
    file.add(1, "a", 2)
    file.add(2, "a", -5)
    file.add(2, "b", 0)
    assert (file.get(1, "a"), file.get(1, "b"), file.total("a"), len(file)) == (2, 0, -3, 2)
    assert stat.S_IMODE((tmp_path / "counts").stat().st_mode) == 0o600
    file.close()


def test_there_is_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond it no number can be added; those that there are can be changed. Without a path it is the same."""
    monkeypatch.setattr(count_file, "ROWS", 2)
    file = CountFile(None)
    file.put(1, "a", 1)
    file.put(2, "a", 1)
    with pytest.raises(OverflowError, match="2 numbers"):
        file.put(3, "a", 1)
    file.put(2, "a", 7)
    assert file.total("a") == 8
    file.replace({(5, "x"): 3})
    assert dict(file.items()) == {(5, "x"): 3}
    file.close()


def test_on_a_full_disk_new_numbers_are_known_to_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are there change in the file as ever, one by one and all at once; the others get there later."""
    file = CountFile(tmp_path / "counts")
    file.put(1, "a", 1)
    file.put(1, "b", 2)
    with monkeypatch.context() as full:
        had = file._pages
        full.setattr(Pages, "reserve", lambda pages, _, stop: pages is had and stop <= 2 * ROW)
        file.put(1, "a", 3)
        file.put(2, "a", 4)
        file.replace({**file.items(), (1, "b"): 5})
        assert file.items() == {(1, "a"): 3, (1, "b"): 5, (2, "a"): 4}
        assert [path.name for path in tmp_path.iterdir()] == ["counts"]
    assert read(tmp_path / "counts") == {(1, "a"): 3, (1, "b"): 5}
    file.add(2, "a", 1)
    assert read(tmp_path / "counts")[2, "a"] == 5
    file.close()


@pytest.mark.parametrize("call", ["open", "replace", "unlink"])
def test_without_another_file_the_present_one_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """A file system without inodes lets nobody make one, others refuse to move it: the numbers change all the same."""
    file = CountFile(tmp_path / "counts")
    file.put(1, "a", 1)
    file.put(1, "b", 2)
    (tmp_path / "counts.new").touch()
    with monkeypatch.context() as full:

        def fail(*arguments: object, **options: object) -> None:
            raise OSError(errno.ENOSPC, "full")

        full.setattr(Path if call == "unlink" else os, call, fail)
        file.replace({(2, "a"): 4})
    assert read(tmp_path / "counts") == file.items() == {(2, "a"): 4}
    file.replace({(3, "a"): 5})
    assert read(tmp_path / "counts") == {(3, "a"): 5}
    assert [path.name for path in tmp_path.iterdir()] == ["counts"]
    file.close()


def test_a_full_disk_hides_no_number_from_the_next_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is stored is read although nothing more can be reserved, and no new number takes its place."""
    file = CountFile(tmp_path / "counts")
    file.replace({(1, "a"): 1, (1, "b"): 2})
    file.close()
    with monkeypatch.context() as full:
        full.setattr(Pages, "reserve", lambda pages, start, stop: stop <= mmap.PAGESIZE)
        again = CountFile(tmp_path / "counts")
        assert again.items() == {(1, "a"): 1, (1, "b"): 2}
        again.put(2, "a", 3)
        again.close()
    assert read(tmp_path / "counts") == {(1, "a"): 1, (1, "b"): 2, (2, "a"): 3}


def test_numbers_have_room_from_the_start(tmp_path: Path) -> None:
    """Those of a small system find it also when the disk is full later, in the first file as in those after it."""
    file = CountFile(tmp_path / "counts")
    for _ in range(2):
        assert 512 * (tmp_path / "counts").stat().st_blocks >= count_file.PORTION
        file.replace({(1, "a"): 1})
    file.close()
