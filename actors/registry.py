"""The registry: the truth about registrations and permissions, in one SQLite table."""

from __future__ import annotations

import json
import sqlite3
from typing import assert_never

import attrs

from ..config.errors import NyxPluginError
from ..plugins.errors import AlreadyLoaded, PluginNotRegistered
from . import messages as m
from ._thespian import ActorProcess, Address
from .admission import AT_REST

_SCHEMA = """
CREATE TABLE IF NOT EXISTS plugins (
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
_COLUMNS = "plugin_id, name, version, digest, state, requested, granted, signed_by"
# Columns that tables of earlier versions lack.
_LATER_COLUMNS = {
    "signed_by": "ALTER TABLE plugins ADD COLUMN signed_by TEXT NOT NULL DEFAULT ''",
    "load_id": "ALTER TABLE plugins ADD COLUMN load_id INTEGER NOT NULL DEFAULT 0",
}


class Registrations:
    """The table. With a path it outlives the process; permissions changed by hand survive a restart of the system."""

    def __init__(self, path: str | None, restarted: bool = False) -> None:
        self._at_rest_before: dict[int, m.Registration] = {}
        # On transport inline the actors run on whatever thread sends, though never on two at a time.
        self._db = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
        try:
            self._prepare(in_memory=path is None, restarted=restarted)
        except sqlite3.Error:
            self._db.close()
            raise

    def _prepare(self, in_memory: bool, restarted: bool) -> None:
        if not in_memory:
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute(_SCHEMA)
        there = {name for _, name, *_ in self._db.execute("PRAGMA table_info(plugins)")}
        for name, add in _LATER_COLUMNS.items():
            if name not in there:
                self._db.execute(add)
        if not restarted:
            self._db.execute("UPDATE plugins SET state = ?, load_id = 0", (AT_REST,))

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def get(self, plugin_id: int) -> m.Registration:
        """Return one row; raises :class:`PluginNotRegistered`."""
        row = self._db.execute(f"SELECT {_COLUMNS} FROM plugins WHERE plugin_id = ?", (plugin_id,)).fetchone()
        if row is None:
            raise PluginNotRegistered(plugin_id)
        number, name, version, digest, state, requested, granted, signed_by = row
        permissions = frozenset(json.loads(requested)), frozenset(json.loads(granted))
        return m.Registration(number, name, version, digest, state, *permissions, signed_by)

    def all(self) -> tuple[m.Registration, ...]:
        """Return every row, in the order of the ids."""
        ids = self._db.execute("SELECT plugin_id FROM plugins ORDER BY plugin_id").fetchall()
        return tuple(self.get(plugin_id) for (plugin_id,) in ids)

    def at_rest(self) -> tuple[m.Registration, ...]:
        """Return what is registered and not loaded."""
        ids = self._db.execute(
            "SELECT plugin_id FROM plugins WHERE state = ? ORDER BY plugin_id", (AT_REST,)
        ).fetchall()
        return tuple(self.get(plugin_id) for (plugin_id,) in ids)

    def find(self, plugin_id: int) -> m.Registration | None:
        """Return one row, or ``None``."""
        try:
            return self.get(plugin_id)
        except PluginNotRegistered:
            return None

    def add(self, row: m.Registration, load_id: int = 0) -> m.Registration:
        """Register; what an earlier run granted stands if the plugin still asks for the same permissions.

        Asked again by the same load, it returns the row. Raises :class:`AlreadyLoaded`, and has then changed nothing.
        """
        old = self.find(row.plugin_id)
        if old is not None and load_id and self._load_of(row.plugin_id) == load_id:
            return old
        if old is not None and old.state != AT_REST:
            raise AlreadyLoaded(row.plugin_id, old.state)
        if old is not None:
            self._at_rest_before[row.plugin_id] = old
        if old is not None and (old.name, old.requested) == (row.name, row.requested):
            row = attrs.evolve(row, granted=old.granted)
        self._write(row, load_id)
        return row

    def _load_of(self, plugin_id: int) -> int:
        found = self._db.execute("SELECT load_id FROM plugins WHERE plugin_id = ?", (plugin_id,)).fetchone()
        return int(found[0]) if found else 0

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

    def remove(self, plugin_id: int) -> None:
        """Forget the plugin; if its load failed over a row of an earlier run, that row is there again."""
        before = self._at_rest_before.pop(plugin_id, None)
        if before is not None:
            self._write(before)
            return
        self._db.execute("DELETE FROM plugins WHERE plugin_id = ?", (plugin_id,))

    def note_state(self, plugin_id: int, state: str) -> None:
        """Remember the state of a plugin's life."""
        # It was loaded: from now on its end is the end of its row.
        self._at_rest_before.pop(plugin_id, None)
        self._db.execute("UPDATE plugins SET state = ? WHERE plugin_id = ?", (state, plugin_id))

    def change(self, plugin_id: int, permission: str, granted: bool) -> m.Registration:
        """Grant or revoke one permission."""
        row = self.get(plugin_id)
        now = row.granted | {permission} if granted else row.granted - {permission}
        row = attrs.evolve(row, granted=now)
        self._write(row, self._load_of(plugin_id))
        return row

    def _write(self, row: m.Registration, load_id: int = 0) -> None:
        values = (row.plugin_id, row.name, row.version, row.digest, row.state)
        permissions = (json.dumps(sorted(row.requested)), json.dumps(sorted(row.granted)))
        fields = (*values, *permissions, row.signed_by, load_id)
        columns = f"{_COLUMNS}, load_id"
        self._db.execute(f"INSERT OR REPLACE INTO plugins ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", fields)


class Registry(ActorProcess):
    """Every change of permissions goes to the dispatcher, which answers once it is in force."""

    def __init__(self) -> None:
        super().__init__()
        self._rows: Registrations | None = None
        self._dispatcher: Address = None

    def receive(self, message: m.RegistryMessage, sender: Address) -> None:
        """Handle one message."""
        if isinstance(message, m.StartRegistry):
            self._start(message, sender)
        elif self._rows is not None:
            self._with(self._rows, message, sender)

    def on_exit(self) -> None:
        """Close the database."""
        if self._rows is not None:
            self._rows.close()

    def _start(self, message: m.StartRegistry, sender: Address) -> None:
        self._dispatcher = message.dispatcher
        self.end_with_host(message.host_pid)
        try:
            self._rows = Registrations(message.path, message.restarted)
        except sqlite3.Error as error:
            self.send(sender, m.ChildFailed("registry", f"registry {message.path} can't be used: {error}"))
        else:
            for row in message.loaded:
                self._rows.note_state(row.plugin_id, row.state)
            self.send(self._dispatcher, m.KnownRegistrations(self._rows.all()))
            self.send(sender, m.ChildReady("registry"))

    def _with(self, rows: Registrations, message: m.RegistryMessage, sender: Address) -> None:
        match message:
            case m.Register():
                self._register(rows, message, sender)
            case m.PlanReplacement():
                self._plan_replacement(rows, message, sender)
            case m.ReplaceRegistration():
                self._replace(rows, message, sender)
            case m.Unregister():
                rows.remove(message.plugin_id)
                self.send(sender, m.PluginUnregistered(message.load_id))
            case m.NoteState():
                rows.note_state(message.plugin_id, message.state)
            case m.ChangePermission():
                self._change(rows, message)
            case m.ForgetRegistration():
                self._forget(rows, message)
            case m.GetRegistration():
                self._answer(rows, message)
            case m.ListRegistrations():
                self.send(message.reply_to, m.Reply(message.request_id, rows.all()))
            case m.Introduce():
                self._dispatcher = message.address if message.role == "dispatcher" else self._dispatcher
                self.send(self._dispatcher, m.KnownRegistrations(rows.all()))
            case m.StartRegistry():
                raise TypeError("the registry is started once")
            case _:
                assert_never(message)

    def _register(self, rows: Registrations, message: m.Register, sender: Address) -> None:
        try:
            row = rows.add(message.registration, message.load_id)
        except (NyxPluginError, sqlite3.Error) as error:
            self.send(sender, m.StepFailed(message.load_id, error))
        else:
            # What is changed while the plugin is being loaded is in force when it is there.
            self.send(self._dispatcher, m.PermissionsChanged(row.plugin_id, row.granted, 0, None))
            self.send(sender, m.PluginRegistered(message.load_id, row))

    def _plan_replacement(self, rows: Registrations, message: m.PlanReplacement, sender: Address) -> None:
        try:
            before, after = rows.replacement(message.registration)
        except (NyxPluginError, sqlite3.Error) as error:
            self.send(sender, m.StepFailed(message.load_id, error))
        else:
            self.send(sender, m.ReplacementPlanned(message.load_id, before, after))

    def _replace(self, rows: Registrations, message: m.ReplaceRegistration, sender: Address) -> None:
        row = rows.replace(message.registration)
        self.send(sender, m.RegistrationReplaced(message.load_id, row))
        change = m.PermissionsChanged(row.plugin_id, row.granted, 0, sender, swap_id=message.load_id)
        self.send(self._dispatcher, change)

    def _change(self, rows: Registrations, message: m.ChangePermission) -> None:
        try:
            row = rows.change(message.plugin_id, message.permission, message.granted)
        except PluginNotRegistered as error:
            self.send(message.reply_to, m.Reply(message.request_id, error=error))
            return
        change = m.PermissionsChanged(row.plugin_id, row.granted, message.request_id, message.reply_to)
        self.send(self._dispatcher, change)

    def _forget(self, rows: Registrations, message: m.ForgetRegistration) -> None:
        if rows.find(message.plugin_id) is None:
            error = PluginNotRegistered(message.plugin_id)
            self.send(message.reply_to, m.Reply(message.request_id, error=error))
            return
        rows.remove(message.plugin_id)
        forgotten = m.RegistrationForgotten(message.plugin_id, message.request_id, message.reply_to)
        self.send(self._dispatcher, forgotten)

    def _answer(self, rows: Registrations, message: m.GetRegistration) -> None:
        try:
            self.send(message.reply_to, m.Reply(message.request_id, rows.get(message.plugin_id)))
        except PluginNotRegistered as error:
            self.send(message.reply_to, m.Reply(message.request_id, error=error))
