"""What a task does with plugins besides sending frames: one half of :class:`AsyncPluginSystem`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..config.errors import NyxPluginError
from ..config.settings import Durability, PluginSettings, Settings
from . import messages as m
from . import questions
from .async_session import AsyncSession
from .events import DispatchStats, PluginStats
from .plugin_info import PluginInfo, info_of
from .swap_report import SwapReport


class AsyncManagement(ABC):
    """Its methods are those of :class:`Management`."""

    @property
    @abstractmethod
    def settings(self) -> Settings:
        """The settings in force."""

    @property
    @abstractmethod
    def _here(self) -> AsyncSession:
        """Where to ask; raises :class:`NotStarted` and :class:`WrongLoop`."""

    @abstractmethod
    def _routes(self) -> Mapping[int, m.Route]:
        """The routes as last told."""

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

    def _info(self, row: m.Registration) -> PluginInfo:
        return info_of(row, self._routes())
