"""Directories that hostile code has filled."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest

from nyx_plugins.actors import trees
from nyx_plugins.actors.trees import Uncountable, clear, make_empty, remove, remove_within, set_aside, size_up_to
from nyx_plugins.plugins.worker.jail import capabilities

Result = TypeVar("Result")


def deep(base: Path, levels: int, name: str = "x" * 20, content: bytes = b"") -> None:
    """Make folders in folders, each with a file, deeper than any path may be long."""
    here = os.getcwd()
    os.chdir(base)
    try:
        for _ in range(levels):
            os.mkdir(name)
            os.chdir(name)
            Path("file").write_bytes(content)
    finally:
        os.chdir(here)


def as_owner(job: Callable[[], Result]) -> Result:
    """Do it with no more rights than those of the files' owner, whoever runs the tests."""

    def unprivileged() -> Result:
        # Capabilities belong to a thread.
        capabilities.apply(None)
        return job()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(unprivileged).result()


def test_no_depth_is_too_great(tmp_path: Path) -> None:
    """What is nested deeper than Python may recurse, or a path may be long, is removed."""
    deep(tmp_path, 1100)
    clear(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_links_are_not_followed(tmp_path: Path) -> None:
    """A link goes; what it points to stays."""
    kept, full = tmp_path / "kept", tmp_path / "full"
    for folder in (kept, full / "inner"):
        folder.mkdir(parents=True)
    (kept / "file").write_text("precious")
    for place in (full, full / "inner"):
        (place / "link").symlink_to(kept)
    remove(full)
    assert not full.exists()
    assert (kept / "file").read_text() == "precious"


def test_folders_that_nobody_may_read_go_too(tmp_path: Path) -> None:
    """Permissions that a plugin gave its folders protect nothing."""
    closed = tmp_path / "a" / "b"
    closed.mkdir(parents=True)
    (closed / "file").write_text("")
    for folder in (closed, closed.parent):
        folder.chmod(0)
    as_owner(lambda: clear(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o500, 0])
def test_what_its_owner_may_not_write_is_removed(tmp_path: Path, mode: int) -> None:
    """The copy of a bundle is read-only, and goes like everything else."""
    bundle = tmp_path / "bundle"
    deep(bundle.parent, 2, "bundle")
    bundle.chmod(mode)
    as_owner(lambda: remove(bundle))
    assert list(tmp_path.iterdir()) == []


def test_a_directory_is_made_or_emptied(tmp_path: Path) -> None:
    """It is private, and empty the second time as well."""
    path = make_empty(tmp_path / "scratch")
    assert path.stat().st_mode & 0o777 == 0o700
    (path / "file").write_text("x")
    make_empty(path)
    assert list(path.iterdir()) == []


def test_what_takes_too_many_steps_is_begun_only(tmp_path: Path) -> None:
    """Whoever has no time for all of it learns that something is left, and may give it another name."""
    full = tmp_path / "full"
    deep(full.parent, 10, "full")
    assert not remove_within(full, 5)
    full.chmod(0)
    as_owner(lambda: set_aside(full, tmp_path / "aside"))
    assert [path.name for path in tmp_path.iterdir()] == ["aside"]
    assert remove_within(tmp_path / "aside", 100)
    assert remove_within(tmp_path / "aside", 0)
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    """Removing is done when nothing is left, and measuring too."""
    remove(tmp_path / "missing")
    assert size_up_to(tmp_path / "missing", 10) == 0


@pytest.mark.parametrize(("limit", "is_over"), [(1_000_000, True), (3_000_000, False)])
def test_sizes_are_those_of_what_is_stored(tmp_path: Path, limit: int, is_over: bool) -> None:
    """Blocks count, at any depth; holes do not."""
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (inner / "file").write_bytes(os.urandom(2_000_000))
    with (tmp_path / "sparse").open("wb") as sparse:
        sparse.truncate(1 << 30)
    assert (size_up_to(tmp_path, limit) > limit) is is_over


def test_many_empty_files_are_not_nothing(tmp_path: Path) -> None:
    """Each entry counts as a block, so that a limit on bytes bounds their number."""
    for number in range(100):
        (tmp_path / str(number)).touch()
    assert size_up_to(tmp_path, 1 << 30) == 100 * 4096


def test_counting_stops_at_the_limit(tmp_path: Path) -> None:
    """Not more is looked at than it takes to know."""
    for number in range(100):
        (tmp_path / str(number)).touch()
    assert size_up_to(tmp_path, 10 * 4096) == 11 * 4096


def test_what_is_deeper_than_a_path_is_long_counts(tmp_path: Path) -> None:
    """Long names keep nothing out of sight."""
    deep(tmp_path, 20, "x" * 250, b"x" * 4096)
    assert size_up_to(tmp_path, 1 << 30) >= 20 * 2 * 4096


@pytest.mark.parametrize("mode", [0o300, 0o400, 0])
def test_what_nobody_may_read_counts(tmp_path: Path, mode: int) -> None:
    """Permissions that a plugin gave its folders hide nothing, and are changed where they are in the way."""
    closed = tmp_path / "closed"
    closed.mkdir()
    (closed / "file").write_bytes(bytes(1 << 20))
    closed.chmod(mode)
    assert as_owner(lambda: size_up_to(tmp_path, 1 << 30)) >= 1 << 20


def test_permissions_that_are_in_nobodys_way_stay(tmp_path: Path) -> None:
    """A folder that its plugin made read-only remains so."""
    kept = tmp_path / "kept"
    kept.mkdir(mode=0o500)
    size_up_to(tmp_path, 1 << 30)
    assert kept.stat().st_mode & 0o777 == 0o500


def test_more_than_can_be_counted_is_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Depth and number have limits of their own, which the error names."""
    deep(tmp_path, trees.MOST_LEVELS, "d")
    assert size_up_to(tmp_path, 1 << 30) > 0
    monkeypatch.setattr(trees, "MOST_LEVELS", trees.MOST_LEVELS - 1)
    with pytest.raises(Uncountable, match="nested more than 127 deep, the limit"):
        size_up_to(tmp_path, 1 << 30)
    monkeypatch.setattr(trees, "MOST_ENTRIES", 2)
    with pytest.raises(Uncountable, match="more than 2 files and folders are in it, the limit"):
        size_up_to(tmp_path, 1 << 30)


@pytest.mark.parametrize(("number", "error"), [(errno.EIO, Uncountable), (errno.EMFILE, OSError)])
def test_what_cant_be_looked_into_is_not_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, error: type[Exception]
) -> None:
    """It is too much, unless it is this process that has no room; and no descriptor is left open."""
    (tmp_path / "folder").mkdir()
    opened = os.open

    def failing(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if path == "folder":
            raise OSError(number, os.strerror(number))
        return opened(path, flags, mode, dir_fd=dir_fd)

    before = os.listdir("/proc/self/fd")
    with monkeypatch.context() as patch, pytest.raises(error, match=os.strerror(number)):
        patch.setattr(os, "open", failing)
        size_up_to(tmp_path, 1 << 30)
    assert os.listdir("/proc/self/fd") == before
