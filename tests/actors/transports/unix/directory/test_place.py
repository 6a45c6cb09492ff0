"""Where a system keeps its sockets, and which directories it refuses."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from nyx_plugins.actors.transports.unix import directory
from nyx_plugins.actors.transports.unix.directory import DirectoryError

NOBODY = 65534


def test_a_directory_is_made_for_its_owner_alone(short: Path) -> None:
    """The directory and its missing parent are made, for the owner alone, and are taken again as they are."""
    path = short / "parent" / "system"
    for _ in range(2):
        directory.prepare(str(path))
    for each in (path, path.parent):
        assert stat.S_IMODE(each.stat().st_mode) == 0o700


def test_the_usual_place_is_below_the_runtime_directory(root: Path, short: Path) -> None:
    """A system without a directory has one named by its port, in one that is named by the user."""
    assert root == short / f"thespian-{os.getuid()}"
    assert directory.of({}) == str(root / "1900")
    assert directory.of({directory.PORT_CAPABILITY: 12}) == str(root / "12")
    assert directory.of({directory.DIRECTORY_CAPABILITY: "/run/x/../y"}) == "/run/y"


def _refusal(path: Path) -> str:
    with pytest.raises(DirectoryError) as error:
        directory.prepare(str(path))
    assert error.value.path in (str(path), str(path.parent))
    assert error.value.path in str(error.value)
    return str(error.value)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_somebody_else_is_refused(short: Path) -> None:
    """A directory of another user is refused with both users."""
    path = short / "system"
    path.mkdir(0o700)
    os.chown(path, NOBODY, NOBODY)
    assert f"belongs to user {NOBODY}, not to user {os.getuid()}" in _refusal(path)


def test_the_directory_of_whoever_runs_this_is_meant(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The owner is compared with the user of this process."""
    monkeypatch.setattr(os, "getuid", lambda: short.stat().st_uid + 1)
    assert "belongs to user" in _refusal(short)


@pytest.mark.parametrize("mode", [0o701, 0o704, 0o710, 0o720, 0o740, 0o755, 0o777, 0o1777])
def test_a_directory_that_others_may_enter_is_refused(short: Path, mode: int) -> None:
    """A directory with any right for the group or others is refused with its mode and what to do."""
    path = short / "system"
    path.mkdir()
    path.chmod(mode)
    text = _refusal(path)
    assert oct(mode) in text and "chmod 700" in text


@pytest.mark.parametrize("target", ["real", "missing", "file"])
def test_a_link_is_refused(short: Path, target: str) -> None:
    """A symbolic link is refused, wherever it leads."""
    (short / "real").mkdir(0o700)
    (short / "file").touch()
    (short / "system").symlink_to(short / target)
    assert "no directory" in _refusal(short / "system")


def test_a_file_in_the_way_is_refused(short: Path) -> None:
    """A file at the path or above it is refused."""
    (short / "system").write_text("something")
    assert "no directory" in _refusal(short / "system")
    assert "Not a directory" in _refusal(short / "system" / "below")
    assert (short / "system").read_text() == "something"


def test_a_directory_that_can_not_be_made_is_refused(short: Path) -> None:
    """A directory of which more than the parent is missing is refused."""
    assert "No such file" in _refusal(short / "a" / "b" / "c")


def test_a_path_must_leave_room_for_names(short: Path) -> None:
    """The longest path allowed leaves room for the longest name of a socket; one byte more is refused with both."""
    most = directory.MAX_PATH - directory.LONGEST_NAME
    longest = short / ("x" * (most - len(str(short)) - 1))
    directory.prepare(str(longest))
    name = f"{'9' * 7}-{directory.new_name().rpartition('-')[2]}"
    with socket.socket(socket.AF_UNIX) as longest_of_all:
        longest_of_all.bind(str(longest / name))
    assert len(str(longest / name)) == directory.MAX_PATH
    text = _refusal(Path(f"{longest}x"))
    assert f"has {most + 1} bytes" in text and f"at most {most}" in text


def test_the_length_of_a_path_is_counted_in_bytes(short: Path) -> None:
    """A path of few characters with many bytes is too long as well."""
    assert "bytes" in _refusal(short / ("ü" * 45))


@pytest.mark.parametrize("mode", [0o755, 0o777])
def test_the_place_of_all_systems_must_be_private_too(root: Path, mode: int) -> None:
    """A directory in the usual place is refused where others may enter that."""
    root.mkdir()
    root.chmod(mode)
    assert oct(mode) in _refusal(root / "1900")


def test_names_are_new(short: Path) -> None:
    """No name of a socket comes twice, each begins with the process, and none is too long."""
    names = {directory.new_name() for _ in range(100)}
    assert len(names) == 100
    assert all(name.startswith(f"{os.getpid()}-") and len(name) < directory.LONGEST_NAME for name in names)
