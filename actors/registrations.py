"""The table of registrations and permissions, in SQLite."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterable, Iterator

import attrs

from ..plugins.errors import AlreadyLoaded, PluginNotRegistered
from . import messages as m
from .admission import AT_REST

_COLUMNS = "plugin_id, name, version, digest, state, requested, granted, signed_by, load_id"
# `replaced` holds rows of an earlier run whose plugins are being loaded: a load that fails brings them back.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS {} (
    plugin_id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    digest TEXT NOT NULL,
    state TEXT NOT NULL,
    requested TEXT NOT NULL,
    granted TEXT NOT NULL,
    signed_by TEXT NOT NULL DEFAULT '',
    load_id INTEGER NOT NULL DEFAULT 0
) STRICT
"""
# When what was changed last in this run: a permission, or by a load (``''``) all of a plugin.
_CHANGES = """
CREATE TABLE IF NOT EXISTS changes (
    plugin_id INTEGER NOT NULL,
    permission TEXT NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (plugin_id, permission)
) STRICT
"""
# Room that a file has of its own, and after how many pages its log is written into it and begins again.
_ROOM_BYTES = 1 << 16
_LOG_PAGES = 8
# Columns that tables of earlier versions lack.
_LATER_COLUMNS = {
    "signed_by": "ALTER TABLE plugins ADD COLUMN signed_by TEXT NOT NULL DEFAULT ''",
    "load_id": "ALTER TABLE plugins ADD COLUMN load_id INTEGER NOT NULL DEFAULT 0",
}


class Registrations:
    """The table. With a path it outlives the process; permissions changed by hand survive a restart of the system.

    ``restarted`` says that it was open before in this run: states stay as they are, and else all is at rest. A file
    that does not outlive the run (``outlives_run``) is where plugins may write: it has room of its own, so that no
    plugin keeps its permissions by filling the disk.
    """

    def __init__(self, path: str | None, restarted: bool = False, outlives_run: bool = True) -> None:
        # On transport inline the actors run on whatever thread sends, though never on two at a time.
        self._db = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
        try:
            if path is not None:
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute(f"PRAGMA synchronous={'NORMAL' if outlives_run else 'OFF'}")
            self._check()
            with self._all_or_nothing():
                self._prepare()
                if not restarted:
                    self._begin_run()
            self.all()
            if not (outlives_run or restarted):
                self._make_room()
            if not outlives_run:
                self._db.execute(f"PRAGMA wal_autocheckpoint={_LOG_PAGES}")
        except BaseException:
            self._db.close()
            raise

    def _check(self) -> None:
        """Raise :class:`sqlite3.DatabaseError` if pages of the file contradict each other."""
        found = [text for (text,) in self._db.execute("PRAGMA quick_check(1)")]
        if found != ["ok"]:
            raise Damaged(found[0])

    def _prepare(self) -> None:
        self._db.execute(_SCHEMA.format("plugins"))
        self._db.execute(_SCHEMA.format("replaced"))
        self._db.execute(_CHANGES)
        there = {name for _, name, *_ in self._db.execute("PRAGMA table_info(plugins)")}
        for name, add in _LATER_COLUMNS.items():
            if name not in there:
                self._db.execute(add)

    def _make_room(self) -> None:
        """Have pages that are free in the file, and a log that is as long as it ever gets and is used again."""
        with self._all_or_nothing():
            self._db.execute("CREATE TABLE room (filler BLOB)")
            self._db.execute("INSERT INTO room VALUES (zeroblob(?))", (_ROOM_BYTES,))
        with self._all_or_nothing():
            self._db.execute("DROP TABLE room")
        self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def _begin_run(self) -> None:
        self._db.execute(f"INSERT OR REPLACE INTO plugins ({_COLUMNS}) SELECT {_COLUMNS} FROM replaced")
        self._db.execute("DELETE FROM replaced")
        self._db.execute("DELETE FROM changes")
        self._db.execute("UPDATE plugins SET state = ?, load_id = 0", (AT_REST,))

    @contextlib.contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            # On a full disk it may be this that fails.
            self._db.execute("COMMIT")
        except BaseException:
            # Some errors have ended the transaction by themselves.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    # Reading.

    def get(self, plugin_id: int) -> m.Registration:
        """Return one row; raises :class:`PluginNotRegistered`."""
        row = self.find(plugin_id)
        if row is None:
            raise PluginNotRegistered(plugin_id)
        return row

    def find(self, plugin_id: int) -> m.Registration | None:
        """Return one row, or ``None``."""
        found = self._select("plugins WHERE plugin_id = ?", plugin_id)
        return found[0] if found else None

    def all(self) -> tuple[m.Registration, ...]:
        """Return every row, in the order of the ids."""
        return self._select("plugins ORDER BY plugin_id")

    def at_rest(self) -> tuple[m.Registration, ...]:
        """Return what is registered and not loaded."""
        return self._select("plugins WHERE state = ? ORDER BY plugin_id", AT_REST)

    def _select(self, what: str, *values: object) -> tuple[m.Registration, ...]:
        return tuple(_row(fields) for fields in self._db.execute(f"SELECT {_COLUMNS} FROM {what}", values))

    def _load_of(self, plugin_id: int) -> int:
        found = self._db.execute("SELECT load_id FROM plugins WHERE plugin_id = ?", (plugin_id,)).fetchone()
        return int(found[0]) if found else 0

    # Changing.

    def add(self, row: m.Registration, load_id: int = 0) -> m.Registration:
        """Register, and return the row as it is then; the same load may ask again.

        What an earlier run has granted or revoked stands if the plugin still asks for the same permissions; what it was
        granted beyond these, only as long as its bundle is the same. Raises :class:`AlreadyLoaded`.
        """
        old = self.find(row.plugin_id)
        if old is not None and load_id and self._load_of(row.plugin_id) == load_id:
            return old
        if old is not None and old.state != AT_REST:
            raise AlreadyLoaded(row.plugin_id, old.state)
        with self._all_or_nothing():
            if old is not None:
                self._write(old, 0, "replaced")
                row = _as_before(row, old)
            self._write(row, load_id)
            self._note_change(row.plugin_id, "")
        return row

    def remove(self, plugin_id: int, load_id: int = 0) -> None:
        """Forget the plugin; if its load failed over a row of an earlier run, that row is there again.

        With a ``load_id``, the row of another load stays.
        """
        if load_id and self._load_of(plugin_id) != load_id:
            return
        before = self._select("replaced WHERE plugin_id = ?", plugin_id)
        with self._all_or_nothing():
            self._db.execute("DELETE FROM plugins WHERE plugin_id = ?", (plugin_id,))
            self._db.execute("DELETE FROM replaced WHERE plugin_id = ?", (plugin_id,))
            for row in before:
                self._write(row, 0)

    def note_state(self, plugin_id: int, state: str) -> None:
        """Remember the state of a plugin's life."""
        with self._all_or_nothing():
            # It was loaded: from now on its end is the end of its row.
            self._db.execute("DELETE FROM replaced WHERE plugin_id = ?", (plugin_id,))
            self._db.execute("UPDATE plugins SET state = ? WHERE plugin_id = ?", (state, plugin_id))

    def change(self, plugin_id: int, permission: str, granted: bool) -> m.Registration:
        """Grant or revoke one permission; raises :class:`PluginNotRegistered`."""
        row = self.get(plugin_id)
        now = row.granted | {permission} if granted else row.granted - {permission}
        row = attrs.evolve(row, granted=now)
        with self._all_or_nothing():
            self._write(row, self._load_of(plugin_id))
            self._note_change(plugin_id, permission)
        return row

    def changed_at(self, plugin_id: int, permission: str) -> float:
        """When the permission was changed last in this run (monotonic, in seconds); 0: never."""
        query = "SELECT at FROM changes WHERE plugin_id = ? AND permission = ?"
        found = self._db.execute(query, (plugin_id, permission)).fetchone()
        return float(found[0]) if found else 0.0

    def loaded_at(self, plugin_id: int) -> float:
        """When the plugin was registered by a load of this run; 0: it was not."""
        return self.changed_at(plugin_id, "")

    def _note_change(self, plugin_id: int, permission: str) -> None:
        values = (plugin_id, permission, time.monotonic())
        self._db.execute("INSERT OR REPLACE INTO changes VALUES (?, ?, ?)", values)

    def replacement(self, row: m.Registration) -> tuple[m.Registration, m.Registration]:
        """Return the row that is there, and what it would be with another version; raises PluginNotRegistered.

        What was granted beyond what the old version asked for stays granted, what was revoked stays revoked.
        """
        old = self.get(row.plugin_id)
        granted = (row.requested - (old.requested - old.granted)) | (old.granted - old.requested)
        return old, attrs.evolve(row, granted=granted, state=old.state)

    def replace(self, row: m.Registration) -> m.Registration:
        """Put another version's row in the place of the one that is there."""
        _, new = self.replacement(row)
        self._write(new, self._load_of(row.plugin_id))
        return new

    def restore(self, loaded: Iterable[tuple[int, m.Registration]]) -> None:
        """Bring states up to date, and rows back that are lost: these are loaded, each (load, row)."""
        for load_id, row in loaded:
            if self._load_of(row.plugin_id) == load_id:
                self.note_state(row.plugin_id, row.state)
            else:
                self._write(row, load_id)

    def _write(self, row: m.Registration, load_id: int, table: str = "plugins") -> None:
        values = (row.plugin_id, row.name, row.version, row.digest, row.state)
        permissions = (json.dumps(sorted(row.requested)), json.dumps(sorted(row.granted)))
        fields = (*values, *permissions, row.signed_by, load_id)
        marks = ", ".join("?" * len(fields))
        self._db.execute(f"INSERT OR REPLACE INTO {table} ({_COLUMNS}) VALUES ({marks})", fields)


class Damaged(sqlite3.DatabaseError):
    """The file is a database, and what is in it makes no sense."""


def _row(fields: tuple[object, ...]) -> m.Registration:
    number, name, version, digest, state, requested, granted, signed_by, _ = fields
    try:
        permissions = _permissions(requested), _permissions(granted)
    except ValueError as error:
        raise Damaged(f"the permissions of plugin {number} can't be read: {error}") from None
    return m.Registration(number, name, version, digest, state, *permissions, signed_by)  # type: ignore[arg-type]  # STRICT table


def _permissions(text: object) -> frozenset[str]:
    names = json.loads(str(text))
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("it is no list of names")
    return frozenset(names)


def _as_before(row: m.Registration, old: m.Registration) -> m.Registration:
    """The row of a plugin that was registered in an earlier run, with what was decided by hand."""
    if (old.name, old.requested) != (row.name, row.requested):
        return row
    extra = old.granted - row.requested if old.digest == row.digest else frozenset[str]()
    return attrs.evolve(row, granted=(old.granted & row.requested) | extra)
