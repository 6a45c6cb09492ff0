"""The registry's file: what is damaged is set aside, whatever is wrong with it, and nothing is deleted."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from nyx_plugins.actors.messages import Registration
from nyx_plugins.actors.registrations import Registrations
from nyx_plugins.actors.registry_file import open_file

ROW = Registration(7, "geo", "1.4", "ab", "ready", frozenset({"control"}), frozenset({"control"}))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of a registry with many rows, each of which takes some room."""
    path = tmp_path / "registry.sqlite"
    rows = Registrations(str(path))
    for number in range(300):
        rows.add(Registration(number, f"plugin-{number}" * 20, "1.0", "ab", "ready", ROW.requested, ROW.granted))
    rows.close()
    return path


def scribble(path: Path, start: int, count: int) -> None:
    """Overwrite bytes of a file."""
    with path.open("r+b") as file:
        file.seek(start)
        file.write(b"\xa5" * count)


def test_a_sound_file_is_opened(path: Path) -> None:
    """Nothing is said, and nothing is renamed."""
    opened = open_file(str(path), restarted=False)
    assert (len(opened.rows.all()), opened.set_aside) == (300, "")
    opened.rows.close()
    assert list(path.parent.glob("*damaged*")) == []


@pytest.mark.parametrize("what", ["head", "pages", "all", "permissions", "names"])
def test_a_damaged_file_is_set_aside(what: str, path: Path) -> None:
    """The file is there under another name, byte for byte, and the registry begins anew and works."""
    size = path.stat().st_size
    match what:
        case "head":
            scribble(path, 0, 100)
        case "pages":
            scribble(path, 4096 * 2, size - 4096 * 2)
        case "all":
            path.write_bytes(b"this is no database at all" * 1000)
        case "permissions":
            change(path, "UPDATE plugins SET granted = '[oops' WHERE plugin_id = 7")
        case "names":
            change(path, "UPDATE plugins SET requested = '{\"a\": 1}' WHERE plugin_id = 7")
    before = path.read_bytes()
    opened = open_file(str(path), restarted=False)
    [aside] = path.parent.glob("registry.sqlite.damaged-*Z")
    assert aside.read_bytes() == before
    assert f"{path} was damaged (" in opened.set_aside and f"is now {aside.name}:" in opened.set_aside
    assert opened.rows.all() == ()
    assert opened.rows.add(ROW) == ROW
    opened.rows.close()
    again = open_file(str(path), restarted=True)
    assert (again.rows.all(), again.set_aside) == ((ROW,), "")
    again.rows.close()


def change(path: Path, statement: str) -> None:
    """Change the table behind the registry's back, without leaving anything beside the file."""
    with sqlite3.connect(path, isolation_level=None) as database:
        database.execute(statement)
    database.close()


def test_files_that_are_set_aside_in_the_same_second_get_names_of_their_own(path: Path) -> None:
    """None replaces another."""
    for _ in range(3):
        path.write_bytes(b"nonsense" * 1000)
        open_file(str(path), restarted=False).rows.close()
    assert len(list(path.parent.glob("*.damaged-*"))) == 3


def test_what_can_be_neither_read_nor_written_is_an_error(tmp_path: Path) -> None:
    """Nothing is wrong with the file: it stays where it is."""
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        open_file(str(tmp_path / "no" / "such" / "folder"), restarted=False)


def test_a_file_that_was_cut_off_anywhere_is_sound_or_set_aside(path: Path) -> None:
    """A torn file never ends the registry."""
    whole = path.read_bytes()
    for size in range(0, len(whole), 2500):
        path.write_bytes(whole[:size])
        opened = open_file(str(path), restarted=False)
        assert len(opened.rows.all()) in (0, 300)
        opened.rows.close()
