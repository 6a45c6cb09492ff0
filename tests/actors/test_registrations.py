"""The registry's table."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from nyx_plugins.actors.messages import Registration
from nyx_plugins.actors.registry import AT_REST, Registrations
from nyx_plugins.plugins.errors import AlreadyLoaded, PluginNotRegistered

ROW = Registration(7, "geo", "1.4", "ab", "ready", frozenset({"control", "handshake"}), frozenset({"control"}))


@pytest.fixture
def rows() -> Iterator[Registrations]:
    """Return an empty table in memory."""
    rows = Registrations(None)
    yield rows
    rows.close()


def test_a_row_comes_back_as_it_was_written(rows: Registrations) -> None:
    """Nothing is lost between registering and asking."""
    assert rows.add(ROW) == ROW == rows.get(7)
    rows.remove(7)
    with pytest.raises(PluginNotRegistered):
        rows.get(7)


def test_a_plugin_id_is_registered_once(rows: Registrations) -> None:
    """The second one is told the state of the first, which stays."""
    rows.add(ROW)
    with pytest.raises(AlreadyLoaded) as already:
        rows.add(attrs.evolve(ROW, name="other"))
    assert already.value.state == "ready"
    assert rows.get(7).name == "geo"


def test_permissions_are_granted_and_revoked_one_by_one(rows: Registrations) -> None:
    """Granting twice is granting once; revoking what is not there is nothing."""
    rows.add(ROW)
    rows.change(7, "data_access", True)
    assert rows.change(7, "data_access", True).granted == {"control", "data_access"}
    rows.change(7, "control", False)
    assert rows.change(7, "control", False).granted == {"data_access"}
    assert rows.get(7).granted == {"data_access"}


def test_a_state_directory_keeps_what_was_changed_by_hand(tmp_path: Path) -> None:
    """A revoked permission stays revoked in the next run, as long as the plugin asks for the same ones."""
    path = str(tmp_path / "registry.sqlite")
    first = Registrations(path)
    first.add(ROW)
    first.change(7, "control", False)
    first.close()
    second = Registrations(path)
    assert second.get(7).state == AT_REST
    assert second.add(ROW).granted == frozenset()
    second.close()
    third = Registrations(path)
    wider = attrs.evolve(ROW, requested=ROW.requested | {"data_access"})
    assert third.add(wider).granted == ROW.granted
    third.close()


def test_a_load_that_fails_over_a_row_of_an_earlier_run_leaves_that_row(tmp_path: Path) -> None:
    """What an operator decided is not lost with a load that fails; an unload after a load that worked ends the row."""
    path = str(tmp_path / "registry.sqlite")
    first = Registrations(path)
    first.add(ROW)
    first.close()
    second = Registrations(path)
    assert [row.plugin_id for row in second.at_rest()] == [7]
    second.add(attrs.evolve(ROW, version="2.0"))
    assert second.at_rest() == ()
    second.remove(7)
    assert [(row.version, row.state) for row in second.at_rest()] == [("1.4", AT_REST)]
    second.add(attrs.evolve(ROW, version="2.0"))
    second.note_state(7, "ready")
    second.remove(7)
    assert second.find(7) is None
    second.close()


def test_a_table_of_an_earlier_version_is_taken_over(tmp_path: Path) -> None:
    """What was registered before signatures were known is signed by nobody."""
    path = str(tmp_path / "registry.sqlite")
    with sqlite3.connect(path) as old:
        old.execute(
            "CREATE TABLE plugins (plugin_id INTEGER PRIMARY KEY, name TEXT NOT NULL, version TEXT NOT NULL,"
            " digest TEXT NOT NULL, state TEXT NOT NULL, requested TEXT NOT NULL, granted TEXT NOT NULL) STRICT"
        )
        old.execute("""INSERT INTO plugins VALUES (7, 'geo', '1.4', 'ab', 'ready', '["control"]', '["control"]')""")
    old.close()
    for _ in range(2):
        rows = Registrations(path)
        assert (rows.get(7).name, rows.get(7).signed_by) == ("geo", "")
        rows.close()


def test_who_has_signed_comes_back(rows: Registrations) -> None:
    """The key is kept with the digest."""
    assert rows.add(attrs.evolve(ROW, signed_by="ed25519:x")).signed_by == rows.get(7).signed_by == "ed25519:x"
