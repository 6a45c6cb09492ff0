"""``PluginSystem``: the runtime as one object, for programs that embed it."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from ..config.errors import NyxPluginError, StartupError
from ..config.loading import load_settings
from ..config.settings import Settings
from ..plugins.errors import DispatchTimeout, SystemStopped
from ..plugins.worker.jail.level import Enforcement
from . import messages as m
from . import questions
from .arguments import checked_capacity, checked_kind, checked_letters, checked_seconds, checked_streams
from .backing import Backing, OwnHost, ServedActors, own
from .dead_letter_info import DeadLetterContent, DeadLetterInfo, Redelivery, again, chosen, redelivery_of
from .dispatched import Dispatched
from .events import ALL_STREAMS, EMITS, EVENTS
from .extras import Key, extra
from .frame_rules import frame_rules
from .launch import StopReport
from .management import Management
from .patience import Patience
from .plugin_info import PluginInfo as PluginInfo
from .questions import Ask
from .receipt import Confirm, Receipt, check_processed, checked_confirm, reply_of
from .series import Frame, Header, Sendable, checked_entries, checked_frames, encoded
from .service_file import Claim, service_dir
from .session import Session
from .subscription import Subscription
from .waiting import Waiter

_log = logging.getLogger("nyx_plugins")
_NOTHING = m.Unloaded((), 0, ())


class PluginSystem(Management):
    """A running plugin system: load plugins, feed them frames, survive them.

    Use it as a context manager, or call :meth:`close`. All methods are thread-safe. On transport ``unix`` everything
    but this object lives in processes of its own; on ``inline`` all is in this process. ``streams`` names what it is
    told of its own accord: ``"events"``, ``"emits"`` and ``"log"``, the lines that plugins log; ``sends=False`` leaves
    the room in mailboxes to others that connect.

    Raises :class:`ConfigError` and :class:`StartupError`.
    """

    def __init__(
        self,
        settings: Settings | str | Path | None = None,
        *,
        transport: str | None = None,
        state_dir: str | Path | None = None,
        streams: Iterable[str] = ALL_STREAMS,
        sends: bool = True,
    ) -> None:
        if settings is not None and not isinstance(settings, (Settings, str, Path)):
            raise TypeError(f"settings must be Settings, a path or None, not {type(settings).__name__}")
        chosen = settings if isinstance(settings, Settings) else load_settings(settings)
        wanted = checked_streams(streams)
        checked_kind("sends", sends, bool)
        self._open(own(chosen, transport, state_dir), wanted, sends, None)

    @classmethod
    def connect(
        cls,
        runtime_dir: str | Path | None = None,
        *,
        streams: Iterable[str] = (EVENTS, EMITS),
        sends: bool = True,
        timeout: float | None = None,
    ) -> PluginSystem:
        """Return this program's end of the system that ``nyx-plugins serve`` runs in ``runtime_dir``.

        Without one it is looked for where ``serve`` looks: ``NYX_PLUGINS_RUNTIME_DIR``, then a folder of the user's
        runtime directory. ``streams`` names what subscriptions get (``"events"``, ``"emits"``), and ``"log"`` for the
        plugins' log lines. A program that only looks and manages says so with ``sends=False``: it is lent no room
        in mailboxes before it sends something all the same. ``timeout`` is in seconds, ``system.start_timeout_s`` by
        default. Closing it leaves the service running.

        Raises :class:`ServiceNotRunning`, :class:`StartupError` (another version, a directory that is not private) and
        :class:`DispatchTimeout`.
        """
        wanted = checked_streams(streams)
        checked_kind("sends", sends, bool)
        backing = ServedActors(service_dir(runtime_dir or os.environ.get("NYX_PLUGINS_RUNTIME_DIR")))
        system = cls.__new__(cls)
        system._open(backing, wanted, sends, timeout)
        return system

    def _open(self, backing: Backing, streams: Iterable[str], sends: bool, timeout: float | None) -> None:
        self._backing = backing
        self._settings = backing.settings
        self._closed = False
        self._pid = os.getpid()
        self._started_at = time.time()
        self._session = Session(backing.endpoint, frame_rules(self._settings))
        try:
            self._session.attach(checked_seconds(timeout, self._settings.system.start_timeout_s), streams, sends)
        except BaseException:
            self.close()
            raise
        backing.watch(self._session.fail)

    def __enter__(self) -> PluginSystem:
        if self._closed:
            raise SystemStopped("it was closed")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    @property
    def stopped(self) -> SystemStopped | None:
        """Why nothing works any more; ``None`` as long as it does."""
        return self._session.stopped

    # Frames.

    def dispatch(
        self,
        frame_type: int,
        header: Header,
        timeout: float | None = None,
        *,
        key: Key | None = None,
        ttl: float | None = None,
        confirm: Confirm = "accepted",
    ) -> Receipt:
        """Send a frame and return once it is accepted, waiting for room and acceptance up to ``timeout`` seconds.

        Of the frames with the same ``key`` (text, bytes or an int) the order is kept by a plugin that has several
        instances and balances by key. A frame that is not handed to the plugin within ``ttl`` seconds is dead-lettered
        (``expired``). With ``confirm="processed"`` it returns once the frame is processed, and raises
        :class:`PluginFailed` when that is not what becomes of it.

        Raises what refuses it: :class:`InvalidFrameType`, :class:`FrameError`, :class:`PluginNotRegistered`,
        :class:`PluginNotLoaded`, :class:`PermissionDenied`, :class:`SandboxViolation`, :class:`PluginFailed`,
        :class:`MailboxFailed`, :class:`JournalFailed`, :class:`DispatchTimeout`, :class:`SystemStopped`.
        """
        timeout = checked_seconds(timeout, self._settings.limits.dispatch_timeout_s)
        deadline = time.monotonic() + timeout
        checked_confirm(confirm)
        receipt = self._offer_waiting(frame_type, header, deadline, timeout, extra(key, ttl), confirm)
        left = max(0.0, deadline - time.monotonic())
        if confirm == "processed":
            check_processed(receipt.plugin_id, receipt.outcome(left, asked=timeout))
        else:
            receipt.wait_accepted(left, asked=timeout)
        return receipt

    def dispatch_nowait(
        self, frame_type: int, header: Header, *, key: Key | None = None, ttl: float | None = None
    ) -> Receipt:
        """Send a frame without waiting: on the receipt arrive acceptance or refusal, and the outcome.

        ``key`` and ``ttl`` as with :meth:`dispatch`. Raises what that raises as far as it is known at once, and
        :class:`MailboxFull`.
        """
        return self._session.offer(frame_type, encoded(header), extra(key, ttl))

    def dispatch_many(
        self,
        frames: Iterable[Frame],
        *,
        wait: bool = True,
        timeout: float | None = None,
        key: Key | None = None,
        ttl: float | None = None,
    ) -> Sequence[Receipt | NyxPluginError]:
        """Send any number of (frame type, header[, key]); one receipt or error for each, in order.

        ``key`` and ``ttl`` as with :meth:`dispatch`, the former for frames without a key of their own. Waits for room
        and acceptance up to ``timeout`` seconds in all; with ``wait`` false what finds no room is refused with
        :class:`MailboxFull`, and acceptance arrives on the receipts. A system that ends meanwhile ends the wait: what
        was accepted has its receipt, others :class:`FateUnknown` or, if they were never sent, :class:`SystemStopped`.

        An iterator is asked for no more frames once that time is over, unless ``wait`` is false: one more result than
        it has yielded frames, a :class:`DispatchTimeout`, tells so, and the same iterator has the rest.

        Raises :class:`SystemStopped` if none was sent. What ``frames`` itself raises comes through, with a note of how
        many were sent before; what becomes of these is not told.
        """
        timeout = checked_seconds(timeout, self._settings.limits.dispatch_timeout_s)
        return self._send_many(checked_frames(frames, extra(key, ttl)), wait, timeout, isinstance(frames, Sequence))

    def _send_many(
        self, frames: Iterable[Sendable], wait: bool, timeout: float, are_there: bool
    ) -> Sequence[Receipt | NyxPluginError]:
        patience = Patience(self._session, timeout)
        with self._session.series(frames, timeout if wait else None, are_there) as (series, goes):
            for go, _ in goes:
                series.send(go)
                self._session.flush()
                while (waiter := series.in_the_way()) is not None:
                    patience.await_room(waiter)
            if not wait:
                return Dispatched(piece for piece in series.entries if not isinstance(piece, Waiter))
            return checked_entries(Dispatched(patience.accepted(series.entries)))

    def request(
        self,
        frame_type: int,
        header: Header,
        timeout: float | None = None,
        *,
        key: Key | None = None,
        ttl: float | None = None,
    ) -> bytes | None:
        """Send a frame and return the handler's reply (``None`` if it gave none), within ``timeout`` seconds.

        ``key`` and ``ttl`` as with :meth:`dispatch`. Raises what that raises, and :class:`PluginFailed` when there is
        an outcome but no reply to be had.
        """
        timeout = checked_seconds(timeout, self._settings.limits.dispatch_timeout_s)
        deadline = time.monotonic() + timeout
        receipt = self._offer_waiting(frame_type, header, deadline, timeout, extra(key, ttl), "processed")
        outcome = receipt.outcome(max(0.0, deadline - time.monotonic()), asked=timeout)
        return reply_of(receipt.plugin_id, outcome)

    def drain(self, timeout: float | None = None) -> None:
        """Wait up to ``timeout`` seconds until every frame sent from here has its outcome.

        Raises :class:`DispatchTimeout`, and :class:`SystemStopped` when the system took outcomes with it.
        """
        self._session.drain(checked_seconds(timeout, self._settings.limits.drain_timeout_s))

    def subscribe(self, capacity: int | None = None) -> Subscription:
        """Return a bounded queue of events and of the frames that plugins emit, from now on."""
        return self._session.subscribe(checked_capacity(capacity, self._settings.limits.event_queue))

    # Dead letters.

    def dead_letters(self, plugin_id: int | None = None, *, after: int = 0, limit: int = 100) -> list[DeadLetterInfo]:
        """Return at most ``limit`` dead letters with numbers above ``after``, in ascending order.

        They are those of one plugin, loaded or not, or of all plugins, one after the other in the order of their ids.
        Raises :class:`JournalFailed` and :class:`JournalCorrupt`.
        """
        if plugin_id is not None:
            return list(self._ask(questions.dead_letters(plugin_id, after, limit)))
        found: list[DeadLetterInfo] = []
        for each in self._ask(questions.plugins_with_letters()):
            if (room := limit - len(found)) > 0:
                found += self._ask(questions.dead_letters(each, after, room))
        return found

    def dead_letter(self, plugin_id: int, letter_id: int) -> DeadLetterContent:
        """Return one dead letter with its frame; raises :class:`DeadLetterUnknown`."""
        content: DeadLetterContent = self._ask(questions.dead_letter(plugin_id, letter_id))
        return content

    def redeliver(self, plugin_id: int, ids: Iterable[int] | None = None, timeout: float | None = None) -> Redelivery:
        """Send dead letters (all of them for ``None``) to their plugin once more, in the order of their numbers.

        Each is checked and waits for room as any frame, up to ``timeout`` seconds for all. Those that are accepted are
        dead letters no more; for the others the result says why they stay (a :class:`DispatchTimeout` with a receipt
        is on its way all the same), or that they were gone by then. None is delivered twice, whoever is killed.
        Raises :class:`DeadLetterUnknown`, and has then sent none.
        """
        timeout = checked_seconds(timeout, self._settings.limits.dispatch_timeout_s)
        wanted = checked_letters(ids)
        contents: list[DeadLetterContent] = []
        while page := self._ask(questions.letters_behind(plugin_id, contents)):
            contents += page
        contents = chosen(plugin_id, contents, wanted)
        return redelivery_of(contents, self._send_many(again(contents), True, timeout, are_there=True))

    def drop_dead_letters(self, plugin_id: int, ids: Iterable[int] | None = None) -> int:
        """Remove dead letters (all of them for ``None``) for good, and return how many.

        Raises :class:`DeadLetterUnknown`, and has then removed none.
        """
        dropped: int = self._ask(questions.drop_dead_letters(plugin_id, ids))
        return dropped

    # What is known.

    @property
    def host_pid(self) -> int:
        """Process id of the host process (of this process on ``inline``)."""
        return self._backing.host_pid

    @property
    def enforcement(self) -> Enforcement:
        """How well plugins are confined: ``full``, ``partial`` or ``cooperative``, and what is missing for more."""
        return self._session.enforcement

    def publish(self, claim: Claim) -> None:
        """Let programs of the same user find this system in the claim's directory, with :meth:`connect`.

        Call it again to tell them of changed settings. Raises :class:`StartupError` where there is nothing to connect
        to: on ``inline``, and for a system that is somebody else's.
        """
        checked_kind("a claim", claim, Claim)
        if not isinstance(self._backing, OwnHost):
            raise StartupError("only a system with processes of its own (transport 'unix') can be published")
        claim.publish(self._backing.describe(self._settings, self._started_at))

    # The end.

    def close(self, timeout: float | None = None) -> StopReport:
        """Drain for up to ``timeout`` seconds, unload everything, stop. Idempotent. A connection is just ended.

        With a state directory the registrations stay; everything else of the system is gone when this returns. Whoever
        does not stop is killed, and is named in the report and in a warning of the logger ``nyx_plugins``: it takes at
        most ``timeout`` and three times ``system.stop_timeout_s``, and some ten seconds.
        In a process forked from the one that made the system it does nothing.
        """
        drain_s = checked_seconds(timeout, self._settings.limits.drain_timeout_s)
        if self._closed or os.getpid() != self._pid:
            return StopReport()
        self._closed = True
        unloaded = self._stop_plugins(drain_s) if self._backing.owned else _NOTHING
        # Before the session's end: a process that reads no more would hold up what is being sent to it.
        report = self._backing.end()
        self._session.close()
        self._backing.release()
        killed, left = unloaded.killed + report.killed, report.left
        if killed or left:
            _log.warning("did not stop and had to be killed: %s; still there: %s", ", ".join(killed), left or "none")
        return StopReport(killed, unloaded.plugins, unloaded.dead_lettered, left)

    def _stop_plugins(self, drain_s: float) -> m.Unloaded:
        """Let the supervisor unload all; returns what became of the plugins."""
        unloaded = _NOTHING
        # Whatever does not stop in time is killed by the host.
        with contextlib.suppress(SystemStopped, DispatchTimeout):
            unloaded = self._ask(questions.stop(self._settings, drain_s))
        self._session.fail("it was closed")
        return unloaded

    # Parts.

    def _offer_waiting(
        self,
        frame_type: int,
        header: Header,
        deadline: float,
        timeout: float,
        extra: m.Extra | None,
        confirm: Confirm = "accepted",
    ) -> Receipt:
        is_awaited = confirm == "accepted"
        return self._session.offer_waiting(frame_type, encoded(header), deadline, timeout, extra, is_awaited)

    def _ask(self, ask: Ask) -> Any:
        began = time.monotonic()
        deadline = began + ask.timeout_s
        while True:
            try:
                wait_s = questions.AGAIN_S if ask.again else ask.timeout_s
                return self._session.ask(ask, wait_s)
            except DispatchTimeout:
                if not ask.again or time.monotonic() >= deadline:
                    raise
                ask = ask.repeated(began)

    def _routes(self) -> Mapping[int, m.Route]:
        return self._session.routes()
