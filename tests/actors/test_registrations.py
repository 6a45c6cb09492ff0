"""The registry's table."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from nyx_plugins.actors.admission import AT_REST
from nyx_plugins.actors.messages import Registration
from nyx_plugins.actors.registrations import Registrations
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


def test_the_same_load_may_register_again(rows: Registrations) -> None:
    """Whoever has not heard the answer asks again; another load of the same id is refused."""
    rows.add(ROW, load_id=3)
    rows.change(7, "control", False)
    assert rows.add(ROW, load_id=3).granted == frozenset()
    with pytest.raises(AlreadyLoaded):
        rows.add(ROW, load_id=4)
    rows.remove(7, load_id=4)
    assert rows.find(7) is not None
    rows.remove(7, load_id=3)
    assert rows.find(7) is None


def test_within_a_run_states_outlive_the_process(tmp_path: Path) -> None:
    """The table that is opened again knows what is loaded, and which load it was."""
    path = str(tmp_path / "registry.sqlite")
    first = Registrations(path)
    first.add(ROW, load_id=3)
    first.close()
    again = Registrations(path, restarted=True)
    assert again.get(7).state == "ready"
    assert again.add(ROW, load_id=3) == ROW
    again.close()
    next_run = Registrations(path)
    assert next_run.get(7).state == AT_REST
    assert next_run.add(attrs.evolve(ROW, version="2.0"), load_id=3).version == "2.0"
    next_run.close()


@pytest.mark.parametrize("restarted", [True, False])
def test_a_load_that_was_under_way_gives_its_row_back_after_a_crash(restarted: bool, tmp_path: Path) -> None:
    """Within the run by its unregistering, in the next run at once: it never came to anything."""
    path = str(tmp_path / "registry.sqlite")
    first = Registrations(path)
    first.add(ROW)
    first.close()
    second = Registrations(path)
    second.add(attrs.evolve(ROW, version="2.0", state="starting"), load_id=1)
    second.close()
    third = Registrations(path, restarted)
    if restarted:
        assert third.get(7).version == "2.0"
        third.remove(7, load_id=1)
    assert [(row.version, row.state) for row in third.at_rest()] == [("1.4", AT_REST)]
    third.close()


def test_what_is_loaded_can_be_told_again(rows: Registrations) -> None:
    """States are brought up to date, and rows that are lost come back; permissions of those that are there stand."""
    rows.add(ROW, load_id=3)
    rows.change(7, "control", False)
    paused = attrs.evolve(ROW, state="paused")
    rows.restore([(3, paused), (4, attrs.evolve(paused, plugin_id=8))])
    assert (rows.get(7).state, rows.get(7).granted) == ("paused", frozenset())
    assert rows.get(8) == attrs.evolve(paused, plugin_id=8)
    assert rows.add(paused, load_id=3).granted == frozenset()


@pytest.mark.parametrize("digest", ["ab", "cd"])
def test_what_was_granted_beyond_its_wishes_stands_for_the_same_bundle_only(digest: str, tmp_path: Path) -> None:
    """Another bundle under the same name is not trusted with it; what was revoked stays revoked."""
    path = str(tmp_path / "registry.sqlite")
    first = Registrations(path)
    first.add(ROW)
    first.change(7, "data_access", True)
    first.change(7, "handshake", False)
    first.close()
    second = Registrations(path)
    granted = second.add(attrs.evolve(ROW, digest=digest)).granted
    assert granted == ({"control", "data_access"} if digest == "ab" else {"control"})
    second.close()


def test_a_file_where_plugins_may_write_has_room_of_its_own(tmp_path: Path) -> None:
    """However often something changes, and on a full disk too, it takes no more: a revoke finds room at any time."""

    def taken() -> dict[str, int]:
        return {path.name: path.stat().st_blocks for path in tmp_path.iterdir()}

    rows = Registrations(str(tmp_path / "registry.sqlite"), outlives_run=False)
    for number in range(20):
        rows.add(attrs.evolve(ROW, plugin_id=number, digest="ab" * 32), number + 1)
    before = taken()
    for number in range(200):
        rows.change(number % 20, "control", number % 3 == 0)
        rows.note_state(number % 20, "paused")
    assert taken() == before
    again = Registrations(str(tmp_path / "registry.sqlite"), restarted=True, outlives_run=False)
    assert again.all() == rows.all() and taken() == before
    again.close()
    rows.close()
