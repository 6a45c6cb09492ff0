"""The registry: the truth about registrations and permissions."""

from __future__ import annotations

import contextlib
import sqlite3
import sys
from collections.abc import Callable, Hashable, Iterator
from functools import partial
from typing import Any, assert_never

from ..config.errors import NyxPluginError
from ..plugins.errors import PluginNotRegistered, RegistryFailed
from . import messages as m
from ._thespian import ActorProcess, Address
from .admission import AT_REST
from .changes import is_overtaken
from .owed import Owed
from .registrations import Registrations
from .registry_file import is_damaged, open_file

# How often to try again what could not be written, in seconds.
RETRY_S = 5.0


class Registry(ActorProcess):
    """Every change of permissions goes to the dispatcher, which answers once it is in force.

    Where the file can't be written, what somebody asks for is refused (:class:`RegistryFailed`). What has happened
    already is answered, and written once that can be done.
    """

    def __init__(self) -> None:
        super().__init__()
        self._path = ""
        self._owed = Owed()
        self._rows: Registrations | None = None
        self._parent: Address = None
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
        self._parent, self._dispatcher, self._path = sender, message.dispatcher, message.path
        self.end_with_host(message.host_pid)
        try:
            opened = open_file(message.path, message.restarted, message.outlives_run)
        except sqlite3.Error as error:
            self.send(sender, m.ChildFailed("registry", f"registry {message.path} can't be used: {error}"))
            return
        self._rows = opened.rows
        self._note("loaded", partial(self._rows.restore, message.loaded))
        if opened.set_aside:
            print(opened.set_aside, file=sys.stderr, flush=True)
            self.send(sender, m.FileSetAside(opened.set_aside))
        self._tell_dispatcher(self._rows)
        self.send(sender, m.ChildReady("registry"))

    def _tell_dispatcher(self, rows: Registrations) -> None:
        self.send(self._dispatcher, m.KnownRegistrations(rows.all()))

    def _with(self, rows: Registrations, message: m.RegistryMessage, sender: Address) -> None:
        match message:
            case m.Register():
                self._register(rows, message, sender)
            case m.PlanReplacement():
                self._plan_replacement(rows, message, sender)
            case m.ReplaceRegistration():
                self._replace(rows, message, sender)
            case m.Unregister():
                self._note(("end", message.load_id), partial(rows.remove, message.plugin_id, message.load_id))
                self.send(sender, m.PluginUnregistered(message.load_id))
            case m.NoteState():
                note = partial(rows.note_state, message.plugin_id, message.state)
                self._note(("state", message.plugin_id), note)
            case m.ChangePermission():
                self._change(rows, message)
            case m.ForgetRegistration():
                self._forget(rows, message)
            case m.GetRegistration():
                self._answer(rows, message)
            case m.ListRegistrations():
                self.send(message.reply_to, m.Reply(message.request_id, rows.all()))
            case m.Introduce():
                if message.role == "dispatcher":
                    self._dispatcher = message.address
                    self._tell_dispatcher(rows)
            case m.StartRegistry():
                raise TypeError("the registry is started once")
            case _:
                assert_never(message)

    def _register(self, rows: Registrations, message: m.Register, sender: Address) -> None:
        try:
            with self._writing():
                row = rows.add(message.registration, message.load_id)
        except NyxPluginError as error:
            self.send(sender, m.StepFailed(message.load_id, error))
        else:
            # What is changed while the plugin is being loaded is in force when it is there.
            self.send(self._dispatcher, m.PermissionsChanged(row.plugin_id, row.granted, 0, None))
            self.send(sender, m.PluginRegistered(message.load_id, row))

    def _plan_replacement(self, rows: Registrations, message: m.PlanReplacement, sender: Address) -> None:
        try:
            with self._writing():
                before, after = rows.replacement(message.registration)
        except NyxPluginError as error:
            self.send(sender, m.StepFailed(message.load_id, error))
        else:
            self.send(sender, m.ReplacementPlanned(message.load_id, before, after))

    def _replace(self, rows: Registrations, message: m.ReplaceRegistration, sender: Address) -> None:
        if rows.find(message.registration.plugin_id) is None:
            # It was unregistered before this was asked again: with the end of the plugin the swap ends.
            return
        _, row = rows.replacement(message.registration)
        # The new version is at work: there is no way back.
        self._note(("version", message.load_id), partial(rows.replace, message.registration))
        self.send(sender, m.RegistrationReplaced(message.load_id, row))
        change = m.PermissionsChanged(row.plugin_id, row.granted, 0, sender, swap_id=message.load_id)
        self.send(self._dispatcher, change)

    # Permissions.

    def _change(self, rows: Registrations, message: m.ChangePermission) -> None:
        try:
            with self._writing():
                row = _changed(rows, message)
        except NyxPluginError as error:
            self.send(message.reply_to, m.Reply(message.request_id, error=error))
            return
        self.send(self._parent, m.PermissionsNoted(row.plugin_id, row.granted))
        change = m.PermissionsChanged(row.plugin_id, row.granted, message.request_id, message.reply_to)
        self.send(self._dispatcher, change)

    # Registrations without a plugin.

    def _forget(self, rows: Registrations, message: m.ForgetRegistration) -> None:
        row = rows.find(message.plugin_id)
        if row is None and not message.again:
            self.send(self._parent, m.Forgotten(message.number, error=PluginNotRegistered(message.plugin_id)))
            return
        if row is not None and row.state == AT_REST:
            try:
                with self._writing():
                    rows.remove(message.plugin_id)
            except RegistryFailed as error:
                self.send(self._parent, m.Forgotten(message.number, error=error))
                return
        self.send(self._dispatcher, m.RegistrationForgotten(message.plugin_id, message.number))

    def _answer(self, rows: Registrations, message: m.GetRegistration) -> None:
        try:
            self.send(message.reply_to, m.Reply(message.request_id, rows.get(message.plugin_id)))
        except PluginNotRegistered as error:
            self.send(message.reply_to, m.Reply(message.request_id, error=error))

    # Writing.

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """For what can be refused: raises :class:`RegistryFailed`. What is owed is written first."""
        try:
            self._owed.settle()
            yield
        except sqlite3.Error as error:
            if is_damaged(error):
                # The next registry sets the file aside, and is asked again.
                raise
            raise RegistryFailed(self._path, str(error)) from None

    def _note(self, what: Hashable, change: Callable[[], object]) -> None:
        """For what has happened: it is written now, or as soon as that can be done."""
        was_owing = bool(self._owed)
        error = self._owed.write(what, change)
        if error is not None and not was_owing:
            text = f"registry {self._path} can't be written: {error}; what changes is written when there is room again"
            print(text, file=sys.stderr, flush=True)
            self.alarm("owed", RETRY_S)

    def on_alarm(self, name: Any) -> None:
        """Try again what is owed."""
        try:
            with self._writing():
                pass
        except RegistryFailed:
            self.alarm("owed", RETRY_S)
        else:
            print(f"registry {self._path} is written again", file=sys.stderr, flush=True)


def _changed(rows: Registrations, message: m.ChangePermission) -> m.Registration:
    """Change the row; a copy that comes too late changes nothing: what others have done since stands.

    What was asked of an earlier plugin of this id, and may never have been done, must not seem to be done to this one.
    """
    if is_overtaken(message.asked_at, rows.loaded_at(message.plugin_id)):
        raise PluginNotRegistered(message.plugin_id)
    if is_overtaken(message.asked_at, rows.changed_at(message.plugin_id, message.permission)):
        return rows.get(message.plugin_id)
    return rows.change(message.plugin_id, message.permission, message.granted)
