"""``AsyncPluginSystem``: the runtime as one object, for programs that use asyncio."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any

from ..config.errors import NyxPluginError
from ..config.settings import Durability, PluginSettings, Settings
from ..plugins.errors import NotStarted, SystemStopped
from ..plugins.worker.jail.level import Enforcement
from . import messages as m
from . import questions
from .arguments import checked_capacity, checked_letters, checked_seconds
from .aside import aside
from .async_receipt import AsyncReceipt
from .async_session import AsyncSession
from .async_subscription import AsyncSubscription
from .bridge import Bridge
from .dead_letter_info import DeadLetterContent, DeadLetterInfo, Redelivery, again, chosen, redelivery_of
from .events import ALL_STREAMS, EMITS, EVENTS, DispatchStats, PluginStats
from .extras import Key, extra
from .launch import StopReport
from .plugin_info import PluginInfo, info_of
from .receipt import Confirm, check_processed, checked_confirm, reply_of
from .series import Frame, Header, checked_frames, goes
from .service_file import Claim
from .swap_report import SwapReport
from .system import PluginSystem


class AsyncPluginSystem:
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

    # Plugins.

    async def load(
        self,
        bundle: str | Path,
        *,
        plugin_id: int | None = None,
        capacity: int | None = None,
        capacity_bytes: int | None = None,
        permissions: Iterable[str] | None = None,
        config: Mapping[str, Any] | None = None,
        require_handshake: bool | None = None,
        instances: int | None = None,
        durability: Durability | None = None,
    ) -> PluginInfo:
        """Load one bundle and return what it is once it is ready; see :meth:`PluginSystem.load`."""
        options = (plugin_id, capacity, capacity_bytes, permissions, config)
        wanted = questions.one_plugin(
            bundle, *options, require_handshake=require_handshake, instances=instances, durability=durability
        )
        [result] = await self.load_many([wanted])
        if isinstance(result, NyxPluginError):
            raise result
        return result

    async def load_many(self, plugins: Sequence[PluginSettings]) -> list[PluginInfo | NyxPluginError]:
        """Load several plugins at the same time; one result or error for each, in order."""
        results = await self._here.ask(questions.load(self.settings, plugins))
        return [self._info(item) if isinstance(item, m.Registration) else item for item in results]

    async def load_configured(self) -> list[PluginInfo | NyxPluginError]:
        """Load the plugins that the settings name."""
        return await self.load_many(self.settings.plugins)

    async def unload(self, plugin_id: int, timeout: float | None = None, *, cascade: bool = False) -> None:
        """Take no more frames, finish those accepted within ``timeout`` seconds, and remove the plugin.

        See :meth:`PluginSystem.unload`.
        """
        await self._here.ask(questions.unload(self.settings, plugin_id, timeout, cascade))

    async def swap(
        self,
        plugin_id: int,
        bundle: str | Path,
        *,
        allow_widen: bool = False,
        dry_run: bool = False,
        timeout: float | None = None,
    ) -> SwapReport:
        """Put another version in a plugin's place while frames come in; see :meth:`PluginSystem.swap`."""
        question = questions.swap(self.settings, plugin_id, bundle, allow_widen, dry_run, timeout)
        report: SwapReport = await self._here.ask(question)
        return report

    async def scale(self, plugin_id: int, instances: int) -> None:
        """Run the plugin in so many workers (1 to 64) from now on; returns once they are ready, and surplus ones gone.

        No frame is lost, and the order of frames with the same key holds: with ``balance = "by_key"`` frames go to the
        new workers once all that were accepted before are finished. Raises :class:`PluginNotRegistered`,
        :class:`PluginNotLoaded`, :class:`PluginFailed`.
        """
        await self._here.ask(questions.scale(self.settings, plugin_id, instances))

    async def pause(self, plugin_id: int) -> None:
        """Hand no more frames to the plugin; returns once it has finished what it had in hand."""
        await self._here.ask(questions.pause(self.settings, plugin_id, True))

    async def resume(self, plugin_id: int) -> None:
        """Go on after :meth:`pause`."""
        await self._here.ask(questions.pause(self.settings, plugin_id, False))

    async def reset(self, plugin_id: int) -> None:
        """Bring a plugin back that has failed or is in quarantine, with all its restarts before it; its counters stay.

        Returns when it is ready. Raises :class:`PluginNotRegistered`, :class:`PluginNotFailed`, and
        :class:`PluginFailed` or :class:`PluginQuarantined` when it has failed again.
        """
        await self._here.ask(questions.reset(self.settings, plugin_id))

    async def grant(self, plugin_id: int, permission: str) -> None:
        """Give a permission; in force when this returns."""
        await self._here.ask(questions.change_permission(self.settings, plugin_id, permission, True))

    async def revoke(self, plugin_id: int, permission: str) -> None:
        """Take a permission away; once this returns, no frame that needs it is accepted."""
        await self._here.ask(questions.change_permission(self.settings, plugin_id, permission, False))

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
        receipt = await session.enter(frame_type, header, deadline, timeout, extra(key, ttl))
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
        arrives on the receipts.
        """
        session, timeout = self._here, self._dispatch_s(timeout)
        checked = goes(checked_frames(frames, extra(key, ttl)), isinstance(frames, Sequence))
        if not wait:
            return await session.offer_many(checked)
        return await session.enter_many(checked, session.deadline(timeout), timeout)

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
        receipt = await session.enter(frame_type, header, deadline, timeout, extra(key, ttl))
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
        results = await session.enter_many(goes(again(contents), True), session.deadline(timeout), timeout)
        return redelivery_of(contents, results)

    async def drop_dead_letters(self, plugin_id: int, ids: Iterable[int] | None = None) -> int:
        """Remove dead letters for good, and return how many; see :meth:`PluginSystem.drop_dead_letters`."""
        dropped: int = await self._here.ask(questions.drop_dead_letters(plugin_id, ids))
        return dropped

    # What is known.

    async def plugin_stats(self, plugin_id: int) -> PluginStats:
        """Return one plugin's counters, read at its plugin actor; raises :class:`PluginNotRegistered`."""
        stats: PluginStats = await self._here.ask(questions.plugin_stats(plugin_id))
        return stats

    async def dispatch_stats(self) -> DispatchStats:
        """Return the dispatcher's counters."""
        stats: DispatchStats = await self._here.ask(questions.dispatch_stats())
        return stats

    async def plugin_info(self, plugin_id: int) -> PluginInfo:
        """Return what is registered; raises :class:`PluginNotRegistered`."""
        return self._info(await self._here.ask(questions.registration(plugin_id)))

    async def plugins(self) -> list[PluginInfo]:
        """Return all that is registered, whatever its state, in ascending order of the ids."""
        return [self._info(row) for row in await self._here.ask(questions.registrations())]

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

    def _info(self, row: m.Registration) -> PluginInfo:
        return info_of(row, self._running._session.routes())


def _end(starting: Future[PluginSystem]) -> None:
    with contextlib.suppress(Exception):
        starting.result().close()
