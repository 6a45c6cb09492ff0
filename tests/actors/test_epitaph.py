"""The reason of a system's end, on a disk that is full by then."""

from __future__ import annotations

from pathlib import Path

import pytest

from nyx_plugins.actors import epitaph
from nyx_plugins.config.errors import StartupError


def test_what_is_written_takes_no_more_room(tmp_path: Path) -> None:
    """The file has its size before, and keeps it."""
    epitaph.make_room(tmp_path)
    assert epitaph.read(tmp_path) == ""
    epitaph.write(tmp_path, "its registry ended")
    assert epitaph.read(tmp_path) == "its registry ended"
    epitaph.write(tmp_path, "x" * 10_000)
    assert epitaph.read(tmp_path) == "x" * epitaph.ROOM_BYTES
    [file] = tmp_path.iterdir()
    assert file.stat().st_size == epitaph.ROOM_BYTES


def test_without_the_file_nothing_is_written(tmp_path: Path) -> None:
    """Nobody reads it where there is no host."""
    epitaph.write(tmp_path, "it was stopped")
    assert list(tmp_path.iterdir()) == [] and epitaph.read(tmp_path) == ""


def test_no_room_is_named(tmp_path: Path) -> None:
    """The system does not start."""
    with pytest.raises(StartupError, match=f"{tmp_path}/none/reason can't be written: No such file"):
        epitaph.make_room(tmp_path / "none")
