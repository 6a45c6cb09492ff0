"""The key of a system: who knows it, and the file in which others find it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from nyx_plugins.actors.transports.unix import directory


def test_a_key_is_written_and_read(short: Path) -> None:
    """A published key is read by others from a file that only its owner may open."""
    path = str(short)
    key = directory.make_key(path)
    assert len(key) == directory.KEY_BYTES
    directory.publish_key(path)
    assert stat.S_IMODE((short / "key").stat().st_mode) == 0o600
    directory.forget_key(path)
    assert directory.key(path) == key


def test_a_key_that_is_not_published_is_known_here_only(short: Path) -> None:
    """A key is in no file until it is published, and is gone when it is forgotten."""
    path = str(short)
    assert directory.key(path) is None
    key = directory.make_key(path)
    assert directory.key(path) == key
    assert list(short.iterdir()) == []
    directory.forget_key(path)
    directory.forget_key(path)
    assert directory.key(path) is None


def test_the_key_of_another_system_is_taken_over(short: Path) -> None:
    """A key that was told is kept, and replaced by the one in the file only on request."""
    path = str(short)
    mine = directory.make_key(path)
    directory.publish_key(path)
    directory.remember_key(path, b"told")
    assert directory.key(path) == b"told"
    directory.refresh_key(path)
    assert directory.key(path) == mine
    (short / "key").unlink()
    directory.refresh_key(path)
    assert directory.key(path) == mine


def test_a_new_key_replaces_an_old_one(short: Path) -> None:
    """Each system has a key of its own, also in the directory of an older one."""
    path = str(short)
    keys = []
    for _ in range(2):
        keys.append(directory.make_key(path))
        directory.publish_key(path)
    assert keys[0] != keys[1]
    assert (short / "key").read_bytes() == keys[1]


@pytest.mark.parametrize("count", [0, 1, directory.KEY_BYTES - 1])
def test_a_key_that_is_just_being_written_is_none(short: Path, count: int) -> None:
    """Half a key is not taken for one, and the whole one is read when it is there."""
    path = str(short)
    key = directory.make_key(path)
    directory.forget_key(path)
    (short / "key").write_bytes(key[:count])
    assert directory.key(path) is None
    (short / "key").write_bytes(key)
    assert directory.key(path) == key


def test_a_key_is_not_written_through_a_link(short: Path) -> None:
    """A symbolic link in the place of the key is replaced, and not followed."""
    (short / "other").write_text("something")
    (short / "key").symlink_to(short / "other")
    key = directory.make_key(str(short))
    directory.publish_key(str(short))
    assert (short / "other").read_text() == "something"
    assert not (short / "key").is_symlink()
    assert (short / "key").read_bytes() == key
