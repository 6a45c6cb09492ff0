"""Directories that hostile code has filled."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nyx_plugins.actors.trees import clear, make_empty, remove, size_up_to


def deep(base: Path, levels: int) -> None:
    """Make folders in folders, deeper than any path may be long."""
    here = os.getcwd()
    os.chdir(base)
    try:
        for _ in range(levels):
            os.mkdir("x" * 20)
            os.chdir("x" * 20)
            Path("file").write_text("")
    finally:
        os.chdir(here)


def test_no_depth_is_too_great(tmp_path: Path) -> None:
    """What is nested deeper than Python may recurse, or a path may be long, is removed."""
    deep(tmp_path, 1500)
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
    clear(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_is_made_or_emptied(tmp_path: Path) -> None:
    """It is private, and empty the second time as well."""
    path = make_empty(tmp_path / "scratch")
    assert path.stat().st_mode & 0o777 == 0o700
    (path / "file").write_text("x")
    make_empty(path)
    assert list(path.iterdir()) == []


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
