"""The root of the actors: starts, restarts and stops all others.

It reads no bundle and parses no frame: the less the root does, the less can kill it. What concerns single plugins is in
its roster.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import attrs

from ..plugins.worker.jail.level import NOTHING, enforcement
from . import epitaph
from . import messages as m
from ._thespian import ActorProcess, Address, same
from .confinement import prepare
from .essentials import Essentials
from .events import EVENTS, Event, EventKind
from .nursery import Nursery
from .outlet import Batch, Outlet
from .plans import NURSERY
from .roster import Roster
from .transports import sockets

# What is to be said last has to be on its way before the process ends, seconds.
EXIT_AFTER_S = 0.3
ADMIN_ENDED = "its Thespian admin ended"
EVENT_BYTES = 1 << 20


class Supervisor(ActorProcess):
    """Parent of the essential actors, of the loaders and of every plugin actor."""

    def __init__(self) -> None:
        super().__init__()
        self.boot: m.Boot
        self.essential: dict[str, Address] = {}
        self.epochs: dict[str, int] = {}
        self.sessions: dict[int, m.SessionJoined] = {}
        self._clients: dict[int, int] = {}
        self._host: Address = None
        self._roster = Roster(self, self._stop_if_empty)
        self._essentials = Essentials(self, self._roster, self)
        self._nursery = Nursery(self)
        self._outlet: Outlet[int, Event]
        self._stop: m.StopSystem | None = None
        self._stopped = False
        self._up = self._failed = self._is_over = False

    def receive(self, message: m.SupervisorMessage, sender: Address) -> None:
        """Handle one message; facts about a plugin go to the roster."""
        match message:
            case m.Boot():
                self._start(message, sender)
            case m.ChildReady():
                self._essentials.ready(message.role, sender)
            case m.PermissionsKnown():
                self._essentials.permissions_known(sender)
            case m.ChildFailed():
                self._child_failed(message, sender)
            case m.Forgotten():
                self._roster.unanswered.forgotten(message)
            case m.PermissionsNoted():
                self._roster.note_permissions(message)
            case m.AllRemoved():
                self._roster.removal.done(message)
            case m.FileSetAside():
                self.publish(Event(EventKind.SET_ASIDE, None, message.reason))
            case m.Attach():
                self._attach(message)
            case m.Detach():
                self.leave(message.session)
            case m.AskLastWords():
                self._tell_last_words(message)
            case m.LoadPlugins():
                self._roster.load(message)
            case m.UnloadPlugin():
                self._roster.unload(message)
            case m.SwapPluginFor():
                self._roster.swaps.begin(message)
            case m.PausePlugin():
                self._roster.pause(message)
            case m.ResetPlugin():
                self._roster.reset(message)
            case m.ScalePlugin():
                self._roster.scale(message)
            case m.GetRegistration() | m.ListRegistrations():
                # By this way, so that it is behind what the registry was told of the plugin's state.
                self.send(self.essential["registry"], message)
            case m.ChangeSettings():
                self._change_settings(message)
            case m.StopSystem():
                self._stop_system(message)
            case m.DeliverySeen():
                self._outlet.acknowledge(message.session)
                self.publish()
            case m.ViolationNoted():
                self._roster.note_violation(message)
                self.publish(Event(EventKind.VIOLATION, message.plugin_id, f"{message.request} ({message.count}x)"))
            case _:
                self._roster.note(message, sender)

    # Starting the essential actors.

    def _start(self, boot: m.Boot, sender: Address) -> None:
        self.boot, self._host = boot, sender
        self._outlet = Outlet(max_items=boot.settings.limits.event_queue, max_bytes=EVENT_BYTES)
        self.end_with_host(boot.host_pid, whole_group=True)
        self._essentials.start()

    def essentials_up(self) -> None:
        """All are there: the host is told."""
        self._up = True
        self._nursery.start()
        self.send(self._host, m.Booted(os.getpid()))
        if self.boot.settings.system.transport != "inline":
            prepare()

    def _child_failed(self, message: m.ChildFailed, sender: Address) -> None:
        if self._up:
            self._essentials.failed(message.role, sender, message.reason)
        else:
            self.send(self._host, m.BootFailed(message.reason))

    def _change_settings(self, question: m.ChangeSettings) -> None:
        self.boot = attrs.evolve(self.boot, settings=question.settings)
        self.send(self.essential["guard"], m.SettingsChanged(question.settings))
        self.send(question.reply_to, m.Reply(question.request_id))

    # Sessions and events.

    def _attach(self, message: m.Attach) -> None:
        if not self._watch_client(message):
            return
        joined = m.SessionJoined(message.session, message.reply_to, message.streams, message.sends)
        if EVENTS in message.streams:
            self._outlet.subscribe(message.session)
        enforced = NOTHING if self.boot.settings.system.transport == "inline" else enforcement()
        roles = self.essential["dispatcher"], self.essential["registry"]
        self.send(message.reply_to, m.Attached(*roles, enforced, self.epochs["dispatcher"]))
        self.join(joined)

    def join(self, joined: m.SessionJoined) -> None:
        """Tell everybody of a session."""
        self.sessions[joined.session] = joined
        self._tell_all(joined)

    def _watch_client(self, message: m.Attach) -> bool:
        """Notice when a client ends without a word: whether there is one at all."""
        if message.pid == os.getpid():
            return True
        try:
            fd = self._clients[message.session] = os.pidfd_open(message.pid)
        except OSError:
            return False
        self.watch(fd, lambda _: self._client_ended(message))
        return True

    def _client_ended(self, message: m.Attach) -> None:
        self.leave(message.session)
        sockets.remove_sockets_of(Path(self.boot.runtime_dir), message.pid)

    def leave(self, session: int) -> None:
        """Tell everybody that a session is over. Idempotent."""
        if self.sessions.pop(session, None) is None:
            return
        fd = self._clients.pop(session, -1)
        if fd >= 0:
            self.unwatch(fd)
            os.close(fd)
        self._outlet.unsubscribe(session)
        self._roster.words.leave(session)
        self._tell_all(m.SessionLeft(session))

    def _tell_last_words(self, asked: m.AskLastWords) -> None:
        if (joined := self.sessions.get(asked.session)) is not None:
            words = self._roster.words.take(asked.session, asked.plugin_id, asked.until)
            self.send(joined.address, m.LastWords(asked.plugin_id, asked.until, words))

    def _tell_all(self, message: m.SessionJoined | m.SessionLeft) -> None:
        self.send(self.essential["dispatcher"], message)
        self._roster.tell_all(message)

    def publish(self, *events: Event) -> None:
        """Tell the subscribers."""
        for event in events:
            self._outlet.add(event, 64 + len(event.reason))
        self._deliver(self._outlet.ready())

    def _deliver(self, batches: list[tuple[int, Batch[Event]]]) -> None:
        for session, (items, dropped) in batches:
            self.send(self.sessions[session].address, m.Delivery(self.myAddress, EVENTS, None, tuple(items), dropped))

    # Ends, wanted or not.

    def on_child_exit(self, child: Address) -> None:
        """Tell the essential actors' ends and those of others apart."""
        if not self._is_over and not self._essentials.exited(child):
            self._roster.child_exited(child)

    def on_exit(self) -> None:
        """Nobody but the transport asks the root to end while the system runs, because Thespian's admin is gone.

        All other actors end for the same reason: it is told before their ends are.
        """
        self._nursery.end()
        if not self.is_broken and not self._stopped:
            self._is_over = True
            self._say_goodbye(ADMIN_ENDED)
            self._exit()

    def on_alarm(self, name: Any) -> None:
        """Pass alarms of plugins on to the roster."""
        what, load_id = name
        if what == "exit":
            os._exit(1)
        if what == NURSERY:
            self._nursery.start_again()
            return
        if what in ("backoff", "budget"):
            self._essentials.alarm(what, load_id)
            return
        self._roster.alarm(what, load_id)

    def _stop_system(self, question: m.StopSystem) -> None:
        if self._stop is None:
            self._stop = question
        self._roster.unload_all(question.drain_s)
        self._stop_if_empty()

    def _stop_if_empty(self) -> None:
        if self._stop is not None and not self._roster:
            self._essentials.stop("it was stopped")

    def essentials_stopped(self, killed: tuple[str, ...]) -> None:
        """Nobody is left: whoever asked for it is told, and the host if nobody has."""
        self._nursery.end()
        if self._failed:
            self._exit()
        if self._stop is None or self._stopped:
            return
        self._stopped = True
        self._deliver(self._outlet.rest())
        unloaded = self._roster.unloaded()
        report = attrs.evolve(unloaded, killed=(*unloaded.killed, *killed))
        self.send(self._stop.reply_to, m.Reply(self._stop.request_id, report))
        for joined in self.sessions.values():
            if not same(joined.address, self._stop.reply_to):
                self.send(joined.address, m.SystemStopping("it was stopped"))

    def essentials_failed(self, reason: str) -> None:
        """One was given up, and the others are being stopped: nothing can go on, in order and with the reason."""
        self._failed = True
        self._say_goodbye(reason)
        self._roster.abandon()

    def _say_goodbye(self, reason: str) -> None:
        if self._stopped:
            return
        self._stopped = True
        self._deliver(self._outlet.rest())
        epitaph.write(Path(self.boot.runtime_dir), reason)
        for joined in self.sessions.values():
            self.send(joined.address, m.SystemStopping(reason))

    def _exit(self) -> None:
        """The host sees this process end, and sweeps what is left."""
        if self.boot.host_pid != os.getpid():
            # A child that does not end must not keep the root alive; first the messages have to be on their way.
            self.alarm(("exit", 0), EXIT_AFTER_S)
