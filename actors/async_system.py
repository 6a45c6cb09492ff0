"""``AsyncPluginSystem``: the runtime as one object, for programs that use asyncio."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType

from ..config.errors import NyxPluginError
from ..config.settings import Settings
from ..plugins.errors import NotStarted, SystemStopped
from ..plugins.worker.jail.level import Enforcement
from . import messages as m
from . import questions
from .arguments import checked_capacity, checked_letters, checked_seconds
from .aside import aside
from .async_management import AsyncManagement
from .async_receipt import AsyncReceipt
from .async_session import AsyncSession
from .async_subscription import AsyncSubscription
from .bridge import Bridge
from .dead_letter_info import DeadLetterContent, DeadLetterInfo, Redelivery, again, chosen, redelivery_of
from .events import ALL_STREAMS, EMITS, EVENTS
from .extras import Key, extra
from .launch import StopReport
from .receipt import Confirm, check_processed, checked_confirm, reply_of
from .series import Frame, Header, checked_frames
from .service_file import Claim
from .system import PluginSystem


class AsyncPluginSystem(AsyncManagement):
    """A running plugin system for the tasks of one event loop; its methods are those of :class:`PluginSystem`.

    ``async with AsyncPluginSystem() as system`` starts and closes it, as do :meth:`start` and :meth:`close`. It belongs
    to the loop in which it was started (elsewhere :class:`WrongLoop` is raised); only ``close`` may be awaited in any.

    No call blocks the loop or takes a thread. On ``inline`` handlers run on the loop's thread, so that each call takes
    as long as the handlers that it causes to run.

    Any task may be cancelled at any time: one that waits for room has sent nothing then; a frame that has been let in
    stays on its way, and an operation that was asked for is done, with nobody to be told.
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
        self._make: Callable[[], PluginSystem] | None = lambda: PluginSystem(
            settings, transport=transport, state_dir=state_dir, streams=streams, sends=sends
        )
        self._system: PluginSystem | None = None
        self._session: AsyncSession | None = None
        self._closing: Future[StopReport] | None = None

    @classmethod
    async def start(
        cls,
        settings: Settings | str | Path | None = None,
        *,
        transport: str | None = None,
        state_dir: str | Path | None = None,
        streams: Iterable[str] = ALL_STREAMS,
        sends: bool = True,
    ) -> AsyncPluginSystem:
        """Start a system in a thread, and return it; close it when done. A task that is cancelled leaves none behind.

        Raises :class:`ConfigError` and :class:`StartupError`.
        """
        return await cls(settings, transport=transport, state_dir=state_dir, streams=streams, sends=sends).__aenter__()

    @classmethod
    async def connect(
        cls,
        runtime_dir: str | Path | None = None,
        *,
        streams: Iterable[str] = (EVENTS, EMITS),
        sends: bool = True,
        timeout: float | None = None,
    ) -> AsyncPluginSystem:
        """Return this program's end of the system that ``nyx-plugins serve`` runs in ``runtime_dir``.

        Arguments and errors are those of :meth:`PluginSystem.connect`. Closing it leaves the service running.
        """
        system = cls()
        system._make = lambda: PluginSystem.connect(runtime_dir, streams=streams, sends=sends, timeout=timeout)
        return await system.__aenter__()

    async def __aenter__(self) -> AsyncPluginSystem:
        if self._closing is not None:
            raise SystemStopped("it was closed")
        if self._system is None:
            await self._start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self.close()

    async def _start(self) -> None:
        make, self._make = self._make, None
        if make is None:
            # Another task is about to start it.
            raise NotStarted
        starting = aside(make, "nyx-plugins-start")
        try:
            self._system = await asyncio.wrap_future(starting)
        except BaseException:
            # A thread can't be stopped: what it starts, if anything, is ended as soon as it is there.
            aside(lambda: _end(starting), "nyx-plugins-close")
            self._make = make
            raise
        self._session = AsyncSession(self._system._session, Bridge())

    @property
    def settings(self) -> Settings:
        """The settings in force."""
        return self._running.settings

    @property
    def stopped(self) -> SystemStopped | None:
        """Why nothing works any more; ``None`` as long as it does."""
        return self._running.stopped

    # Frames.

    async def dispatch(
        self,
        frame_type: int,
        header: Header,
        timeout: float | None = None,
        *,
        key: Key | None = None,
        ttl: float | None = None,
        confirm: Confirm = "accepted",
    ) -> AsyncReceipt:
        """Send a frame and return once it is accepted, waiting for room and acceptance up to ``timeout`` seconds.

        Tasks get room in the order in which they came. Arguments and errors are those of :meth:`PluginSystem.dispatch`.
        """
        session, timeout = self._here, self._dispatch_s(timeout)
        deadline = session.deadline(timeout)
        checked_confirm(confirm)
        receipt = await session.enter(frame_type, header, deadline, timeout, extra(key, ttl), confirm)
        if confirm == "processed":
            check_processed(receipt.plugin_id, await receipt.outcome(session.left(deadline), asked=timeout))
        else:
            await receipt.wait_accepted(session.left(deadline), asked=timeout)
        return receipt

    def dispatch_nowait(
        self, frame_type: int, header: Header, *, key: Key | None = None, ttl: float | None = None
    ) -> AsyncReceipt:
        """Send a frame without waiting: on the receipt arrive acceptance or refusal, and the outcome.

        Raises what :meth:`dispatch` raises as far as it is known at once, and :class:`MailboxFull`.
        """
        return self._here.offer(frame_type, header, extra(key, ttl))

    async def dispatch_many(
        self,
        frames: Iterable[Frame],
        *,
        wait: bool = True,
        timeout: float | None = None,
        key: Key | None = None,
        ttl: float | None = None,
    ) -> list[AsyncReceipt | NyxPluginError]:
        """Send any number of (frame type, header[, key]); one receipt or error for each, in order.

        ``key`` and ``ttl`` as with :meth:`PluginSystem.dispatch_many`. Waits for room and acceptance up to ``timeout``
        seconds in all; with ``wait`` false what finds no room is refused with :class:`MailboxFull`, and acceptance
        arrives on the receipts. What becomes of the rest of an iterator when that time is over, and what a system that
        ends meanwhile leaves, is told by :meth:`PluginSystem.dispatch_many`.
        """
        session, timeout = self._here, self._dispatch_s(timeout)
        checked, are_there = checked_frames(frames, extra(key, ttl)), isinstance(frames, Sequence)
        if not wait:
            return await session.offer_many(checked, are_there)
        return await session.enter_many(checked, are_there, session.deadline(timeout), timeout)

    async def request(
        self,
        frame_type: int,
        header: Header,
        timeout: float | None = None,
        *,
        key: Key | None = None,
        ttl: float | None = None,
    ) -> bytes | None:
        """Send a frame and return the handler's reply (``None`` if it gave none), within ``timeout`` seconds.

        Raises what :meth:`dispatch` raises, and :class:`PluginFailed` when there is an outcome but no reply to be had.
        """
        session, timeout = self._here, self._dispatch_s(timeout)
        deadline = session.deadline(timeout)
        receipt = await session.enter(frame_type, header, deadline, timeout, extra(key, ttl), "processed")
        return reply_of(receipt.plugin_id, await receipt.outcome(session.left(deadline), asked=timeout))

    async def drain(self, timeout: float | None = None) -> None:
        """Wait up to ``timeout`` seconds until every frame sent from here has its outcome.

        Raises :class:`DispatchTimeout`, and :class:`SystemStopped` when the system took outcomes with it.
        """
        await self._here.drain(checked_seconds(timeout, self.settings.limits.drain_timeout_s))

    def subscribe(self, capacity: int | None = None) -> AsyncSubscription:
        """Return a bounded queue of events and of the frames that plugins emit, from now on."""
        return self._here.subscribe(checked_capacity(capacity, self.settings.limits.event_queue))

    # Dead letters.

    async def dead_letters(
        self, plugin_id: int | None = None, *, after: int = 0, limit: int = 100
    ) -> list[DeadLetterInfo]:
        """Return at most ``limit`` dead letters of a plugin, or of all; see :meth:`PluginSystem.dead_letters`."""
        if plugin_id is not None:
            return list(await self._here.ask(questions.dead_letters(plugin_id, after, limit)))
        found: list[DeadLetterInfo] = []
        for each in await self._here.ask(questions.plugins_with_letters()):
            if (room := limit - len(found)) > 0:
                found += await self._here.ask(questions.dead_letters(each, after, room))
        return found

    async def dead_letter(self, plugin_id: int, letter_id: int) -> DeadLetterContent:
        """Return one dead letter with its frame; raises :class:`DeadLetterUnknown`."""
        content: DeadLetterContent = await self._here.ask(questions.dead_letter(plugin_id, letter_id))
        return content

    async def redeliver(
        self, plugin_id: int, ids: Iterable[int] | None = None, timeout: float | None = None
    ) -> Redelivery:
        """Send dead letters to their plugin once more; see :meth:`PluginSystem.redeliver`."""
        session, timeout = self._here, self._dispatch_s(timeout)
        wanted = checked_letters(ids)
        contents: list[DeadLetterContent] = []
        while page := await session.ask(questions.letters_behind(plugin_id, contents)):
            contents += page
        contents = chosen(plugin_id, contents, wanted)
        results = await session.enter_many(again(contents), True, session.deadline(timeout), timeout)
        return redelivery_of(contents, results)

    async def drop_dead_letters(self, plugin_id: int, ids: Iterable[int] | None = None) -> int:
        """Remove dead letters for good, and return how many; see :meth:`PluginSystem.drop_dead_letters`."""
        dropped: int = await self._here.ask(questions.drop_dead_letters(plugin_id, ids))
        return dropped

    # What is known.

    def loaded_plugins(self) -> list[int]:
        """Return the ids of the plugins that take frames, in ascending order."""
        return self._running.loaded_plugins()

    def loaded_plugin_count(self) -> int:
        """Return how many plugins take frames."""
        return self._running.loaded_plugin_count()

    def is_plugin_loaded(self, plugin_id: int) -> bool:
        """Whether this plugin takes frames."""
        return self._running.is_plugin_loaded(plugin_id)

    @property
    def host_pid(self) -> int:
        """Process id of the host process (of this process on ``inline``)."""
        return self._running.host_pid

    @property
    def enforcement(self) -> Enforcement:
        """How well plugins are confined; see :attr:`PluginSystem.enforcement`."""
        return self._running.enforcement

    async def reconfigure(self, settings: Settings) -> None:
        """Let plugins that are loaded from now on have these settings; see :meth:`PluginSystem.reconfigure`."""
        new, question = questions.change_settings(self.settings, settings)
        await self._here.ask(question)
        self._running._settings = new

    async def publish(self, claim: Claim) -> None:
        """Let programs of the same user connect to this system; see :meth:`PluginSystem.publish`."""
        self._here.check()
        await asyncio.to_thread(self._running.publish, claim)

    # The end.

    async def close(self, timeout: float | None = None) -> StopReport:
        """Drain for up to ``timeout`` seconds, unload everything, stop; see :meth:`PluginSystem.close`. Idempotent.

        It is done in a thread, which goes on when the task is cancelled: call it again to wait for its end.
        """
        checked_seconds(timeout, 0.0)
        if self._closing is None:
            if (system := self._system) is None:
                return StopReport()
            self._closing = aside(lambda: system.close(timeout), "nyx-plugins-close")
        return await asyncio.wrap_future(self._closing)

    # Parts.

    @property
    def _running(self) -> PluginSystem:
        if self._system is None:
            raise NotStarted
        return self._system

    @property
    def _here(self) -> AsyncSession:
        if self._session is None:
            raise NotStarted
        self._session.check()
        return self._session

    def _dispatch_s(self, timeout: float | None) -> float:
        return checked_seconds(timeout, self.settings.limits.dispatch_timeout_s)

    def _routes(self) -> Mapping[int, m.Route]:
        return self._running._session.routes()


def _end(starting: Future[PluginSystem]) -> None:
    with contextlib.suppress(Exception):
        starting.result().close()
