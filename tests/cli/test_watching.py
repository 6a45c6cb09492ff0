"""Noticing that a bundle has changed, with a clock and files of the test's own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nyx_plugins.cli.watching import Look, Watch, look


class World:
    """What there is to be seen, and what time it is."""

    def __init__(self) -> None:
        self.seen: Look = {"plugin.py": (1, 10, 1)}
        self.now = 0.0
        self.watch = Watch("bundle", lambda _: dict(self.seen), lambda: self.now)
        assert self.watch.is_due()


def test_a_bundle_is_due_once_it_has_settled() -> None:
    """What was there at first is due once; then nothing before a change, nor while somebody writes."""
    world = World()
    assert not world.watch.is_due()
    for size in (11, 12, 13):
        world.seen["plugin.py"] = (2, size, 1)
        assert not world.watch.is_due()
    assert [world.watch.is_due() for _ in range(3)] == [True, False, False]


@pytest.mark.parametrize("then", [{}, {"plugin.py": (1, 10, 2)}, {"plugin.py": (1, 10, 1), "new.py": (1, 1, 3)}])
def test_every_change_counts(then: Look) -> None:
    """Files that go, come, or are replaced by others with the same time are changes."""
    world = World()
    world.seen = then
    assert [world.watch.is_due() for _ in range(3)] == [False, True, False]


def test_what_is_undone_in_time_is_no_change() -> None:
    """A bundle that is as it was is not due."""
    world = World()
    before, world.seen = world.seen, {}
    assert not world.watch.is_due()
    world.seen = before
    assert [world.watch.is_due() for _ in range(3)] == [False] * 3


def test_the_same_can_be_tried_again() -> None:
    """After again() the bundle is due at that time, though nothing has changed."""
    world = World()
    world.watch.again(1.0)
    assert not world.watch.is_due()
    world.now = 1.0
    assert [world.watch.is_due() for _ in range(2)] == [True, False]


def test_what_is_beside_the_plugin_is_not_looked_at(tmp_path: Path) -> None:
    """Caches, version control and the files of editors do not count; subfolders do."""
    for name in ("plugin.py", "part/other.py", "__pycache__/plugin.pyc", ".git/HEAD", "plugin.py~", ".plugin.py.swp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert {os.path.relpath(path, tmp_path) for path in look(str(tmp_path))} == {"plugin.py", "part/other.py"}


def test_a_zip_file_and_nothing_can_be_looked_at(tmp_path: Path) -> None:
    """A file is looked at itself; what is not there is nothing."""
    bundle = tmp_path / "plugin.zip"
    assert look(str(bundle)) == {}
    bundle.write_bytes(b"12345")
    [(_, size, _)] = look(str(bundle)).values()
    assert size == 5
